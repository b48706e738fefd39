// A General MIDI synthesiser: notes and parts become stereo samples, block by block, without any gap between
// blocks. It knows nothing of the page, so that a worker, a test or the page itself can run it.
//
// Struck and plucked instruments are sums of decaying partials (modal synthesis), computed once for each key.
// Bowed, blown and synthetic ones read two band-limited wavetables, a dark and a bright one, and an envelope
// turns from one to the other. Drums are swept sines and filtered noise. A Schroeder reverberator (M. R.
// Schroeder, "Natural sounding artificial reverberation", JAES 10, 1962) puts all of them into one room.

const SYNTH_RATE = 32000;
const TABLE = 1024;
const SINE = Float32Array.from({ length: TABLE }, (_, i) => Math.sin((2 * Math.PI * i) / TABLE));

const frequencyOf = (pitch) => 440 * 2 ** ((pitch - 69) / 12);

function noiseSource(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2147483648 - 1;
  };
}

// -- instruments -------------------------------------------------------------------------------------------

const harmonic = (count, amplitude, decay, stretch = 0) => (base) => {
  const partials = [];
  for (let n = 1; n <= count; n++) {
    partials.push([n * Math.sqrt(1 + stretch * n * n), amplitude(n), decay(n) * (base / 262) ** 0.35]);
  }
  return partials;
};
const modes = (list) => (base) => list.map(([ratio, amplitude, decay]) => [ratio, amplitude, decay * (base / 262) ** 0.3]);
const plucked = (position, bright, damp, count = 14) =>
  harmonic(count, (n) => Math.abs(Math.sin(n * Math.PI * position)) / n ** bright, (n) => damp * (0.8 + 0.35 * n), 0.00005);

// name: partials, seconds at most, click (share of noise in the attack)
const STRUCK = {
  piano: [harmonic(14, (n) => (n % 8 === 0 ? 0.2 : 1) / n ** 1.25, (n) => 0.9 + 0.55 * n, 0.0004), 5, 0.02],
  epiano: [modes([[1, 1, 1.1], [2, 0.25, 2.2], [3, 0.08, 4], [14.1, 0.12, 9]]), 4, 0],
  harpsichord: [harmonic(20, (n) => 1 / n ** 0.65, (n) => 1.6 + 0.18 * n), 3, 0.05],
  clavinet: [plucked(0.11, 0.7, 3, 18), 1.6, 0.04],
  bell: [modes([[1, 1, 1.2], [2.76, 0.5, 2.4], [5.4, 0.28, 4.2], [8.93, 0.12, 7]]), 3.5, 0.01],
  musicbox: [modes([[1, 1, 2], [3.01, 0.35, 5], [6.2, 0.18, 9]]), 2.2, 0.02],
  vibraphone: [modes([[1, 1, 0.9], [3.98, 0.3, 3.2], [9.9, 0.06, 8]]), 4, 0.01],
  marimba: [modes([[1, 1, 5.5], [3.93, 0.28, 14], [9.2, 0.1, 26]]), 1.2, 0.03],
  tubular: [modes([[1, 0.7, 1], [2, 0.9, 0.9], [3.01, 0.5, 1.4], [4.17, 0.35, 2], [5.43, 0.2, 3]]), 5, 0.01],
  nylon: [plucked(0.28, 1.15, 1.7), 3.2, 0.02],
  steel: [plucked(0.16, 0.85, 1.3, 18), 3.6, 0.03],
  electric: [plucked(0.2, 1.05, 0.9), 3.6, 0.01],
  muted: [plucked(0.2, 1, 7), 0.7, 0.03],
  bass: [plucked(0.22, 1.15, 1.1, 12), 3, 0.01],
  slap: [plucked(0.1, 0.75, 1.8, 16), 2.2, 0.06],
  pizzicato: [plucked(0.3, 1.25, 5.5, 10), 0.9, 0.02],
  harp: [plucked(0.4, 1.5, 1.5, 10), 3, 0.01],
  timpani: [modes([[1, 1, 2.4], [1.5, 0.6, 3], [1.98, 0.35, 3.6], [2.44, 0.2, 4.4]]), 2, 0.12],
  sitar: [plucked(0.12, 0.6, 1.4, 24), 3, 0.03],
  banjo: [plucked(0.14, 0.75, 4.5, 16), 1.3, 0.05],
  kalimba: [modes([[1, 1, 3], [5.4, 0.2, 12]]), 1.6, 0.04],
  steeldrum: [modes([[1, 1, 2.4], [2, 0.7, 3], [3, 0.25, 5], [4.1, 0.15, 8]]), 1.8, 0.02],
  woodblock: [modes([[1, 1, 24], [2.6, 0.4, 40]]), 0.35, 0.1],
};

// name: harmonics of the bright table, exponent that darkens the dark one, envelope, vibrato, breath, detune
const sustained = (bright, dark, { attack = 0.02, settle = 0.3, sustain = 0.85, release = 0.08, open = 0.6,
  vibrato = 0, breath = 0, detune = 0, gain = 1 }) => ({ bright, dark, attack, settle, sustain, release, open, vibrato, breath, detune, gain });
const saw = (n) => 1 / n;
const square = (n) => (n % 2 ? 1 / n : 0.03 / n);
const list = (...amplitudes) => (n) => amplitudes[n - 1] || 0;
const SUSTAINED = {
  organ: sustained(list(0.7, 1, 0.5, 0.7, 0, 0.35, 0, 0.3), 0, { attack: 0.008, settle: 0.01, sustain: 1, release: 0.05 }),
  church: sustained(list(1, 0.9, 0.3, 0.7, 0.1, 0.25, 0.05, 0.35, 0, 0.15, 0, 0.1), 0, { attack: 0.05, sustain: 1, release: 0.2, detune: 3 }),
  reedorgan: sustained((n) => 1 / n ** 0.9, 0.6, { attack: 0.04, sustain: 1, release: 0.08, detune: 5 }),
  distorted: sustained((n) => (n % 2 ? 1 : 0.6) / n ** 0.75, 0.4, { attack: 0.004, settle: 1.5, sustain: 0.7, release: 0.06, gain: 0.8 }),
  synthbass: sustained(saw, 1.4, { attack: 0.005, settle: 0.25, sustain: 0.6, release: 0.05, open: 0.9 }),
  violin: sustained((n) => (n === 2 || n === 3 ? 1.2 : 1) / n ** 1.05, 0.5, { attack: 0.07, sustain: 0.95, release: 0.12, vibrato: 0.006, breath: 0.012 }),
  strings: sustained((n) => 1 / n ** 1.1, 0.7, { attack: 0.12, sustain: 0.95, release: 0.25, vibrato: 0.003, detune: 7 }),
  tremolo: sustained((n) => 1 / n ** 1.1, 0.6, { attack: 0.03, sustain: 0.9, release: 0.12, vibrato: 0.008, detune: 5 }),
  choir: sustained(list(1, 0.55, 0.75, 0.3, 0.12, 0.1, 0.06), 0.4, { attack: 0.1, sustain: 0.95, release: 0.2, vibrato: 0.004, detune: 6, breath: 0.02 }),
  brass: sustained((n) => 1 / n ** 0.8, 1.3, { attack: 0.045, settle: 0.2, sustain: 0.85, release: 0.07, open: 0.75 }),
  mutedbrass: sustained(list(0.3, 0.6, 0.9, 1, 0.8, 0.6, 0.4, 0.3, 0.2), 0.6, { attack: 0.04, sustain: 0.85, release: 0.06 }),
  horn: sustained((n) => 1 / n ** 1.3, 1, { attack: 0.06, sustain: 0.9, release: 0.1, open: 0.5 }),
  clarinet: sustained((n) => (n % 2 ? 1 : 0.12) / n ** 0.95, 0.7, { attack: 0.03, sustain: 0.95, release: 0.06, breath: 0.015 }),
  oboe: sustained(list(0.5, 0.8, 1, 0.75, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1), 0.4, { attack: 0.035, sustain: 0.95, release: 0.06, vibrato: 0.003 }),
  sax: sustained((n) => (n < 4 ? 1 : 0.8) / n ** 0.85, 0.9, { attack: 0.035, sustain: 0.9, release: 0.07, vibrato: 0.004, breath: 0.03, open: 0.65 }),
  flute: sustained(list(1, 0.35, 0.14, 0.05, 0.02), 0.5, { attack: 0.045, sustain: 0.95, release: 0.08, vibrato: 0.004, breath: 0.06 }),
  whistle: sustained(list(1, 0.06, 0.02), 0, { attack: 0.05, sustain: 1, release: 0.08, vibrato: 0.006, breath: 0.03 }),
  squarelead: sustained(square, 0.5, { attack: 0.006, sustain: 0.9, release: 0.06, gain: 0.8 }),
  sawlead: sustained(saw, 0.5, { attack: 0.006, sustain: 0.9, release: 0.06, detune: 6, gain: 0.8 }),
  pad: sustained((n) => 1 / n ** 1.4, 0.8, { attack: 0.35, settle: 1, sustain: 0.9, release: 0.6, detune: 8, open: 0.4 }),
  bagpipe: sustained((n) => 1 / n ** 0.6, 0.3, { attack: 0.03, sustain: 1, release: 0.03, gain: 0.7 }),
};

const PROGRAMS = [
  "piano piano piano piano epiano epiano harpsichord clavinet", "bell bell musicbox vibraphone marimba marimba tubular harpsichord",
  "organ organ organ church reedorgan reedorgan reedorgan reedorgan", "nylon steel electric electric muted distorted distorted electric",
  "bass bass bass bass slap slap synthbass synthbass", "violin violin violin violin tremolo pizzicato harp timpani",
  "strings strings strings strings choir choir choir brass", "brass brass horn mutedbrass horn brass brass brass",
  "sax sax sax sax oboe oboe oboe clarinet", "flute flute flute flute whistle flute whistle whistle",
  "squarelead sawlead flute sawlead distorted choir sawlead synthbass", "pad pad sawlead choir violin bell pad pad",
  "bell pad bell pad pad choir pad sitar", "sitar banjo banjo kalimba kalimba bagpipe violin oboe",
  "bell woodblock steeldrum woodblock timpani timpani timpani pad", "muted whistle pad whistle bell pad pad woodblock",
].flatMap((row) => row.split(" "));

const struckCache = new Map();

// One struck string or bar at full velocity, mono.
function struckSound(name, pitch) {
  const key = `${name}:${pitch}`;
  if (struckCache.has(key)) return struckCache.get(key);
  const [partialsOf, longest, click] = STRUCK[name], base = frequencyOf(pitch), partials = partialsOf(base);
  const slowest = Math.min(...partials.map(([, , decay]) => decay));
  const seconds = Math.min(longest, 6.2 / slowest), sound = new Float32Array(Math.ceil(seconds * SYNTH_RATE));
  let power = 0;
  for (const [ratio, amplitude, rate] of partials) {
    const frequency = base * ratio;
    if (frequency > 0.44 * SYNTH_RATE) continue;
    power += amplitude * amplitude;
    // A turning pointer: two multiplications a sample instead of a sine.
    const turn = (2 * Math.PI * frequency) / SYNTH_RATE, decay = Math.exp(-rate / SYNTH_RATE);
    const re = Math.cos(turn) * decay, im = Math.sin(turn) * decay, last = Math.min(sound.length, (7 / rate) * SYNTH_RATE);
    for (let i = 0, x = amplitude, y = 0; i < last; i++) {
      sound[i] += y;
      const next = x * re - y * im;
      y = x * im + y * re;
      x = next;
    }
  }
  const noise = noiseSource(pitch * 7919 + 1), attack = Math.floor(0.002 * SYNTH_RATE), end = Math.min(sound.length >> 1, 2000);
  const level = 0.7 / Math.sqrt(power || 1);
  for (let i = 0; i < sound.length; i++) sound[i] *= level;
  for (let i = 0, low = 0; i < 900 && i < sound.length; i++) { low += 0.35 * (noise() - low); sound[i] += click * 3 * low * Math.exp(-i / 220); }
  for (let i = 0; i < attack; i++) sound[i] *= i / attack;
  for (let i = 0; i < end; i++) sound[sound.length - 1 - i] *= i / end;
  if (struckCache.size > 400) struckCache.clear();
  struckCache.set(key, sound);
  return sound;
}

const tableCache = new Map();

// Wavetables of an instrument for a range of four keys: [dark, bright], of equal loudness.
function tablesOf(name, pitch) {
  const band = Math.max(0, Math.min(31, (pitch >> 2))), key = `${name}:${band}`;
  if (tableCache.has(key)) return tableCache.get(key);
  const { bright, dark } = SUSTAINED[name], count = Math.max(1, Math.min(40, Math.floor(0.44 * SYNTH_RATE / frequencyOf(4 * band + 3))));
  const tables = [dark, 0].map((darker) => {
    const table = new Float32Array(TABLE + 1);
    for (let n = 1; n <= count; n++) {
      const amplitude = bright(n) / n ** darker;
      if (amplitude < 1e-4) continue;
      const shift = n * n * 114; // scattered phases keep the peak low
      for (let i = 0; i <= TABLE; i++) table[i] += amplitude * SINE[(n * i + shift) & (TABLE - 1)];
    }
    let power = 0;
    for (let i = 0; i < TABLE; i++) power += table[i] * table[i];
    const level = 0.22 / Math.sqrt(power / TABLE);
    for (let i = 0; i <= TABLE; i++) table[i] *= level;
    return table;
  });
  tableCache.set(key, tables);
  return tables;
}

// Swept sine from one frequency to another, noise through a one-pole band, and how loud and long each is.
const drum = (tone, from, to, toneDecay, noise, low, high, noiseDecay, gain = 1) => ({ tone, from, to, toneDecay, noise, low, high, noiseDecay, gain });
const KICK = drum(1, 150, 48, 9, 0.25, 0, 3000, 60, 1.1), SNARE = drum(0.55, 240, 180, 22, 0.8, 700, 9000, 15);
const HAT = drum(0, 0, 0, 1, 0.8, 6500, 14000, 45, 1.4), OPEN = drum(0, 0, 0, 1, 0.8, 6000, 14000, 8, 1.2);
const CRASH = drum(0, 0, 0, 1, 0.9, 3500, 14000, 2.6, 0.9), RIDE = drum(0.12, 3100, 3100, 5, 0.55, 6000, 14000, 4.5, 1);
const tom = (frequency) => drum(1, frequency * 1.5, frequency, 8, 0.12, 200, 3000, 30, 0.9);
const DRUMS = {
  35: KICK, 36: KICK, 37: drum(0.7, 1700, 1500, 70, 0.5, 1500, 9000, 70, 0.7), 38: SNARE, 39: drum(0, 0, 0, 1, 1, 900, 4500, 22, 0.8), 40: SNARE,
  41: tom(75), 42: HAT, 43: tom(90), 44: HAT, 45: tom(108), 46: OPEN, 47: tom(128), 48: tom(150), 49: CRASH, 50: tom(178),
  51: RIDE, 52: CRASH, 53: drum(0.6, 2600, 2600, 4, 0.2, 6000, 14000, 8, 0.5), 54: drum(0.1, 5200, 5200, 20, 0.8, 5000, 14000, 18, 0.6),
  55: drum(0, 0, 0, 1, 0.9, 4500, 14000, 6, 0.6), 56: drum(0.9, 560, 555, 14, 0.1, 2000, 6000, 60, 0.6), 57: CRASH, 58: drum(0.4, 1800, 1600, 9, 0.4, 2500, 9000, 9, 0.5),
  59: RIDE, 60: drum(1, 430, 400, 20, 0.1, 800, 5000, 60, 0.7), 61: drum(1, 310, 290, 16, 0.1, 600, 4000, 60, 0.7), 62: drum(0.9, 380, 370, 45, 0.2, 900, 5000, 60, 0.7),
  63: drum(1, 340, 320, 12, 0.1, 800, 5000, 50, 0.7), 64: drum(1, 210, 200, 11, 0.1, 600, 4000, 50, 0.8), 65: drum(0.9, 480, 450, 16, 0.3, 1500, 8000, 30, 0.6),
  66: drum(0.9, 330, 310, 14, 0.3, 1500, 8000, 30, 0.6), 67: drum(1, 1180, 1175, 16, 0.1, 3000, 9000, 60, 0.5), 68: drum(1, 860, 855, 16, 0.1, 3000, 9000, 60, 0.5),
  69: drum(0, 0, 0, 1, 0.8, 4500, 12000, 32, 1), 70: drum(0, 0, 0, 1, 0.8, 5500, 13000, 50, 1), 75: drum(1, 2450, 2440, 60, 0.1, 3000, 9000, 90, 0.6),
  76: drum(1, 1050, 1040, 50, 0.1, 2000, 7000, 80, 0.6), 77: drum(1, 780, 770, 50, 0.1, 2000, 7000, 80, 0.6), 80: drum(1, 4100, 4100, 22, 0, 0, 1, 1, 0.4), 81: drum(1, 4100, 4100, 3.5, 0, 0, 1, 1, 0.4),
};
const OTHER_DRUM = drum(0.5, 700, 600, 30, 0.5, 1500, 9000, 30, 0.5);
const drumCache = new Map();

function drumSound(pitch) {
  if (drumCache.has(pitch)) return drumCache.get(pitch);
  const kind = DRUMS[pitch] || OTHER_DRUM, slowest = Math.min(kind.tone ? kind.toneDecay : 99, kind.noise ? kind.noiseDecay : 99);
  const sound = new Float32Array(Math.ceil(Math.min(2.2, 6 / slowest) * SYNTH_RATE)), noise = noiseSource(pitch * 131 + 7);
  const slope = (frequency) => 1 - Math.exp((-2 * Math.PI * Math.min(frequency, 0.45 * SYNTH_RATE)) / SYNTH_RATE);
  const lowpass = slope(kind.high), highpass = slope(kind.low);
  for (let i = 0, phase = 0, a = 0, b = 0; i < sound.length; i++) {
    const t = i / SYNTH_RATE;
    phase += (2 * Math.PI * (kind.to + (kind.from - kind.to) * Math.exp(-t * 28))) / SYNTH_RATE;
    a += lowpass * (noise() - a);
    b += highpass * (a - b);
    sound[i] = kind.gain * (kind.tone * Math.sin(phase) * Math.exp(-t * kind.toneDecay) + kind.noise * (a - b) * Math.exp(-t * kind.noiseDecay));
  }
  for (let i = 0; i < 24; i++) sound[i] *= i / 24;
  for (let i = 0; i < 400 && i < sound.length; i++) sound[sound.length - 1 - i] *= i / 400;
  drumCache.set(pitch, sound);
  return sound;
}

// -- the room ----------------------------------------------------------------------------------------------

class Reverb {
  constructor(spread) {
    this.combs = [1116, 1277, 1422, 1617].map((n) => ({ line: new Float32Array(Math.round((n + spread) * SYNTH_RATE / 44100)), at: 0, low: 0 }));
    this.passes = [556, 225].map((n) => ({ line: new Float32Array(Math.round((n + spread) * SYNTH_RATE / 44100)), at: 0 }));
  }

  run(input, output, level) {
    for (let i = 0; i < input.length; i++) {
      let sum = 0;
      for (const comb of this.combs) {
        const out = comb.line[comb.at];
        comb.low = 0.7 * out + 0.3 * comb.low;
        comb.line[comb.at] = input[i] + 0.76 * comb.low;
        if (++comb.at === comb.line.length) comb.at = 0;
        sum += out;
      }
      for (const pass of this.passes) {
        const held = pass.line[pass.at];
        pass.line[pass.at] = sum + 0.5 * held;
        sum = held - 0.5 * sum;
        if (++pass.at === pass.line.length) pass.at = 0;
      }
      output[i] += level * sum;
    }
  }
}

// -- the band ----------------------------------------------------------------------------------------------

class Band {
  // notes: columns sorted by onset, in seconds; parts: [{program, drums}]
  // from, to: seconds of the music; loop: begin at `from` again after `to`; silent: indexes of muted parts
  constructor({ notes, parts, from = 0, to = Infinity, loop = false, speed = 1, silent = [], reverb = 0.05 }) {
    Object.assign(this, { notes, parts, from, to, loop: loop && to - from > 0.05, speed, reverb });
    this.silent = new Set(silent);
    let end = 0;
    for (let i = 0; i < notes.count; i++) end = Math.max(end, notes.onset[i] + notes.duration[i]);
    this.to = Math.min(to, end);
    this.tail = to < end ? 0.2 : 1.2;
    this.frame = 0;
    this.rooms = [new Reverb(0), new Reverb(23)];
    const several = parts.length;
    this.pan = parts.map((part, i) => (several < 2 || part.drums || /bass/.test(PROGRAMS[part.program] || "") ? 0 : 0.55 * Math.sin(i * 2.4)));
    this.voices = [];
    this.begin(from);
  }

  // Start the music at a moment: what sounds there already sounds on.
  begin(second) {
    this.base = this.frame;
    this.start = second;
    const { onset, duration, count } = this.notes;
    let next = 0;
    while (next < count && onset[next] < second - 1e-6) {
      if (onset[next] + duration[next] > second + 0.02) this.strike(next, this.base, second - onset[next]);
      next++;
    }
    this.next = next;
  }

  frameOf(second) { return this.base + Math.round(((second - this.start) / this.speed) * SYNTH_RATE); }

  strike(i, at, skippedS) {
    const { notes } = this, part = notes.part ? notes.part[i] : 0;
    if (this.silent.has(part)) return;
    const { program, drums } = this.parts[part] || { program: 0 }, pitch = notes.pitch[i], velocity = notes.velocity[i] / 127;
    const held = Math.max(0.03, (notes.duration[i] - skippedS) / this.speed), pan = this.pan[part] || 0;
    const voice = { at, left: Math.cos((pan + 1) * Math.PI / 4), right: Math.sin((pan + 1) * Math.PI / 4), gain: 0.04 + 0.36 * velocity ** 1.6 };
    const name = PROGRAMS[program] || "piano";
    if (drums || STRUCK[name]) {
      voice.sound = drums ? drumSound(pitch) : struckSound(name, pitch);
      voice.position = Math.floor((skippedS / this.speed) * SYNTH_RATE);
      voice.off = at + (drums ? 1e9 : Math.round(held * SYNTH_RATE));
      voice.release = Math.round((name === "piano" ? 0.14 : 0.1) * SYNTH_RATE);
      voice.fadeIn = skippedS > 0 ? 160 : 0;
      voice.gain *= drums ? 0.9 : 1;
    } else {
      voice.kind = SUSTAINED[name];
      [voice.dark, voice.bright] = tablesOf(name, pitch);
      voice.step = (frequencyOf(pitch) * TABLE) / SYNTH_RATE;
      voice.phase = (i * 733) % TABLE;
      voice.phase2 = (i * 1471) % TABLE;
      voice.off = at + Math.round(held * SYNTH_RATE);
      voice.age = skippedS / this.speed;
      voice.level = 0;
      voice.brightness = voice.kind.open * (0.35 + 0.65 * velocity);
      voice.noise = noiseSource(i + 1);
      voice.gain *= voice.kind.gain * 1.1;
    }
    this.voices.push(voice);
  }

  // The next samples; `done` once all has died away.
  render(frames) {
    const left = new Float32Array(frames), right = new Float32Array(frames), first = this.frame;
    const position = this.start + ((first - this.base) / SYNTH_RATE) * this.speed;
    let made = 0;
    while (made < frames) {
      const end = this.frameOf(this.to), wrap = this.loop && this.frame + frames - made >= end;
      const count = wrap ? end - this.frame : frames - made;
      if (count > 0) this.mix(left, right, made, count);
      made += Math.max(0, count);
      if (wrap) {
        for (const voice of this.voices) voice.off = Math.min(voice.off, this.frame);
        this.begin(this.from);
      }
    }
    for (const [room, channel] of [[this.rooms[0], left], [this.rooms[1], right]]) {
      if (this.reverb) room.run(channel.slice(), channel, this.reverb);
      for (let i = 0; i < frames; i++) channel[i] = Math.tanh(0.8 * channel[i]);
    }
    const done = !this.loop && this.frame > this.frameOf(this.to) + this.tail * SYNTH_RATE;
    return { left, right, position, done };
  }

  mix(left, right, offset, count) {
    const last = this.frame + count, { onset } = this.notes;
    while (this.next < this.notes.count && onset[this.next] < this.to && this.frameOf(onset[this.next]) < last) {
      this.strike(this.next, Math.max(this.frame, this.frameOf(onset[this.next])), 0);
      this.next++;
    }
    if (!this.loop && this.frameOf(this.to) < last) { // a range ends: what sounds is let go
      const end = this.frameOf(this.to);
      for (const voice of this.voices) voice.off = Math.min(voice.off, end);
    }
    this.voices = this.voices.filter((voice) => {
      const begin = Math.max(0, voice.at - this.frame);
      if (begin >= count) return true;
      return voice.sound ? this.ring(voice, left, right, offset, begin, count) : this.blow(voice, left, right, offset, begin, count);
    });
    this.frame = last;
  }

  ring(voice, left, right, offset, begin, count) {
    const { sound, release, fadeIn } = voice, l = voice.gain * voice.left, r = voice.gain * voice.right;
    const off = voice.off - this.frame;
    let position = voice.position;
    for (let i = begin; i < count && position < sound.length; i++, position++) {
      let value = sound[position];
      if (i > off) {
        const fade = 1 - (i - off) / release;
        if (fade <= 0) return false;
        value *= fade;
      }
      if (fadeIn && voice.faded < fadeIn) value *= voice.faded / fadeIn;
      if (fadeIn) voice.faded = (voice.faded || 0) + 1;
      left[offset + i] += l * value;
      right[offset + i] += r * value;
    }
    voice.position = position;
    return position < sound.length;
  }

  blow(voice, left, right, offset, begin, count) {
    const { kind, dark, bright, noise } = voice, l = voice.gain * voice.left, r = voice.gain * voice.right;
    const off = voice.off - this.frame, control = 32, mask = TABLE - 1;
    for (let first = begin; first < count; first += control) {
      const last = Math.min(count, first + control), age = voice.age;
      let level = age < kind.attack ? age / kind.attack : kind.sustain + (1 - kind.sustain) * Math.exp(-(age - kind.attack) / kind.settle);
      if (first >= off) level *= Math.max(0, 1 - (first - off) / (kind.release * SYNTH_RATE));
      if (first >= off && level <= 0 && voice.level <= 1e-5) return false;
      const slope = (level - voice.level) / (last - first);
      const mixBright = voice.brightness * Math.min(1, level * (0.7 + 0.3 * Math.exp(-age * 3))), mixDark = 1 - mixBright;
      const vibrato = kind.vibrato && age > 0.25 ? 1 + kind.vibrato * Math.min(1, (age - 0.25) * 3) * Math.sin(2 * Math.PI * 5.3 * age) : 1;
      const step = voice.step * vibrato, step2 = step * (1 + kind.detune * 0.00058);
      let { phase, phase2, level: now } = voice;
      for (let i = first; i < last; i++) {
        let index = phase | 0, rest = phase - index;
        let value = mixDark * (dark[index] + rest * (dark[index + 1] - dark[index])) + mixBright * (bright[index] + rest * (bright[index + 1] - bright[index]));
        phase += step;
        if (phase >= TABLE) phase -= TABLE * Math.floor(phase / TABLE);
        let other = value;
        if (kind.detune) {
          index = phase2 | 0; rest = phase2 - index;
          other = mixDark * (dark[index] + rest * (dark[(index + 1) & mask] - dark[index])) + mixBright * (bright[index] + rest * (bright[(index + 1) & mask] - bright[index]));
          phase2 += step2;
          if (phase2 >= TABLE) phase2 -= TABLE * Math.floor(phase2 / TABLE);
        }
        const breath = kind.breath ? kind.breath * noise() : 0;
        now += slope;
        left[offset + i] += l * now * (0.75 * value + 0.35 * other + breath);
        right[offset + i] += r * now * (0.35 * value + 0.75 * other + breath);
      }
      Object.assign(voice, { phase, phase2, level: level });
      voice.age += (last - first) / SYNTH_RATE;
    }
    return true;
  }
}

// -- as a worker -------------------------------------------------------------------------------------------

if (typeof WorkerGlobalScope !== "undefined" && self instanceof WorkerGlobalScope) {
  let band = null, job = 0;
  self.onmessage = ({ data }) => {
    if (data.start) {
      band = new Band(data.start);
      job = data.job;
    }
    if (data.job !== job || !band) return;
    const { left, right, position, done } = band.render(Math.round(data.seconds * SYNTH_RATE));
    self.postMessage({ job, left, right, position, done }, [left.buffer, right.buffer]);
  };
}
