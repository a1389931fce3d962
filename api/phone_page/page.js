"use strict";

// The page: which of the two telephones this tab is, what it shows, and what its buttons do.

const element = (id) => document.getElementById(id);

const ROLES = {
  caller: {
    title: "The caller",
    about: "A telephone somewhere on the network. It knows the rented number, and nothing else.",
  },
  hidden: {
    title: "The hidden telephone",
    about: "A telephone whose number no caller learns. It rings when somebody calls the rented number.",
  },
};
const LINES = {
  connecting: "connecting",
  ready: "ready",
  lost: "not connected",
  refused: "not registered",
};
const CALLS = {
  none: "none",
  calling: "calling",
  ringing: "it rings at",
  called: "a call from",
  talking: "connected with",
};
const LINE_TROUBLE = {
  lost: "The line is not connected: the engine or Asterisk does not answer. The page keeps trying.",
  refused: "The line is not registered: Asterisk has refused it. Reload the page; the system may have been restarted.",
};
const MICROPHONE_TROUBLE = {
  NotAllowedError: "The browser refuses the microphone. Allow it for this page, in the address bar or in the browser's "
    + "settings, and switch on again.",
  NotFoundError: "This machine has no microphone that the browser can use. Connect one, and switch on again.",
  NotReadableError: "The microphone cannot be opened; perhaps another program uses it. End that program, and switch on again.",
};
const FIREFOX = "In Firefox, open about:config and set media.peerconnection.ice.loopback to true.";
const REFUSALS = {
  200: "The hidden telephone answered, but the browser found no way for the sound to Asterisk, which uses the address "
    + `127.0.0.1 alone. ${FIREFOX}`,
  401: "The line's password is no longer valid. Reload the page.",
  403: "The call was refused: the booking does not take this caller, or its hidden number must not be called.",
  404: "Nobody has rented this number.",
  407: "The line's password is no longer valid. Reload the page.",
  410: "The booking of this number has expired, or nothing is left of it.",
  480: "Nobody answered, or the booking is paused.",
  486: "The line is busy, the call was declined, or the booking takes no further calls at the moment.",
  487: "The call was given up before anybody answered.",
  488: "Asterisk and the browser found no way for the sound. Connect this machine to a network. "
    + FIREFOX,
  503: "The hidden telephone cannot be reached. Open its tab and switch it on.",
};

const tab = crypto.randomUUID?.() ?? String(Math.random());
const others = new BroadcastChannel("rented-numbers-telephones");
let role = null;
let telephone = null;
let microphone = null;
let rings = null;
let call = "none";
let peer = "";

function say(trouble) {
  element("notice").textContent = trouble;
  element("notice").hidden = !trouble;
}

function show() {
  const isOn = telephone !== null;
  const isIdle = call === "none";
  element("power").textContent = isOn ? "Switch off" : "Switch on";
  element("power").classList.toggle("first", !isOn);
  element("dial").hidden = role !== "caller" || !isOn;
  element("call").classList.toggle("first", isIdle);
  element("answer").hidden = call !== "called";
  element("answer").classList.add("first");
  element("hang-up").hidden = isIdle;
  element("hang-up").textContent = call === "called" ? "Decline" : "Hang up";
  element("mute").hidden = call !== "talking";
  element("state").textContent = isIdle ? CALLS.none : `${CALLS[call]} ${peer}`;
  document.title = `${call === "called" ? "☎ " : ""}${ROLES[role]?.title ?? "Telephone in the browser"} – rented numbers`;
}

function mute(isMuted) {
  for (const track of microphone?.getAudioTracks() ?? []) track.enabled = !isMuted;
  element("mute").setAttribute("aria-pressed", String(isMuted));
}

async function openMicrophone() {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    return say("Browsers give a page the microphone only in a secure context. Open this page on the engine's own machine as "
      + `http://127.0.0.1:${location.port || 80}/phone.`);
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    return say(MICROPHONE_TROUBLE[error.name] ?? `The microphone cannot be used: ${error.name}.`);
  }
}

async function askForLine() {
  try {
    const answer = await fetch(`phone/lines/${role}`, { method: "POST" });
    if (answer.ok) return await answer.json();
    return say("The telephones work only in a browser on the machine that runs the engine, at "
      + `http://127.0.0.1:${location.port || 80}/phone.`);
  } catch {
    return say("The engine does not answer. Start the system if it does not run, and switch on again.");
  }
}

async function switchOn() {
  element("power").disabled = true;
  say("");
  microphone = await openMicrophone();
  const line = microphone && await askForLine();
  element("power").disabled = false;
  if (!line) return switchOff();
  for (const track of microphone.getAudioTracks()) {
    track.addEventListener("ended", () => say("The microphone is gone. Connect it, and switch off and on again."));
  }
  others.postMessage({ role, tab });
  rings = new Rings();
  element("number").textContent = role === "hidden" ? `${line.number}, reached by the rented number ${line.rented}` : line.number;
  element("dialled").value ||= line.rented;
  telephone = new Telephone(line, microphone, { line: onLine, call: onCall, sound: onSound, over: onOver });
  show();
  return undefined;
}

function switchOff() {
  telephone?.close();
  rings?.close();
  for (const track of microphone?.getTracks() ?? []) track.stop();
  telephone = rings = microphone = null;
  call = "none";
  element("line").textContent = "switched off";
  element("call").disabled = true;
  show();
}

function onLine(state) {
  if (!telephone && state !== "connecting") return; // it was switched off
  element("line").textContent = LINES[state];
  element("call").disabled = state !== "ready" || call !== "none";
  say(LINE_TROUBLE[state] ?? "");
}

function onCall(state, number) {
  const isNew = call === "none";
  call = state;
  peer = number;
  if (state === "called" || state === "ringing") rings?.start(state === "called" ? "ringing" : "calling");
  else rings?.stop();
  if (isNew) element("over").hidden = true;
  element("call").disabled = state !== "none" || element("line").textContent !== LINES.ready;
  if (state === "none") mute(false);
  show();
  if (state === "called") element("answer").focus();
}

function onSound(stream) {
  element("sound").srcObject = stream;
}

function onOver({ isOurs, seconds, byUs, status }) {
  const who = byUs ? "this telephone" : "the other side, or the engine at the booking's limit";
  let text;
  if (seconds !== null) text = `The two talked for ${seconds.toFixed(1)} seconds. The call was ended by ${who}.`;
  else if (isOurs) text = REFUSALS[status] ?? (byUs ? "This telephone gave the call up." : "The call could not be connected.");
  else text = byUs ? "This telephone declined the call." : "The caller gave up before anybody answered.";
  if (isOurs && seconds === null && status) text += ` (SIP ${status})`;
  element("outcome").textContent = text;
  const caller = isOurs ? element("number").textContent : peer;
  element("trace").textContent = `rented-numbers calls trace ${caller}`;
  element("story").href = `console/calls?number=${encodeURIComponent(caller)}`;
  element("over").hidden = false;
}

function choose() {
  const chosen = location.hash.slice(1);
  if (telephone) switchOff();
  role = Object.hasOwn(ROLES, chosen) ? chosen : null;
  element("telephone").hidden = role === null;
  element("over").hidden = true;
  for (const name of Object.keys(ROLES)) {
    const link = element(name);
    if (name === role) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    // The first telephone is this tab, the other one a tab of its own.
    link.target = role && name !== role ? `rented-numbers-${name}` : "";
  }
  if (role) {
    element("title").textContent = ROLES[role].title;
    element("about").textContent = ROLES[role].about;
  }
  say(window.isSecureContext ? "" : "This page is not in a secure context, so the browser gives it no microphone. Open it on the "
    + `engine's own machine as http://127.0.0.1:${location.port || 80}/phone.`);
  show();
}

element("power").addEventListener("click", () => (telephone ? switchOff() : switchOn()));
element("dial").addEventListener("submit", (event) => {
  event.preventDefault();
  const number = element("dialled").value.replace(/[^+0-9]/g, "");
  if (!number) return say("Type the number that you want to call.");
  say("");
  return telephone?.dial(number);
});
element("answer").addEventListener("click", () => telephone?.answer());
element("hang-up").addEventListener("click", () => telephone?.hangUp());
element("mute").addEventListener("click", () => mute(element("mute").getAttribute("aria-pressed") !== "true"));
others.addEventListener("message", ({ data }) => {
  if (!telephone || data.role !== role || data.tab === tab) return;
  switchOff();
  say("Another tab has become this telephone.");
});
window.addEventListener("hashchange", choose);
window.addEventListener("pagehide", () => telephone && switchOff());
choose();
