// What every part of the pages shares: notes as they come from the server, a piano made of sines, and sound.
// It stands before the code of each part, so that each remains one module without imports.

const SAMPLE_RATE = 22050;
const CHUNK_S = 90; // music rendered at a time: a tenth of a second of work
const RELEASE_S = 0.14;

function decodeBytes(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

// Columns of one length: onsets and durations in milliseconds, pitches, velocities.
function decodeNotes(text) {
  const bytes = decodeBytes(text);
  const count = bytes.length / 10;
  const view = new DataView(bytes.buffer);
  const onset = new Float64Array(count), duration = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    onset[i] = view.getUint32(4 * i, true) / 1000;
    duration[i] = view.getUint32(4 * (count + i), true) / 1000;
  }
  const pitch = bytes.subarray(8 * count, 9 * count), velocity = bytes.subarray(9 * count);
  return { count, onset, duration, pitch, velocity };
}

// Notes that one part of the page has, for the others that play them too: sent once, known by a name.
const MOST_HELD = 20;
const heldNotes = (window.midikinNotes ||= new Map());

function holdNotes(name, text) {
  heldNotes.delete(name);
  heldNotes.set(name, text);
  if (heldNotes.size > MOST_HELD) heldNotes.delete(heldNotes.keys().next().value);
}

function firstFrom(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const two = (n) => String(n).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

// -- a piano -----------------------------------------------------------------------------------------------

const voices = new Map();

// One struck string: partials a little sharp of harmonic, the higher the sooner gone.
function voice(pitch) {
  if (voices.has(pitch)) return voices.get(pitch);
  const base = 440 * 2 ** ((pitch - 69) / 12);
  const seconds = Math.min(5, Math.max(1.2, 5 - (pitch - 30) / 20));
  const sound = new Float32Array(Math.floor(seconds * SAMPLE_RATE));
  for (let n = 1; n <= 12; n++) {
    const frequency = base * n * Math.sqrt(1 + 0.0004 * n * n);
    if (frequency > 0.45 * SAMPLE_RATE) break;
    const strength = (n % 8 === 0 ? 0.2 : 1) / n ** 1.25;
    const decay = Math.exp(-(0.9 + 0.55 * n) * (base / 262) ** 0.35 / SAMPLE_RATE);
    // A turning pointer, two multiplications a sample, instead of a sine each.
    const turn = (2 * Math.PI * frequency) / SAMPLE_RATE;
    const re = Math.cos(turn) * decay, im = Math.sin(turn) * decay;
    let x = strength, y = 0;
    for (let i = 0; i < sound.length; i++) {
      sound[i] += y;
      const next = x * re - y * im;
      y = x * im + y * re;
      x = next;
    }
  }
  const attack = Math.floor(0.003 * SAMPLE_RATE), end = Math.floor(0.1 * SAMPLE_RATE);
  for (let i = 0; i < attack; i++) sound[i] *= i / attack;
  for (let i = 0; i < end; i++) sound[sound.length - 1 - i] *= i / end;
  voices.set(pitch, sound);
  return sound;
}

// Samples of the notes that sound between two times, and of their ringing out for some seconds more.
function mix(notes, fromS, toS, tailS) {
  const out = new Float32Array(Math.ceil((toS - fromS + tailS) * SAMPLE_RATE));
  const release = Math.floor(RELEASE_S * SAMPLE_RATE);
  for (let i = firstFrom(notes.onset, fromS - 8); i < notes.count && notes.onset[i] < toS; i++) {
    const sound = voice(notes.pitch[i]);
    const skip = Math.max(0, Math.floor((fromS - notes.onset[i]) * SAMPLE_RATE));
    const at = Math.max(0, Math.floor((notes.onset[i] - fromS) * SAMPLE_RATE));
    const held = Math.floor(notes.duration[i] * SAMPLE_RATE);
    const last = Math.min(sound.length, held + release, skip + out.length - at);
    const gain = 0.06 + 0.2 * (notes.velocity[i] / 127) ** 1.5; // the softest can still be heard
    for (let j = skip; j < last; j++) {
      const fade = j > held ? gain * (1 - (j - held) / release) : gain;
      out[at + j - skip] += fade * sound[j];
    }
  }
  for (let i = 0; i < out.length; i++) out[i] = Math.tanh(out[i]); // many notes at once bend, and never break
  return out;
}

function wavOf(samples) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const word = (at, text) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  word(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); word(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, SAMPLE_RATE, true); view.setUint32(28, 2 * SAMPLE_RATE, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  word(36, "data"); view.setUint32(40, 2 * samples.length, true);
  for (let i = 0; i < samples.length; i++) view.setInt16(44 + 2 * i, 32767 * samples[i], true);
  return new Blob([view], { type: "audio/wav" });
}

// Plays spans of music, one after the other, through an audio element; only one player of a page sounds.
class Player {
  constructor(audio, tell) {
    this.audio = audio;
    this.tell = tell; // told of every change and every moment: tell(player)
    this.queue = [];
    this.span = null; // {notes, from, to, lane}: what is sounding
    this.onOther = (event) => { if (event.detail !== this) this.stop(); };
    window.addEventListener("midikin-plays", this.onOther);
    audio.addEventListener("ended", () => this.next());
  }

  get playing() { return this.span !== null && !this.audio.paused; }

  get now() { return this.span ? Math.min(this.span.to, this.begun + this.audio.currentTime) : null; }

  play(spans) {
    window.dispatchEvent(new CustomEvent("midikin-plays", { detail: this }));
    this.queue = spans.flatMap((span) => {
      const parts = [];
      for (let at = span.from; at < span.to; at += CHUNK_S) {
        const to = Math.min(span.to, at + CHUNK_S);
        parts.push({ ...span, from: at, to, tail: to === span.to ? 0.5 : 0 });
      }
      return parts;
    });
    this.next();
  }

  next() {
    const span = this.queue.shift();
    if (!span) { this.stop(); return; }
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(wavOf(mix(span.notes, span.from, span.to, span.tail)));
    this.span = span;
    this.begun = span.from;
    this.audio.src = this.url;
    this.audio.play().then(() => this.follow(), () => this.stop());
  }

  follow() {
    this.tell(this);
    if (this.playing) this.frame = requestAnimationFrame(() => this.follow());
  }

  pause() { this.audio.pause(); this.tell(this); }

  resume() {
    window.dispatchEvent(new CustomEvent("midikin-plays", { detail: this }));
    this.audio.play().then(() => this.follow(), () => this.stop());
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.queue = [];
    this.audio.pause();
    this.span = null;
    this.tell(this);
  }

  release() {
    this.stop();
    window.removeEventListener("midikin-plays", this.onOther);
    if (this.url) URL.revokeObjectURL(this.url);
    this.audio.removeAttribute("src");
  }
}

// -- drawing -----------------------------------------------------------------------------------------------

function colour(element, name, otherwise) {
  return getComputedStyle(element).getPropertyValue(name).trim() || otherwise;
}

// A canvas as sharp as the screen, in the units of the page.
function paperOf(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

// Lowest and highest pitch to show: at least two octaves.
function compass(...several) {
  let low = 127, high = 0;
  for (const notes of several) {
    for (const pitch of notes.pitch) { low = Math.min(low, pitch); high = Math.max(high, pitch); }
  }
  if (low > high) [low, high] = [48, 72];
  const lack = Math.max(0, 24 - (high - low));
  return [Math.max(0, low - Math.ceil(lack / 2) - 1), Math.min(127, high + Math.floor(lack / 2) + 1)];
}

// Notes in a box; `place(seconds)` tells where a moment stands, or null where it does not stand at all.
function drawNotes(context, notes, box, pitches, place, fill) {
  const step = box.height / (pitches[1] - pitches[0] + 1);
  for (let i = 0; i < notes.count; i++) {
    const x = place(notes.onset[i]);
    if (x === null || x > box.x + box.width) continue;
    const end = place(notes.onset[i] + notes.duration[i]);
    const width = Math.max(1, (end === null ? x + 2 : end) - x - 0.4);
    if (x + width < box.x) continue;
    context.globalAlpha = 0.45 + 0.55 * (notes.velocity[i] / 127);
    context.fillStyle = typeof fill === "function" ? fill(i) : fill;
    const y = box.y + (pitches[1] - notes.pitch[i]) * step;
    const left = Math.max(box.x, x);
    context.fillRect(left, y, Math.min(x + width, box.x + box.width) - left, Math.max(1.3, step - 0.4));
  }
  context.globalAlpha = 1;
}

function lasting(notes) {
  let end = 0;
  for (let i = 0; i < notes.count; i++) end = Math.max(end, notes.onset[i] + notes.duration[i]);
  return { start: notes.count ? notes.onset[0] : 0, end };
}

function button(parent, label, onClick, title) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  if (title) { made.title = title; made.setAttribute("aria-label", title); }
  made.addEventListener("click", onClick);
  parent.appendChild(made);
  return made;
}

// The part's state lives with its place in the page: the function below runs again at every change of data.
function stateOf(component, make) {
  const { parentElement } = component;
  const root = parentElement.querySelector(".midikin");
  if (!root.midikin) root.midikin = make(root);
  return root.midikin;
}
