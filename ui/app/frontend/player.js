// The player: a queue, a clock, and a worker that renders ahead. Blocks of samples are scheduled one behind
// another on the clock of the sound card, so that joints are exact.

const FIRST_BLOCK_S = 0.15, BLOCK_S = 1.5, AHEAD_S = 5;

function remembered(name, otherwise) {
  try { return JSON.parse(localStorage.getItem(`midikin-${name}`)) ?? otherwise; } catch { return otherwise; }
}
function remember(name, value) {
  try { localStorage.setItem(`midikin-${name}`, JSON.stringify(value)); } catch { /* a browser without storage */ }
}

class Player {
  constructor() {
    this.queue = [];
    this.index = -1;
    this.notes = null; // of the item that is loaded
    this.playing = false;
    this.position = 0; // where playing goes on
    this.mute = [];
    this.solo = [];
    this.loop = null; // [from, to] in seconds
    this.volume = remembered("volume", 0.7);
    this.speed = remembered("speed", 1);
    this.job = 0;
    this.blocks = []; // the last ones that were scheduled: {left, right, position, at}
    this.error = "";
    this.worker = new Worker(URL.createObjectURL(new Blob([SYNTH_SOURCE], { type: "text/javascript" })));
    this.worker.onmessage = ({ data }) => this.schedule(data);
  }

  get item() { return this.queue[this.index] || null; }

  // The clock of the music.
  now() {
    if (!this.playing || this.startedAt === null) return this.position;
    const passed = Math.max(0, this.context.currentTime - this.startedAt) * this.speed;
    const at = this.position + passed;
    if (this.loop && this.position < this.loop[1] && at >= this.loop[1]) {
      const [from, to] = this.loop;
      return from + ((at - to) % (to - from));
    }
    return this.item?.to && !this.loop && this.ranged ? Math.min(at, this.item.to) : Math.min(at, this.notes ? this.notes.end : at);
  }

  async play(items, index = 0) {
    this.queue = items;
    await this.load(index, true);
  }

  async load(index, start) {
    this.halt();
    const item = this.queue[index];
    if (!item) return this.changed();
    this.context ||= new AudioContext({ latencyHint: "playback" });
    this.context.resume(); // in the click that asked for it
    this.index = index;
    this.error = "";
    this.notes = null;
    const asked = (this.asked = {});
    this.playing = start;
    this.startedAt = null;
    this.position = item.from ?? 0;
    this.changed();
    try {
      const notes = item.notes ? item.notes : await notesOf(item.id);
      if (this.asked !== asked) return;
      this.notes = notes;
    } catch (error) {
      if (this.asked !== asked) return;
      this.playing = false;
      this.error = error.message || "These notes could not be fetched.";
      return this.changed();
    }
    this.mute = [];
    this.solo = [];
    this.loop = null;
    this.ranged = item.from !== undefined && item.from !== null;
    this.position = this.ranged ? item.from : Math.max(0, this.notes.start - 0.02);
    if (start) this.begin(this.position); else this.changed();
  }

  get silent() { return this.notes ? this.notes.parts.map((_, i) => i).filter((i) => this.mute.includes(i) || (this.solo.length && !this.solo.includes(i))) : []; }

  begin(position) {
    this.halt();
    const { notes, item } = this;
    if (!notes) return;
    const inLoop = this.loop && position < this.loop[1] - 0.02;
    const stop = inLoop ? this.loop[1] : this.ranged && item.to && position < item.to - 0.05 ? item.to : Infinity;
    if (stop === Infinity) this.ranged = false;
    this.position = position;
    this.playing = true;
    this.startedAt = null;
    this.endsAt = null;
    this.blocks = [];
    this.output = this.context.createGain();
    this.output.gain.value = this.volume ** 1.5;
    this.output.connect(this.context.destination);
    this.worker.postMessage({ job: ++this.job, seconds: FIRST_BLOCK_S, start: {
      notes: { count: notes.count, onset: notes.onset, duration: notes.duration, pitch: notes.pitch, velocity: notes.velocity, part: notes.part },
      parts: notes.parts, from: position, to: stop, speed: this.speed, silent: this.silent, loop: false } });
    this.wanted = inLoop ? this.loop : null;
    this.watch();
    this.changed();
  }

  schedule({ job, left, right, position, done }) {
    if (job !== this.job || !this.playing) return;
    const { context } = this, buffer = context.createBuffer(2, left.length, SYNTH_RATE);
    buffer.copyToChannel(left, 0);
    buffer.copyToChannel(right, 1);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.output);
    if (this.startedAt === null) {
      // A whole number of samples of the sound card: resampling then begins every block at the same phase.
      this.nextAt = Math.ceil((context.currentTime + 0.03) * SYNTH_RATE) / SYNTH_RATE;
      this.startedAt = this.nextAt;
      this.firstSoundMs = performance.now() - this.begunMs;
    }
    if (this.nextAt < context.currentTime) { // the machine was too slow: go on from here
      this.startedAt += context.currentTime + 0.02 - this.nextAt;
      this.nextAt = context.currentTime + 0.02;
    }
    source.start(this.nextAt);
    this.blocks.push({ left, right, position, at: this.nextAt });
    if (this.blocks.length > 40) this.blocks.shift();
    this.nextAt += left.length / SYNTH_RATE;
    if (done) this.endsAt = this.nextAt - 0.4; else this.more();
  }

  more() {
    if (this.playing && this.startedAt !== null && this.endsAt === null && !this.pending && this.nextAt - this.context.currentTime < AHEAD_S) {
      this.worker.postMessage({ job: this.job, seconds: BLOCK_S });
    }
  }

  watch() {
    clearInterval(this.timer);
    this.begunMs = performance.now();
    this.timer = setInterval(() => {
      if (!this.playing) return clearInterval(this.timer);
      if (this.startedAt !== null && this.nextAt - this.context.currentTime < AHEAD_S - BLOCK_S) this.more();
      if (this.wanted && this.endsAt === null && this.now() >= this.wanted[1] - 0.03) return this.begin(this.wanted[0]);
      if (this.endsAt !== null && this.context.currentTime > this.endsAt) this.finished();
    }, 60);
    const frame = () => {
      if (!this.playing) return;
      this.moved();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  finished() {
    if (this.loop && this.wanted) return this.begin(this.loop[0]);
    if (this.index + 1 < this.queue.length) return this.load(this.index + 1, true);
    this.halt();
    this.position = this.item?.from ?? (this.notes ? Math.max(0, this.notes.start - 0.02) : 0);
    this.ranged = this.item?.from !== undefined && this.item?.from !== null;
    this.changed();
  }

  // Silence at once, without a click.
  halt() {
    if (this.playing) this.position = this.now();
    this.playing = false;
    this.job++;
    clearInterval(this.timer);
    if (this.output) {
      const { output, context } = this;
      output.gain.setTargetAtTime(0, context.currentTime, 0.012);
      setTimeout(() => output.disconnect(), 120);
      this.output = null;
    }
  }

  toggle() {
    if (!this.item) return;
    if (this.playing) { this.halt(); return this.changed(); }
    this.context.resume();
    if (this.notes) this.begin(this.position); else this.load(this.index, true);
  }

  seek(second) {
    if (!this.notes) return;
    const at = Math.min(Math.max(0, second), Math.max(0, this.notes.end - 0.05));
    if (this.item?.to && at > this.item.to) this.ranged = false;
    if (this.playing) this.begin(at); else { this.position = at; this.changed(); }
  }

  skip(step) {
    if (step < 0 && this.now() - (this.item?.from ?? 0) > 3) return this.seek(this.item?.from ?? this.notes?.start ?? 0);
    if (this.queue[this.index + step]) this.load(this.index + step, true);
  }

  part(i, kind) {
    const list = this[kind];
    this[kind] = list.includes(i) ? list.filter((j) => j !== i) : [...list, i];
    this.again();
  }

  muteAll() {
    if (!this.notes) return;
    this.mute = this.mute.length === this.notes.parts.length ? [] : this.notes.parts.map((_, i) => i);
    this.again();
  }

  again() { if (this.playing) this.begin(this.now()); else this.changed(); }

  setLoop(range) {
    this.loop = range && range[1] - range[0] > 0.1 ? range : null;
    if (this.playing) this.begin(this.loop && (this.now() < this.loop[0] || this.now() >= this.loop[1]) ? this.loop[0] : this.now()); else this.changed();
  }

  setSpeed(speed) {
    const at = this.now();
    this.speed = speed;
    remember("speed", speed);
    if (this.playing) { this.position = at; this.startedAt = null; this.begin(at); } else this.changed();
  }

  setVolume(volume) {
    this.volume = volume;
    remember("volume", volume);
    if (this.output) this.output.gain.setTargetAtTime(volume ** 1.5, this.context.currentTime, 0.02);
    this.changed();
  }

  // A struck key cannot wait for the worker.
  strike(pitch, velocity) {
    this.context ||= new AudioContext({ latencyHint: "interactive" });
    this.context.resume();
    const samples = struckSound("piano", pitch), buffer = this.context.createBuffer(1, samples.length, SYNTH_RATE);
    buffer.copyToChannel(samples, 0);
    const source = this.context.createBufferSource(), gain = this.context.createGain();
    gain.gain.value = (0.06 + 0.4 * (velocity / 127) ** 1.5) * this.volume ** 1.5;
    gain.gain.setTargetAtTime(0, this.context.currentTime + 0.8, 0.15);
    source.buffer = buffer;
    source.connect(gain).connect(this.context.destination);
    source.start();
    source.stop(this.context.currentTime + 1.6);
  }

  publish() {
    midikin.state = { key: this.item?.key ?? null, playing: this.playing, position: this.now(), mute: this.mute, solo: this.solo,
      silent: new Set(this.silent), loop: this.loop };
  }

  moved() { this.publish(); window.dispatchEvent(new CustomEvent("midikin-player", { detail: "moved" })); }

  changed() { this.publish(); window.dispatchEvent(new CustomEvent("midikin-player", { detail: "changed" })); }
}
