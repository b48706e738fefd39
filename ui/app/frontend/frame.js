// The frame of every page: header with places and name box, the player's bar, the dock of a phone, messages,
// and the keys. Mounted once, before the page; pages speak to it by `window.midikin`.

const PLACES = [["search", "Search", ""], ["map", "Map", "map"], ["duplicates", "Duplicates", "duplicates"], ["tags", "Tags", "tags"], ["library", "Library", "library"]];
const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5];
const KEYS = [["/", "Find by name"], ["Space", "Play or pause"], ["← →", "5 seconds back or on"], ["J K", "Next or previous row"], ["Enter", "Open the row"],
  ["F", "Find similar"], ["A", "Add as an example"], ["L", "Loop"], ["M", "Mute all parts"], ["[ ]", "Ends of the loop"], ["1 to 9", "Answers"], ["N", "Later"], ["Z", "Undo"], ["?", "This help"], ["Esc", "Close"]];
const MARK = '<svg viewBox="0 0 28 28" aria-hidden="true"><g fill="var(--accent)"><rect x="2" y="17" width="7" height="4" rx="1.500"/><rect x="8" y="11" width="5" height="4" rx="1.500"/><rect x="12" y="5" width="6" height="4" rx="1.500"/></g><g fill="#CE6820"><rect x="10" y="22" width="7" height="4" rx="1.500"/><rect x="16" y="16" width="5" height="4" rx="1.500"/><rect x="20" y="10" width="6" height="4" rx="1.500"/></g></svg>';

function makeFrame(root) {
  const player = (midikin.player ||= new Player()), frame = { rows: [], selected: 0, shown: 0 };

  // -- header ----------------------------------------------------------------------------------------------

  const link = (page, label, path, className) => {
    const made = h("a", { href: `./${path}`, class: className || null, "data-page": page });
    made.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return; // a new tab
      event.preventDefault();
      midikin.go(page, {});
    });
    return made;
  };
  const brand = link("welcome", "", "welcome", "brand");
  brand.setAttribute("aria-label", "midikin, about this app");
  brand.innerHTML = `${MARK}<span>midikin</span>`;
  const places = h("nav", { class: "places", "aria-label": "Places" }), dock = h("nav", { class: "dock", "aria-label": "Places" });
  const count = h("span", { class: "n", hidden: true });
  for (const [page, label, path] of PLACES) {
    const wide = link(page, label, path);
    wide.append(icon(page), h("span", { class: "l" }, label));
    wide.setAttribute("aria-label", label);
    wide.title = label;
    if (page === "duplicates") wide.append(count);
    places.append(wide);
    const small = link(page, label, path);
    small.append(icon(page), label);
    dock.append(small);
  }
  const input = h("input", { type: "search", "aria-label": "Find a piece by name", placeholder: "Find by name, or drop a MIDI file", role: "combobox", "aria-expanded": "false", "aria-controls": "names", autocomplete: "off", spellcheck: "false", maxlength: "200" });
  const list = h("ul", { id: "names", role: "listbox", "aria-label": "Pieces" }), hint = h("p", { class: "xs m", role: "status" });
  const names = h("div", { class: "names", hidden: true }, list, hint);
  const box = h("div", { class: "find", role: "search" }, icon("search"), input, h("kbd", { class: "wide", "aria-hidden": "true" }, "/"), names);
  const theme = iconButton("moon", "Switch between light and dark", () => switchTheme());
  const helper = iconButton("help", "Keyboard help", () => showHelp());
  root.append(h("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); document.querySelector("[data-testid=stMain] h1, [data-testid=stMain]")?.focus(); } }, "Skip to content"),
    h("header", {}, brand, places, box, h("span", { class: "row wide", style: "gap:0" }, theme, helper)));

  // -- names while typing ----------------------------------------------------------------------------------

  async function search() {
    const text = input.value.trim(), asked = (frame.asked = {});
    if (!text) return closeNames();
    try {
      const answer = await fetch(`${midikin.base}/find?q=${encodeURIComponent(text)}`);
      const { pieces } = await answer.json();
      if (frame.asked !== asked) return;
      frame.rows = pieces;
    } catch {
      if (frame.asked !== asked) return;
      frame.rows = [];
    }
    frame.selected = 0;
    list.replaceChildren(...frame.rows.map((row, i) => {
      const canvas = h("canvas", { "aria-hidden": "true" }), item = { key: row.id, id: row.id, title: row.title, facts: row.facts };
      notesOf(row.id).then((notes) => requestAnimationFrame(() => drawRoll(canvas, notes, { grid: false, limit: 300 })), () => {});
      return h("li", { role: "option", id: `name-${i}`, "aria-selected": String(i === 0), onclick: (event) => open(i, event.shiftKey) }, playButton(item),
        h("div", {}, h("div", { class: "t ell" }, row.title), h("div", { class: "xs m ell" }, `${row.facts} · ${row.path}`)), canvas);
    }));
    hint.textContent = frame.rows.length ? "Enter opens · Shift + Enter finds similar · Esc closes" : `No piece is called anything like “${text}”. Try one word of its title, or part of its folder.`;
    names.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark();
  }

  function mark() {
    [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === frame.selected)));
    list.children[frame.selected]?.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", frame.rows.length ? `name-${frame.selected}` : "");
  }

  function closeNames() {
    frame.asked = null;
    names.hidden = true;
    input.setAttribute("aria-expanded", "false");
  }

  function open(i, similar) {
    const row = frame.rows[i];
    if (!row) return;
    closeNames();
    input.value = "";
    input.blur();
    if (similar) midikin.go("search", { piece: String(row.id) }); else midikin.go("piece", { id: String(row.id) });
  }

  input.addEventListener("input", () => { clearTimeout(frame.typing); frame.typing = setTimeout(search, 40); });
  input.addEventListener("focus", () => { if (input.value.trim()) search(); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      frame.selected = Math.max(0, Math.min(frame.rows.length - 1, frame.selected + (event.key === "ArrowDown" ? 1 : -1)));
      mark();
    } else if (event.key === "Enter") open(frame.selected, event.shiftKey);
    else if (event.key === "Escape") { closeNames(); input.blur(); } else return;
    event.preventDefault();
  });
  const outside = (event) => { if (!event.composedPath().includes(box)) closeNames(); };

  // -- player ----------------------------------------------------------------------------------------------

  const pb = h("button", { type: "button", class: "pb" });
  pb.addEventListener("click", () => { if (player.item) player.toggle(); else playAll(); });
  const title = h("div", { class: "t ell", style: "font-size:15px" }), place = h("div", { class: "xs ell", role: "status" });
  const miniCanvas = h("canvas", { "aria-hidden": "true" }), seekCanvas = h("canvas", { "aria-hidden": "true" });
  const began = h("span", { class: "xs" }), ends = h("span", { class: "xs" });
  const seek = h("div", { class: "rl", role: "slider", tabindex: "0", "aria-label": "Position", "aria-valuemin": "0" }, seekCanvas);
  const chips = h("div", { style: "display:contents" });
  const loop = iconButton("loop", "Loop the chosen range", () => toggleLoop(), { "aria-pressed": "false" });
  const speed = h("button", { type: "button", class: "btn", "aria-label": "Speed", "aria-expanded": "false", onclick: () => sheet("speed") });
  const volume = h("input", { type: "range", class: "volume", min: "0", max: "1", step: "0.01", "aria-label": "Volume", oninput: () => player.setVolume(Number(volume.value)) });
  const quiet = iconButton("volume", "Mute all parts", () => player.muteAll());
  const queue = iconButton("queue", "Queue", () => sheet("queue"), { "aria-expanded": "false" });
  const previous = iconButton("previous", "Previous piece", () => player.skip(-1), {}), next = iconButton("next", "Next piece", () => player.skip(1));
  previous.classList.add("np");
  next.classList.add("np");
  const miniNext = iconButton("next", "Next piece", () => player.skip(1));
  miniNext.classList.add("mini");
  root.append(h("div", { class: "player", role: "region", "aria-label": "Player" },
    h("div", { class: "row first", style: "min-width:0" }, previous, pb, next, h("div", { class: "now" }, title, place), h("span", { class: "mini" }, miniCanvas), miniNext),
    h("div", { class: "seek" }, began, seek, ends),
    h("div", { class: "controls" }, chips, loop, speed, quiet, volume, queue), dock));
  const panel = h("div", { class: "sheet", role: "dialog", hidden: true });
  root.append(panel);

  function playAll() { if (midikin.queue) midikin.play(midikin.queue(), 0); }

  function toggleLoop() {
    if (player.loop) return player.setLoop(null);
    const { item, notes } = player;
    if (notes) player.setLoop(item.from !== undefined && item.from !== null && item.to ? [item.from, item.to] : [notes.start, notes.end]);
  }

  function sheet(kind) {
    const close = frame.sheet === kind;
    frame.sheet = close ? null : kind;
    panel.hidden = close;
    speed.setAttribute("aria-expanded", String(frame.sheet === "speed"));
    queue.setAttribute("aria-expanded", String(frame.sheet === "queue"));
    if (!close) { fillSheet(); panel.querySelector("button")?.focus(); }
  }

  function fillSheet() {
    const kinds = {
      parts: () => [h("h2", {}, "Parts"), partChips(player.notes, partState())],
      speed: () => [h("h2", {}, "Speed"), h("div", { class: "speeds" }, ...SPEEDS.map((s) => h("button", { type: "button", class: `btn sm${s === player.speed ? " pri" : ""}`, onclick: () => { player.setSpeed(s); sheet("speed"); speed.focus(); } }, `${s}×`)))],
      queue: () => [h("h2", {}, `Queue, ${plural(player.queue.length, "piece")}`), h("ol", { class: "queue" }, ...player.queue.map((item, i) =>
        h("li", { "aria-current": i === player.index ? "true" : null }, h("span", { class: "xs m" }, String(i + 1)), h("button", { type: "button", class: "ell", onclick: () => player.load(i, true) }, item.title),
          iconButton("close", `Remove ${item.title}`, () => { if (i === player.index) return; player.queue = player.queue.filter((_, j) => j !== i); if (i < player.index) player.index--; player.changed(); }))))],
    };
    panel.setAttribute("aria-label", frame.sheet);
    panel.replaceChildren(...kinds[frame.sheet]());
  }

  const partState = () => ({ mute: player.mute, solo: player.solo, onChange: (i, kind) => player.part(i, kind) });

  function showChips() {
    chips.replaceChildren();
    if (!player.notes) return;
    const room = window.innerWidth > 1500 ? 4 : window.innerWidth > 1380 ? 3 : 2, total = player.notes.parts.length;
    chips.append(partChips(player.notes, { ...partState(), bar: true, limit: total > room ? room : total }));
    if (total > room) chips.firstChild.append(h("button", { type: "button", class: "btn", "aria-label": `All ${total} parts`, onclick: () => sheet("parts") }, `+${total - room}`));
  }

  function showAll() {
    const { item, notes } = player;
    pb.replaceChildren(icon(player.playing ? "pause" : "play"));
    pb.setAttribute("aria-label", player.playing ? "Pause" : item ? "Play" : "Play all");
    title.textContent = item ? item.title : "Nothing playing";
    previous.disabled = !item;
    next.disabled = miniNext.disabled = !player.queue[player.index + 1];
    loop.disabled = quiet.disabled = !notes;
    loop.setAttribute("aria-pressed", String(Boolean(player.loop)));
    speed.textContent = `${player.speed}×`;
    volume.value = player.volume;
    seek.setAttribute("aria-disabled", String(!notes));
    showChips();
    if (frame.sheet && (frame.sheet !== "parts" || notes)) fillSheet();
    frame.second = null;
    move();
  }

  function move() {
    const { notes, item } = player, at = player.now(), second = Math.floor(at * 5);
    root.dataset.playing = player.playing ? String(item.key) : "";
    if (second === frame.second) return;
    frame.second = second;
    const end = notes ? notes.end : 0;
    began.textContent = notes ? clock(at) : "";
    ends.textContent = notes ? clock(end) : "";
    const phone = window.innerWidth <= 720, how = notes && notes.piano ? "Played on a piano" : "";
    place.textContent = player.error || (!item ? "Choose a piece to hear it" : phone ? `${clock(at)} of ${clock(end)}` : player.queue.length > 1 ? `Queue, ${player.index + 1} of ${player.queue.length}` : how || item.facts || "");
    seek.setAttribute("aria-valuemax", end.toFixed(1));
    seek.setAttribute("aria-valuenow", at.toFixed(1));
    seek.setAttribute("aria-valuetext", `${clock(at)} of ${clock(end)}`);
    for (const canvas of [seekCanvas, miniCanvas]) {
      if (!canvas.clientWidth) continue;
      if (notes) drawRoll(canvas, notes, { bar: true, head: at, dimAfter: at, silent: midikin.state.silent, marked: player.loop || (item.from !== undefined && item.from !== null && item.to ? [item.from, item.to] : null), limit: 1500, grid: canvas === seekCanvas });
      else paperOf(canvas);
    }
  }

  const seekTo = (event) => {
    const bounds = seek.getBoundingClientRect();
    if (player.notes) player.seek(((event.clientX - bounds.left) / bounds.width) * player.notes.end);
  };
  seek.addEventListener("pointerdown", (event) => { seek.setPointerCapture(event.pointerId); frame.dragging = event; });
  seek.addEventListener("pointerup", (event) => {
    if (!frame.dragging) return;
    const bounds = seek.getBoundingClientRect(), first = frame.dragging.clientX;
    frame.dragging = null;
    if (event.shiftKey && Math.abs(event.clientX - first) > 6 && player.notes) { // Shift and drag: a range to loop
      player.setLoop([first, event.clientX].sort((a, b) => a - b).map((x) => ((x - bounds.left) / bounds.width) * player.notes.end));
    } else seekTo(event);
  });
  seek.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -5, ArrowRight: 5, ArrowDown: -5, ArrowUp: 5 }[event.key];
    if (event.key === "Home") player.seek(0); else if (event.key === "End") player.seek(1e9); else if (step) player.seek(player.now() + step); else return;
    event.preventDefault();
    event.stopPropagation();
  });

  // -- messages, help, theme, dropped files ----------------------------------------------------------------

  const toast = h("div", { class: "toast", role: "status", hidden: true });
  root.append(toast);

  function say(message) {
    if (!message || message.id === frame.shown) return;
    frame.shown = message.id;
    toast.replaceChildren(h("span", {}, message.text));
    frame.undo = message.undo ? () => { frame.undo = null; toast.hidden = true; frame.component.setTriggerValue("undo", message.id); } : null;
    if (message.undo) toast.append(h("button", { type: "button", onclick: () => frame.undo?.() }, "Undo ", h("kbd", {}, "Z")));
    toast.hidden = false;
    clearTimeout(frame.fading);
    const fade = () => { if (toast.matches(":hover") || toast.contains(root.getRootNode().activeElement)) frame.fading = setTimeout(fade, 2000); else { toast.hidden = true; frame.undo = null; } };
    frame.fading = setTimeout(fade, 8000);
  }

  const help = h("dialog", { "aria-label": "Keyboard help" }, h("h2", {}, "Keys"), h("dl", {}, ...KEYS.flatMap(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])),
    h("p", { class: "s m", style: "margin-bottom:14px" }, "Keys do nothing while you type. Shift and drag on the player's roll chooses a range to loop."), textButton(null, "Close", () => help.close(), "pri"));
  root.append(help);
  const showHelp = () => { if (!help.open) help.showModal(); };

  const isDark = () => {
    const rgb = getComputedStyle(document.querySelector("[data-testid=stApp]") || document.body).backgroundColor.match(/\d+/g) || [255, 255, 255];
    return (Number(rgb[0]) + Number(rgb[1]) + Number(rgb[2])) / 3 < 110;
  };
  function applyTheme() {
    const wanted = isDark() ? "dark" : "light";
    if (document.documentElement.dataset.theme === wanted) return;
    document.documentElement.dataset.theme = wanted;
    window.dispatchEvent(new Event("midikin-theme"));
    showAll();
  }
  const watcher = new MutationObserver(applyTheme);
  function switchTheme() {
    // Streamlit keeps the theme of each address and reads it when the page loads.
    const value = JSON.stringify(isDark() ? "Light" : "Dark"), root_ = new URL("./", document.baseURI).pathname;
    for (const path of [root_, ...["search", "piece", "map", "duplicates", "tags", "library", "welcome"].map((name) => root_ + name)]) {
      try { localStorage.setItem(`stActiveTheme-${path}-v2`, value); } catch { return; }
    }
    const kept = player.queue.filter((item) => item.id !== undefined), index = kept.indexOf(player.item);
    if (index >= 0) sessionStorage.setItem("midikin-queue", JSON.stringify({ items: kept, index, position: player.now() }));
    window.location.reload();
  }

  const drop = h("div", { class: "drop", hidden: true }, "Find what sounds like this file");
  root.append(drop);
  const carriesFile = (event) => [...(event.dataTransfer?.types || [])].includes("Files") && !event.composedPath().some((e) => e.dataset?.testid === "stFileUploader");
  const dropping = {
    dragover: (event) => { if (!carriesFile(event)) return; event.preventDefault(); drop.hidden = false; clearTimeout(frame.leaving); frame.leaving = setTimeout(() => { drop.hidden = true; }, 400); },
    drop: async (event) => {
      if (!carriesFile(event)) return;
      event.preventDefault();
      drop.hidden = true;
      const file = event.dataTransfer.files[0];
      if (!file) return;
      if (file.size > frame.maxBytes) return say({ id: `large-${file.name}-${Date.now()}`, text: `${file.name} is larger than ${frame.maxBytes / 2 ** 20} MB.` });
      const bytes = new Uint8Array(await file.arrayBuffer());
      let text = "";
      for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
      frame.component.setTriggerValue("dropped", { name: file.name, data: btoa(text) });
    },
  };

  // -- keys ------------------------------------------------------------------------------------------------

  function key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.composedPath()[0];
    if (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName || "") && target.type !== "range" && target.type !== "checkbox" && target.type !== "radio") return;
    const pressable = /^(button|a|summary)$/i.test(target.tagName || "") || ["slider", "application", "option", "radio", "tab"].includes(target.getAttribute?.("role"));
    const keys = {
      "/": () => input.focus(), "?": showHelp, l: toggleLoop, m: () => player.muteAll(), z: () => frame.undo?.(),
      "[": () => player.notes && player.setLoop([player.now(), player.loop ? player.loop[1] : player.notes.end]),
      "]": () => player.notes && player.setLoop([player.loop ? player.loop[0] : player.notes.start, player.now()]),
      Escape: () => { if (frame.sheet) sheet(frame.sheet); else toast.hidden = true; },
    };
    if (!pressable) Object.assign(keys, { " ": () => (player.item ? player.toggle() : playAll()), ArrowLeft: () => player.seek(player.now() - 5), ArrowRight: () => player.seek(player.now() + 5) });
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (keys[name]) { event.preventDefault(); keys[name](); return; }
    if (["j", "k", "f", "a"].includes(name) || (name === "Enter" && !pressable)) window.dispatchEvent(new CustomEvent("midikin-row", { detail: name }));
  }

  const listeners = {
    "midikin-go": ({ detail }) => frame.component.setTriggerValue("go", { ...detail, at: Date.now() }),
    "midikin-play": ({ detail }) => player.play(detail.items, detail.index),
    "midikin-toggle": () => player.toggle(),
    "midikin-player": ({ detail }) => (detail === "moved" ? move() : showAll()),
    "midikin-say": ({ detail }) => say(detail),
    keydown: key, pointerdown: outside, resize: () => showAll(), ...dropping,
  };
  for (const [name, listener] of Object.entries(listeners)) window.addEventListener(name, listener);
  watcher.observe(document.head, { childList: true });
  const timer = setInterval(applyTheme, 1000);

  frame.update = (component) => {
    frame.component = component;
    const { data } = component;
    midikin.base = new URL(data.base, new URL("./", document.baseURI)).href;
    frame.maxBytes = data.max_bytes;
    for (const element of root.querySelectorAll("[data-page]")) {
      if (element.dataset.page === data.page) element.setAttribute("aria-current", "page"); else element.removeAttribute("aria-current");
    }
    count.hidden = !data.duplicates;
    count.textContent = String(data.duplicates || "");
    count.setAttribute("aria-label", `${data.duplicates} to review`);
    if (data.page !== frame.page) { frame.page = data.page; document.querySelector("[data-testid=stMain]")?.scrollTo(0, 0); }
    say(data.toast);
    applyTheme();
    restore();
    showAll();
  };

  // What was playing before the page was loaded again for another theme.
  function restore() {
    const kept = sessionStorage.getItem("midikin-queue");
    if (!kept) return;
    sessionStorage.removeItem("midikin-queue");
    const { items, index, position } = JSON.parse(kept);
    player.queue = items;
    player.load(index, false).then(() => player.seek(position));
  }
  frame.release = () => {
    for (const [name, listener] of Object.entries(listeners)) window.removeEventListener(name, listener);
    watcher.disconnect();
    clearInterval(timer);
  };
  return frame;
}

export default function (component) {
  const frame = stateOf(component, makeFrame);
  frame.update(component);
  return () => { if (!component.parentElement.isConnected) frame.release(); };
}
