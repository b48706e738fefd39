// What every component shares: notes as they come from the server, elements, icons, and the drawing of rolls.
// It stands before the code of each component, so that each remains one module without imports. What has to
// be one for the whole page (player, notes that were fetched, messages) is in `window.midikin`.

const midikin = (window.midikin ||= {
  notes: new Map(), // piece number -> promise of notes
  base: "", // address of the app's routes, set by the frame
  muted: new Map(), // what is muted and soloed of the piece that plays, by part
  go: (page, params) => window.dispatchEvent(new CustomEvent("midikin-go", { detail: { page, params } })),
  // Play items from one of them on: {key, id | notes, title, facts, from, to}. The frame listens.
  play: (items, index = 0) => window.dispatchEvent(new CustomEvent("midikin-play", { detail: { items, index } })),
  toggle: () => window.dispatchEvent(new CustomEvent("midikin-toggle")),
  state: { key: null, playing: false, position: 0, muted: [], solo: [] },
  queue: null,
});

function decodeBytes(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

// Columns of one length: onsets and durations in milliseconds, pitches, velocities, and perhaps parts.
function decodeNotes({ notes: text, parts, piano }) {
  const bytes = decodeBytes(text), size = parts.length > 1 ? 12 : 10, count = bytes.length / size;
  const view = new DataView(bytes.buffer);
  const onset = new Float64Array(count), duration = new Float64Array(count), part = new Uint16Array(count);
  let end = 0;
  for (let i = 0; i < count; i++) {
    onset[i] = view.getUint32(4 * i, true) / 1000;
    duration[i] = view.getUint32(4 * (count + i), true) / 1000;
    if (size === 12) part[i] = view.getUint16(10 * count + 2 * i, true);
    end = Math.max(end, onset[i] + duration[i]);
  }
  const pitch = bytes.subarray(8 * count, 9 * count), velocity = bytes.subarray(9 * count, 10 * count);
  let low = 127, high = 0;
  for (let i = 0; i < count; i++) {
    if (parts[part[i]].drums) continue;
    low = Math.min(low, pitch[i]);
    high = Math.max(high, pitch[i]);
  }
  if (low > high) [low, high] = [48, 72];
  const lack = Math.max(0, 24 - (high - low));
  low = Math.max(0, low - Math.ceil(lack / 2) - 1);
  high = Math.min(127, high + Math.floor(lack / 2) + 1);
  let colour = 0;
  const colours = parts.map((p) => (p.drums ? "drums" : String(colour++ % 7)));
  return { count, onset, duration, pitch, velocity, part, parts, piano, colours, low, high, end,
    start: count ? onset[0] : 0, drums: parts.some((p) => p.drums) };
}

// Notes of a piece of the library, fetched once.
function notesOf(id) {
  if (!midikin.notes.has(id)) {
    const fetched = fetch(`${midikin.base}/notes/${id}`).then(async (answer) => {
      const data = await answer.json();
      if (!answer.ok) throw new Error(data.error);
      return { ...decodeNotes(data), id, title: data.title, facts: data.facts, path: data.path };
    });
    fetched.catch(() => midikin.notes.delete(id));
    midikin.notes.set(id, fetched);
    if (midikin.notes.size > 150) midikin.notes.delete(midikin.notes.keys().next().value);
  }
  return midikin.notes.get(id);
}

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds)), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const two = (n) => String(n).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

// -- elements ----------------------------------------------------------------------------------------------

function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const ICONS = {
  search: '<circle cx="10.5" cy="10.5" r="6.5"/><path d="m15.500 15.500 5 5"/>',
  map: '<circle cx="6" cy="7" r="2.600"/><circle cx="17.500" cy="5.500" r="1.800"/><circle cx="16" cy="16.500" r="3.400"/><circle cx="6" cy="17.500" r="1.400"/><path d="m8 8.700 5.200 5.200"/>',
  duplicates: '<rect x="3.500" y="3.500" width="12" height="12" rx="2.500"/><path d="M19 8.600a2 2 0 0 1 1.500 1.900V18a2.500 2.500 0 0 1-2.500 2.500h-7.500a2 2 0 0 1-1.900-1.500"/>',
  tags: '<path d="M3.500 11.500v-6a2 2 0 0 1 2-2h6l9 9-8 8z"/><circle cx="8" cy="8" r="1.200"/>',
  library: '<path d="M4 4v16M8.500 4v16M13 4.500 17.500 20M13 4.500l3.200-.9L20.700 19l-3.200 1"/>',
  play: '<path d="M7 4.200v15.600a1 1 0 0 0 1.500.9l12.600-7.800a1 1 0 0 0 0-1.800L8.500 3.300A1 1 0 0 0 7 4.200z"/>',
  pause: '<rect x="5.500" y="4" width="4.600" height="16" rx="1.200"/><rect x="13.900" y="4" width="4.600" height="16" rx="1.200"/>',
  next: '<path d="M4.500 5.500v13l10-6.500zM17 5h2.600v14H17z"/>', previous: '<path d="M19.500 5.500v13l-10-6.500zM7 5H4.400v14H7z"/>',
  loop: '<path d="M4 12V9.500A3.500 3.500 0 0 1 7.500 6H19l-3-3M20 12v2.500a3.500 3.500 0 0 1-3.500 3.500H5l3 3"/>',
  volume: '<path d="M4 9.500v5h3.500l4.500 4v-13l-4.500 4zM16 9a4 4 0 0 1 0 6M18.500 6.500a8 8 0 0 1 0 11"/>',
  queue: '<path d="M4 6h16M4 12h10M4 18h10M17.500 14v7l5-3.500z"/>', plus: '<path d="M12 5v14M5 12h14"/>', minus: '<path d="M5 12h14"/>',
  close: '<path d="m6 6 12 12M18 6 6 18"/>', check: '<path d="m4.500 12.500 5 5 10-11"/>', down: '<path d="m6 9 6 6 6-6"/>',
  similar: '<circle cx="12" cy="12" r="2"/><path d="M7.500 16.500a6.400 6.400 0 0 1 0-9M16.500 7.500a6.400 6.400 0 0 1 0 9M4.500 19.500a10.600 10.600 0 0 1 0-15M19.500 4.500a10.600 10.600 0 0 1 0 15"/>',
  compare: '<rect x="3.500" y="4" width="17" height="6.500" rx="1.500"/><rect x="3.500" y="13.500" width="17" height="6.500" rx="1.500"/>',
  moon: '<path d="M20 14.500A8.500 8.500 0 1 1 9.500 4a7 7 0 0 0 10.500 10.500z"/>', fit: '<path d="M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5"/>',
  help: '<circle cx="12" cy="12" r="8.500"/><path d="M9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.7.4-1 .8-1 1.700M12 16.600v.1"/>',
  lasso: '<path d="M7.500 16.500C5 15.500 3.500 13.500 3.500 11c0-4 3.800-7 8.500-7s8.500 3 8.500 7-3.800 7-8.500 7c-1 0-2-.2-3-.5"/><circle cx="7" cy="18" r="2"/>',
  move: '<path d="M12 3v18M3 12h18M12 3 9.500 5.500M12 3l2.500 2.500M12 21l-2.500-2.500M12 21l2.500-2.500M3 12l2.500-2.500M3 12l2.500 2.500M21 12l-2.500-2.500M21 12l-2.500 2.500"/>',
};
const FILLED = new Set(["play", "pause", "next", "previous"]);

function icon(name) {
  const holder = document.createElement("span");
  holder.innerHTML = `<svg class="i${FILLED.has(name) ? " f" : ""}" viewBox="0 0 24 24" aria-hidden="true">${ICONS[name]}</svg>`;
  return holder.firstChild;
}

function iconButton(name, label, onClick, attributes = {}) {
  return h("button", { type: "button", class: "ib", "aria-label": label, title: label, onclick: onClick, ...attributes }, icon(name));
}

function textButton(name, label, onClick, kind = "sm") {
  return h("button", { type: "button", class: `btn ${kind}`, onclick: onClick }, name ? icon(name) : null, label);
}

// A round button that shows whether what it plays is playing; `items` are the queue that it starts.
function playButton(item, { big = false, items = null, index = 0 } = {}) {
  const made = h("button", { type: "button", class: `pp${big ? " big" : ""}` });
  const show = () => {
    const on = midikin.state.key === item.key && midikin.state.playing;
    if (made.dataset.on === String(on)) return;
    made.dataset.on = String(on);
    made.classList.toggle("on", on);
    made.replaceChildren(icon(on ? "pause" : "play"));
    made.setAttribute("aria-label", `${on ? "Pause" : "Play"} ${item.title}`);
  };
  made.addEventListener("click", (event) => {
    event.stopPropagation();
    if (midikin.state.key === item.key) midikin.toggle();
    else midikin.play(items ? items() : [item], index);
  });
  made.refresh = show;
  show();
  return made;
}

// -- drawing -----------------------------------------------------------------------------------------------

function token(element, name) { return getComputedStyle(element).getPropertyValue(name).trim() || "#888"; }

// The colours of a roll; those of the player's bar are always the dark ones.
function inks(element, bar = false) {
  const style = getComputedStyle(element), get = (name) => style.getPropertyValue(name).trim() || "#888";
  const colours = { drums: get(bar ? "--bdrums" : "--drums") };
  for (let i = 0; i < 7; i++) colours[i] = get(`--${bar ? "b" : "p"}${i}`);
  return { colours, grid: get(bar ? "--barline" : "--grid"), felt: bar ? "#FF7A89" : get("--felt"), accent: bar ? "#53F2D4" : get("--accent"),
    wash: bar ? "rgba(83,242,212,.16)" : get("--wash"), line: get(bar ? "--barline" : "--line2"), mute: get(bar ? "--barmute" : "--mute"), ink: get("--ink") };
}

// A canvas as sharp as the screen, in the units of the page.
function paperOf(canvas) {
  const ratio = Math.min(2, window.devicePixelRatio || 1), width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

// Lanes of drums: bass drum lowest, then snare and toms, then cymbals.
const drumLane = (pitch) => (pitch < 37 ? 2 : [37, 38, 39, 40, 41, 43, 45, 47, 48, 50].includes(pitch) ? 1 : 0);

// Draw notes between two times. `marked` is a chosen or matching range, `head` the playhead, `silent` the muted
// parts, `dimAfter` a moment after which all is drawn faintly, `red` a set of notes that differ.
function drawRoll(canvas, notes, { from = 0, to = notes.end, marked = null, head = null, silent = null, bar = false,
  grid = true, dimAfter = null, red = null, gutter = 0, limit = Infinity } = {}) {
  if (!canvas.clientWidth) return;
  const { context, width, height } = paperOf(canvas), ink = inks(canvas, bar), left = gutter, room = width - gutter;
  const drums = notes.drums ? Math.max(6, Math.round(height * 0.12)) : 0, top = 1, tall = height - 2 - drums - (drums ? 2 : 0);
  const step = tall / (notes.high - notes.low + 1), x = (s) => left + ((s - from) / (to - from)) * room;
  if (grid) {
    context.fillStyle = ink.grid;
    for (let pitch = Math.ceil(notes.low / 12) * 12; pitch <= notes.high; pitch += 12) context.fillRect(left, Math.round(top + (notes.high - pitch + 1) * step), room, 1);
    const seconds = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600].find((s) => (s / (to - from)) * room > 60) || 1200;
    for (let s = Math.ceil(from / seconds) * seconds; s < to; s += seconds) context.fillRect(Math.round(x(s)), 0, 1, height);
  }
  if (marked) {
    context.fillStyle = ink.wash;
    context.fillRect(x(marked[0]), 0, Math.max(2, x(marked[1]) - x(marked[0])), height);
  }
  if (drums) { context.fillStyle = ink.line; context.fillRect(left, height - drums - 2, room, 1); }
  const every = Math.max(1, Math.ceil(notes.count / limit));
  for (let i = 0; i < notes.count; i++) {
    const onset = notes.onset[i];
    if (onset > to) break;
    if (onset + notes.duration[i] < from || (every > 1 && i % every && !red)) continue;
    const part = notes.part[i], off = silent && silent.has(part), begin = Math.max(left, x(onset));
    context.globalAlpha = off ? 0.22 : dimAfter !== null && onset > dimAfter ? 0.45 : 0.55 + 0.45 * (notes.velocity[i] / 127);
    context.fillStyle = red && red.has(i) ? ink.felt : ink.colours[notes.colours[part]];
    if (notes.parts[part].drums) {
      const lane = drums / 3;
      context.fillRect(begin, height - drums + drumLane(notes.pitch[i]) * lane, Math.max(1, Math.min(2.5, room / 200)), Math.max(1.5, lane - 0.8));
    } else {
      const end = Math.min(width, x(onset + notes.duration[i]));
      context.fillRect(begin, top + (notes.high - notes.pitch[i]) * step, Math.max(1.2, end - begin - 0.5), Math.max(1.6, Math.min(6, step - 0.4)));
    }
  }
  context.globalAlpha = 1;
  if (marked) {
    context.fillStyle = ink.accent;
    for (const edge of marked) context.fillRect(Math.max(0, Math.min(width - 2, x(edge) - 1)), 0, 2, height);
  }
  if (head !== null && head >= from && head <= to) {
    context.fillStyle = ink.felt;
    context.fillRect(x(head) - 1, 0, 2, height);
  }
}

// Names of parts with their colours, and buttons to mute and to hear alone; `onChange(part, "mute" | "solo")`.
function partChips(notes, { bar = false, mute = [], solo = [], onChange = null, limit = 99 } = {}) {
  const holder = h("div", { class: "parts", role: "group", "aria-label": "Parts" });
  const silent = (i) => mute.includes(i) || (solo.length > 0 && !solo.includes(i));
  notes.parts.slice(0, limit).forEach((part, i) => {
    const swatch = h("i", {});
    swatch.style.background = `var(--${bar ? "b" : notes.colours[i] === "drums" ? "" : "p"}${notes.colours[i]})`;
    const pressed = (kind, label, on) => h("button", { type: "button", "aria-pressed": String(on), "aria-label": `${label} ${part.name}`, title: `${label} ${part.name}`,
      onclick: (event) => { event.stopPropagation(); onChange(i, kind); } }, label[0] === "M" ? "M" : "S");
    const buttons = onChange ? [pressed("mute", "Mute", mute.includes(i)), pressed("solo", "Solo", solo.includes(i))] : [];
    holder.append(h("span", { class: `part${silent(i) ? " off" : ""}` }, h("span", {}, swatch, h("span", { class: "ell" }, part.name)), ...buttons));
  });
  return holder;
}

// The component's state lives with its place in the page: its function runs again at every change of data.
function stateOf(component, make) {
  const root = component.parentElement.querySelector(".midikin");
  if (!root.midikin) root.midikin = make(root, component);
  return root.midikin;
}

// Run `draw` whenever the player moves on; the component must call the answer when it goes.
function onPlayer(listener) {
  window.addEventListener("midikin-player", listener);
  return () => window.removeEventListener("midikin-player", listener);
}
