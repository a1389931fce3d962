"use strict";

// One line over JsSIP: it connects, registers if it is called, and has one call at a time. It knows nothing of the page.
//
// `line` is what /phone/lines gives, `microphone` the sound to send. `on` has four functions:
//   line(state)       "connecting", "ready", "lost" or "refused"
//   call(state, peer) "calling", "ringing", "called", "talking" or "none"; the other side's number
//   sound(stream)     what the other side says
//   over(outcome)     how a call ended: { isOurs, seconds, byUs, status, peer }; seconds is null if nobody answered
class Telephone {
  constructor(line, microphone, on) {
    this.line = line;
    this.microphone = microphone;
    this.on = on;
    this.session = null;
    JsSIP.debug.disable();
    const address = new URL("phone/sip", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.agent = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(address.href)],
      uri: `sip:${line.user}@127.0.0.1`,
      password: line.password,
      register: line.registers,
      register_expires: 60,
      session_timers: false,
      connection_recovery_min_interval: 1,
      connection_recovery_max_interval: 4,
    });
    this.#follow();
    on.line("connecting");
    this.agent.start();
  }

  #follow() {
    this.agent.on("connected", () => this.on.line(this.line.registers ? "connecting" : "ready"));
    this.agent.on("disconnected", () => this.on.line("lost"));
    this.agent.on("registered", () => this.on.line("ready"));
    this.agent.on("registrationFailed", ({ response }) => this.on.line(response ? "refused" : "lost"));
    this.agent.on("newRTCSession", ({ originator, session }) => {
      if (this.session) session.terminate({ status_code: 486 });
      else this.#take(session, originator === "local");
    });
  }

  get #media() {
    return {
      mediaStream: this.microphone,
      mediaConstraints: { audio: true, video: false },
      pcConfig: { iceServers: [] },
    };
  }

  dial(number) {
    this.agent.call(`sip:${number}@127.0.0.1`, { ...this.#media, rtcOfferConstraints: { offerToReceiveAudio: true } });
  }

  answer() {
    this.session?.answer(this.#media);
  }

  hangUp() {
    if (!this.session) return;
    // A telephone that is called is busy then; JsSIP's own answer, 480, would mean that nobody is there.
    const declines = this.session.direction === "incoming" && !this.session.isEstablished();
    this.session.terminate(declines ? { status_code: 486 } : {});
  }

  close() {
    this.agent.stop();
  }

  #take(session, isOurs) {
    const peer = session.remote_identity.uri.user;
    let began = null;
    this.session = session;
    this.on.call(isOurs ? "calling" : "called", peer);
    session.on("progress", () => isOurs && this.on.call("ringing", peer));
    session.on("confirmed", () => {
      began = performance.now();
      this.on.call("talking", peer);
    });
    // There is no STUN server to wait for: the first address is as good as any other.
    session.on("icecandidate", ({ ready }) => ready());
    session.on("sdp", (description) => {
      description.sdp = description.originator === "local" ? withAddresses(description.sdp) : withLoopback(description.sdp);
    });
    const over = ({ originator, message }) => {
      this.session = null;
      this.on.call("none", peer);
      this.on.over({
        isOurs,
        seconds: began === null ? null : (performance.now() - began) / 1000,
        byUs: originator === "local",
        status: message?.status_code ?? null,
        peer,
      });
    };
    session.on("ended", over);
    session.on("failed", over);
    if (session.connection) this.#listen(session.connection);
    else session.on("peerconnection", ({ peerconnection }) => this.#listen(peerconnection));
  }

  #listen(connection) {
    connection.addEventListener("track", ({ track, streams }) => this.on.sound(streams[0] ?? new MediaStream([track])));
  }
}

// Asterisk names the machine's addresses as places for sound, but it listens on 127.0.0.1 alone.
function withLoopback(sdp) {
  return sdp.replace(/^(a=candidate:(?:\S+ ){4})\S+ /gm, (_, before) => `${before}127.0.0.1 `);
}

// A browser that hides its addresses writes names in `.local` in their place (mDNS), which Asterisk cannot look up, and
// 0.0.0.0, which Asterisk takes for a hold. Any address will do: Asterisk learns the right one when the browser's packets
// arrive (RFC 8445, peer-reflexive candidates), but it waits for them only if it was given one.
function withAddresses(sdp) {
  return sdp
    .replace(/^c=IN IP4 0\.0\.0\.0/m, "c=IN IP4 127.0.0.1")
    .replace(/^(a=candidate:(?:\S+ ){4})\S+\.local /gm, (_, before) => `${before}127.0.0.1 `);
}
