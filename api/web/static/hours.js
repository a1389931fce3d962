"use strict";
/* Makes rows of days and times of the lines in a field of weekly hours. The field stays, and is what the form sends:
   without this script, or with lines that cannot be read, people write the lines themselves. */
(() => {
  const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
  const LINE = /^([a-z,-]*[a-z])?\s*(\d\d:\d\d)?-(\d\d:\d\d)?$/;

  const element = (name, text = "", values = {}) => Object.assign(document.createElement(name), { textContent: text }, values);

  const daysOf = (text) => text.split(",").flatMap((part) => {
    const [first, last = first] = part.split("-").map((day) => DAYS.indexOf(day));
    if (first < 0 || last < 0) return [NaN];
    return DAYS.map((_, day) => day).filter((day) => first <= last ? first <= day && day <= last : first <= day || day <= last);
  });

  /* The day ends at 24:00, which a field for times cannot say. */
  const read = (line) => {
    const found = LINE.exec(line.trim().toLowerCase());
    const days = found?.[1] ? daysOf(found[1]) : [];
    return found && !days.some(Number.isNaN) ? { days, from: found[2] ?? "", to: found[3] === "24:00" ? "00:00" : found[3] ?? "" } : null;
  };

  const write = (row) => {
    const days = [...row.querySelectorAll("[type=checkbox]")].flatMap((box, day) => box.checked ? [DAYS[day]] : []);
    const [from, to] = [...row.querySelectorAll("[type=time]")].map((field) => field.value);
    return days.length || from || to ? `${days.join(",")} ${from}-${to === "00:00" ? "24:00" : to}`.trim() : "";
  };

  const field = (text, values) => {
    const label = element("label");
    label.append(...(values.type === "checkbox" ? [element("input", "", values), text] : [text, element("input", "", values)]));
    return label;
  };

  const rowOf = ({ days, from, to }, number) => {
    const row = element("div", "", { className: "hours-row" });
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", `Time ${number}`);
    const named = DAYS.map((day, index) => field(day[0].toUpperCase() + day.slice(1), { type: "checkbox", checked: days.includes(index) }));
    row.append(...named, field("from", { type: "time", value: from }), field("to", { type: "time", value: to }));
    row.append(element("button", "Remove", { type: "button", className: "secondary outline small" }));
    return row;
  };

  const enhance = (part) => {
    part.dataset.hours = "rows";
    const lines = part.querySelector("[name=hours]"), zone = part.querySelector("[name=timeZone]");
    const times = lines.value.split("\n").filter((line) => line.trim()).map(read);
    if (times.includes(null)) return;
    const rows = element("div", "", { className: "hours" }), none = element("p", "At any time.");
    const add = element("button", "Add a time", { type: "button", className: "secondary outline small" });
    const written = () => { lines.value = [...rows.children].map(write).filter(Boolean).join("\n"); };
    const counted = () => {
      none.hidden = rows.children.length > 0;
      [...rows.children].forEach((row, index) => row.setAttribute("aria-label", `Time ${index + 1}`));
    };
    rows.append(...times.map((time, index) => rowOf(time, index + 1)));
    rows.addEventListener("input", written);
    rows.addEventListener("click", (event) => {
      if (!event.target.matches("button")) return;
      event.target.closest(".hours-row").remove();
      written();
      counted();
      add.focus();
    });
    add.addEventListener("click", () => {
      if (!zone.value) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
      const row = rowOf({ days: [], from: "", to: "" }, rows.children.length + 1);
      rows.append(row);
      counted();
      row.querySelector("input").focus();
    });
    if (lines.getAttribute("aria-invalid")) {
      rows.querySelectorAll("input").forEach((input) => {
        input.setAttribute("aria-invalid", "true");
        input.setAttribute("aria-describedby", lines.getAttribute("aria-describedby"));
      });
    }
    counted();
    /* Not the attribute `hidden` of each: htmx resets the attributes of what has an id. */
    const hidden = element("div", "", { hidden: true });
    const help = part.querySelector(`#${CSS.escape(lines.id.replace("f", "h"))}`);
    lines.before(rows, none, add, hidden);
    hidden.append(part.querySelector(`label[for="${lines.id}"]`), lines, help);
  };

  /* A form that was refused comes back in a new part of the page. */
  const all = () => document.querySelectorAll('[data-hours=""]').forEach(enhance);
  new MutationObserver(all).observe(document.body, { childList: true, subtree: true });
  all();
})();
