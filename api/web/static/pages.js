"use strict";
/* The code of a sign-in link stands behind the #, so that no server and no proxy logs it. */
(() => {
  const field = document.getElementById("code");
  const take = () => {
    if (!field || location.hash.length < 2) return;
    field.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname + location.search);
    document.getElementById("sign-in").focus();
  };
  take();
  addEventListener("hashchange", take); /* a link that is pasted into this page changes nothing else */
})();

/* What is left of a call, by the server's clock: data-now on an element says what time it was there when it was made. */
(() => {
  const clock = document.querySelector("[data-now]");
  if (!clock) return;
  const ahead = Number(clock.dataset.now) - Date.now();
  const text = (seconds) => {
    const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
    const two = (value) => String(value).padStart(2, "0");
    return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
  };
  const tick = () => {
    const now = Date.now() + ahead;
    for (const cell of document.querySelectorAll("[data-until]")) {
      cell.textContent = text(Math.max(0, Math.ceil((Number(cell.dataset.until) - now) / 1000)));
    }
    for (const cell of document.querySelectorAll("[data-since]")) {
      cell.textContent = text(Math.max(0, Math.floor((now - Number(cell.dataset.since)) / 1000)));
    }
  };
  tick();
  setInterval(tick, 1000);
})();

/* Copies a text that was shown on purpose. Where a frame may not use the clipboard, the text is selected instead. */
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  const shown = button && document.querySelector(button.dataset.copy);
  if (!shown) return;
  getSelection().selectAllChildren(shown);
  navigator.clipboard?.writeText(shown.textContent).then(() => { button.textContent = "Copied"; }, () => {});
});
