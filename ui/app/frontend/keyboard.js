// A keyboard to play a query on: with the mouse or a finger, the computer's keys, or a MIDI keyboard.

const MAX_NOTES = 400, OCTAVES = 2;
const COMPUTER_KEYS = "awsedftgyhujkolp;'"; // from C upwards, as a piano's keys lie
const BLACK = [1, 3, 6, 8, 10];

function makeKeyboard(root) {
  const keys = root.querySelector(".keys"), bar = root.querySelector(".tools"), status = root.querySelector(".status");
  const board = { base: 60, held: new Map(), notes: [], began: 0 };
  const search = textButton("similar", "Search with this", () => board.component.setTriggerValue("played", board.notes), "sm pri");
  const again = textButton("play", "Play back", () => midikin.play([{ key: "keyboard", title: "What you played", notes: asNotes() }]));
  const clear = textButton(null, "Start again", () => { board.notes = []; board.held.clear(); show(); });
  bar.append(search, again, clear, textButton("minus", "Octave down", () => shift(-12)), textButton("plus", "Octave up", () => shift(12)), textButton(null, "Connect a MIDI keyboard", () => connect()));

  function shift(by) { board.base = Math.min(84, Math.max(24, board.base + by)); build(); }

  function asNotes() {
    const column = (k, scale = 1) => Float64Array.from(board.notes, (note) => note[k] * scale), parts = [{ name: "Piano", program: 0, drums: false }];
    const onset = column(0, 0.001), duration = column(1, 0.001), pitch = Uint8Array.from(column(2));
    return { count: board.notes.length, onset, duration, pitch, velocity: Uint8Array.from(column(3)), part: new Uint16Array(board.notes.length), parts, piano: true, colours: ["0"],
      low: Math.min(48, ...pitch), high: Math.max(84, ...pitch), start: 0, end: Math.max(...onset.map((s, i) => s + duration[i])), drums: false };
  }

  function down(pitch, velocity = 80) {
    if (board.held.has(pitch) || board.notes.length >= MAX_NOTES) return;
    const now = performance.now();
    if (!board.notes.length) board.began = now;
    const note = [Math.round(now - board.began), 100, pitch, velocity];
    board.notes.push(note);
    board.held.set(pitch, note);
    midikin.player?.strike(pitch, velocity);
    show();
  }

  function up(pitch) {
    const note = board.held.get(pitch);
    if (!note) return;
    note[1] = Math.max(40, Math.round(performance.now() - board.began - note[0]));
    board.held.delete(pitch);
    show();
  }

  async function connect() {
    if (!navigator.requestMIDIAccess) {
      board.remark = "This browser has no Web MIDI; Chrome, Edge and Firefox have it.";
      return show();
    }
    try {
      const access = await navigator.requestMIDIAccess();
      const listen = () => {
        const inputs = [...access.inputs.values()];
        for (const input of inputs) {
          input.onmidimessage = ({ data: [status, pitch, velocity] }) => {
            if ((status & 0xf0) === 0x90 && velocity) down(pitch, velocity);
            else if ([0x80, 0x90].includes(status & 0xf0)) up(pitch);
          };
        }
        const names = inputs.map((input) => input.name).join(", ");
        board.remark = inputs.length ? `Listening to ${names}.` : "No MIDI keyboard is plugged in.";
        show();
      };
      access.onstatechange = listen;
      listen();
    } catch {
      board.remark = "The browser did not allow MIDI; allow it in the address bar and try again.";
      show();
    }
  }

  function build() {
    keys.replaceChildren();
    for (let pitch = board.base; pitch <= board.base + 12 * OCTAVES; pitch++) {
      const key = document.createElement("button");
      key.type = "button";
      key.dataset.pitch = pitch;
      key.className = BLACK.includes(pitch % 12) ? "black" : "white";
      const name = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"][pitch % 12];
      key.setAttribute("aria-label", `${name}${Math.floor(pitch / 12) - 1}`);
      const typed = COMPUTER_KEYS[pitch - board.base];
      key.textContent = typed ? typed.toUpperCase() : "";
      key.addEventListener("pointerdown", (event) => { event.preventDefault(); key.focus(); down(pitch); });
      for (const end of ["pointerup", "pointerleave", "pointercancel"]) key.addEventListener(end, () => up(pitch));
      key.addEventListener("keydown", (event) => {
        if (["Enter", " "].includes(event.key)) { event.preventDefault(); if (!event.repeat) down(pitch); }
      });
      key.addEventListener("keyup", (event) => { if (["Enter", " "].includes(event.key)) up(pitch); });
      keys.appendChild(key);
    }
    show();
  }

  const typedPitch = (event) => {
    const place = COMPUTER_KEYS.indexOf(event.key.toLowerCase());
    return place < 0 || event.ctrlKey || event.metaKey || event.altKey ? null : board.base + place;
  };
  root.addEventListener("keydown", (event) => {
    const pitch = typedPitch(event);
    if (pitch === null) return;
    event.preventDefault();
    event.stopPropagation(); // letters are notes here, and shortcuts of the page elsewhere
    if (!event.repeat) down(pitch);
  });
  root.addEventListener("keyup", (event) => { const pitch = typedPitch(event); if (pitch !== null) up(pitch); });

  function show() {
    for (const key of keys.children) key.classList.toggle("held", board.held.has(Number(key.dataset.pitch)));
    const count = board.notes.length;
    search.disabled = again.disabled = clear.disabled = !count;
    const full = count >= MAX_NOTES ? " That is as much as a query holds." : "";
    const remark = board.remark ? ` ${board.remark}` : "";
    status.textContent = (count ? `${count} ${count === 1 ? "note" : "notes"} played.${full}`
      : "Play some notes: click the keys, or press the letters on them. Ten notes or more find best.") + remark;
  }

  board.update = (component) => { board.component = component; if (!keys.children.length) build(); };
  return board;
}

export default function (component) {
  const board = stateOf(component, makeKeyboard);
  board.update(component);
}
