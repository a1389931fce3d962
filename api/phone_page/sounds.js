"use strict";

// The tones that a telephone makes by itself: Asterisk sends none before a call is answered.
class Rings {
  // Hertz; seconds of sound; seconds of silence.
  static CADENCES = { calling: [425, 1, 3], ringing: [480, 1.2, 1.8] };

  // The browser allows sound only after a click; this is made in one.
  constructor() {
    this.context = new AudioContext();
    this.timer = null;
    this.tone = null;
  }

  start(kind) {
    this.stop();
    const [hertz, sound, silence] = Rings.CADENCES[kind];
    const once = () => this.#once(hertz, sound);
    once();
    this.timer = setInterval(once, (sound + silence) * 1000);
  }

  stop() {
    clearInterval(this.timer);
    this.tone?.stop();
    this.tone = null;
  }

  close() {
    this.stop();
    this.context.close();
  }

  #once(hertz, seconds) {
    const volume = new GainNode(this.context, { gain: 0.08 });
    this.tone = new OscillatorNode(this.context, { frequency: hertz });
    this.tone.connect(volume).connect(this.context.destination);
    this.tone.start();
    this.tone.stop(this.context.currentTime + seconds);
  }
}
