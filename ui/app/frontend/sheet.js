// A piece on a sheet: its name, its roll with a range to choose, its parts. In one line above results, or large
// with zoom, overview and tempo on the page of a piece.

function makeSheet(root) {
  const sheet = { zoom: 1, centre: null, drag: null };
  midikin.sheets ||= new Map(); // notes of what is not in the library, by the name of what plays them
  const main = h("canvas", { role: "slider", tabindex: "0" });

  const item = (from, to) => ({ key: sheet.data.item, id: typeof sheet.data.item === "number" ? sheet.data.item : undefined, notes: sheet.notes, title: sheet.data.name, facts: sheet.data.facts, from: from ?? null, to: to ?? null });
  const on = () => midikin.state.key === sheet.data.item;
  const range = () => sheet.drag || sheet.data.range;

  function view() {
    const { notes } = sheet, length = notes.end / sheet.zoom;
    let from = (sheet.centre ?? length / 2) - length / 2;
    from = Math.max(0, Math.min(notes.end - length, from));
    return { from, to: from + length };
  }

  function draw() {
    if (!sheet.notes || !main.clientWidth) return;
    const { notes } = sheet, head = on() ? midikin.state.position : null, silent = on() ? midikin.state.silent : null, { from, to } = view();
    if (head !== null && midikin.state.playing && sheet.zoom > 1 && (head > to || head < from)) sheet.centre = head + (to - from) * 0.45;
    drawRoll(main, notes, { ...view(), marked: range(), head, silent });
    if (sheet.overview?.clientWidth) drawRoll(sheet.overview, notes, { marked: sheet.zoom > 1 ? [view().from, view().to] : null, head, silent, grid: false, limit: 4000 });
    sheet.play.refresh();
    const at = head ?? (range() ? range()[0] : 0);
    main.setAttribute("aria-valuenow", at.toFixed(1));
    main.setAttribute("aria-valuetext", range() ? `${clock(at)}, ${clock(range()[0])} to ${clock(range()[1])} chosen` : `${clock(at)} of ${clock(notes.end)}`);
    if (sheet.ticks) sheet.ticks.replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((share) => h("span", {}, clock(view().from + share * (view().to - view().from)))));
    const parts = JSON.stringify([on(), midikin.state.mute, midikin.state.solo]);
    if (sheet.parts && sheet.shownParts !== parts) {
      sheet.shownParts = parts;
      sheet.parts.replaceChildren(partChips(notes, { mute: on() ? midikin.state.mute : [], solo: on() ? midikin.state.solo : [], onChange: (part, kind) => {
        if (on()) midikin.player.part(part, kind);
        else { midikin.play([item(range()?.[0], range()?.[1])]); setTimeout(() => midikin.player.part(part, kind), 0); }
      } }));
    }
  }

  function choose(chosen) {
    sheet.data = { ...sheet.data, range: chosen };
    sheet.component.setStateValue("range", chosen);
    draw();
  }

  const seconds = (event) => {
    const bounds = main.getBoundingClientRect(), { from, to } = view();
    return Math.min(sheet.notes.end, Math.max(0, from + ((event.clientX - bounds.left) / bounds.width) * (to - from)));
  };
  main.addEventListener("pointerdown", (event) => { sheet.pressed = seconds(event); main.setPointerCapture(event.pointerId); });
  main.addEventListener("pointermove", (event) => {
    if (sheet.pressed === undefined || !sheet.data.choosing) return;
    const now = seconds(event), { from, to } = view();
    if (sheet.drag || Math.abs(now - sheet.pressed) > 0.012 * (to - from)) {
      sheet.drag = [Math.min(now, sheet.pressed), Math.max(now, sheet.pressed)];
      draw();
    }
  });
  main.addEventListener("pointerup", (event) => {
    if (sheet.pressed === undefined) return;
    sheet.pressed = undefined;
    if (sheet.drag) {
      const chosen = sheet.drag.map((s) => Math.round(s * 100) / 100);
      sheet.drag = null;
      choose(chosen);
    } else if (on()) midikin.player.seek(seconds(event)); else midikin.play([item(seconds(event))]);
  });
  main.addEventListener("pointercancel", () => { sheet.pressed = undefined; sheet.drag = null; draw(); });
  main.addEventListener("keydown", (event) => {
    const at = on() ? midikin.state.position : range() ? range()[0] : 0, { end } = sheet.notes;
    const go = (s) => { if (on()) midikin.player.seek(s); else midikin.play([item(Math.max(0, s))]); };
    const keys = { " ": () => sheet.play.click(), Enter: () => sheet.play.click(), ArrowLeft: () => go(at - 5), ArrowRight: () => go(at + 5), Home: () => go(0) };
    if (sheet.data.choosing) {
      keys["["] = () => choose([at, Math.max(at + 1, range() ? range()[1] : end)]);
      keys["]"] = () => choose([Math.max(0, Math.min(at - 1, range() ? range()[0] : 0)), at]);
      keys.Escape = () => choose(null);
    }
    if (sheet.data.mode === "piece") Object.assign(keys, { "+": () => zoomBy(2), "-": () => zoomBy(0.5) });
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key]();
  });

  function zoomBy(factor) {
    const { from, to } = view();
    sheet.centre = on() ? midikin.state.position : range() ? (range()[0] + range()[1]) / 2 : (from + to) / 2;
    sheet.zoom = factor === 0 ? 1 : Math.max(1, Math.min(64, sheet.zoom * factor));
    draw();
  }

  function chips() {
    const { data } = sheet, made = [];
    if (data.range && data.choosing) made.push(h("span", { class: "chip on" }, `${clock(data.range[0])} to ${clock(data.range[1])}`, h("button", { type: "button", "aria-label": "Use the whole piece", title: "Use the whole piece", onclick: () => choose(null) }, icon("close"))));
    for (const { id, label, kind } of data.chips) {
      made.push(h("span", { class: `chip ${kind === "less" ? "red" : "on"}` }, icon(kind === "less" ? "minus" : "plus"), label, h("button", { type: "button", "aria-label": `Remove ${label}`, onclick: () => sheet.component.setTriggerValue("chip", id) }, icon("close"))));
    }
    return made;
  }

  function build() {
    const { data } = sheet, { notes } = sheet;
    sheet.play = playButton({ key: data.item, get title() { return sheet.data.name; } }, { big: true, items: () => [item(sheet.data.range?.[0], sheet.data.range?.[1])] });
    const name = data.link ? h("button", { type: "button", class: "name t ell", onclick: () => midikin.go("piece", { id: String(data.link) }) }, data.name) : h("div", { class: "name t ell" }, data.name);
    const about = h("div", { style: "min-width:0" }, h("div", { class: "row", style: "gap:12px" }, sheet.play, h("div", { style: "min-width:0" }, data.head ? h("div", { class: "xs m" }, data.head) : null, name, h("div", { class: "s m ell" }, data.facts))));
    if (data.mode === "query") {
      root.replaceChildren(h("div", { class: "query" }, about, h("div", { style: "min-width:0" }, main), h("div", { class: "chips" }, ...chips())));
      sheet.overview = sheet.ticks = sheet.parts = null;
    } else {
      sheet.parts = h("div", { style: "margin-top:10px" });
      sheet.shownParts = null;
      const large = data.mode === "piece";
      sheet.overview = large ? h("canvas", { "aria-hidden": "true" }) : null;
      sheet.ticks = large ? h("div", { class: "ticks xs m" }) : null;
      root.replaceChildren(h("div", { class: `full ${large ? "" : "label"}` },
        large ? h("div", { class: "zoom" }, h("span", { class: "gap" }), iconButton("plus", "Zoom in", () => zoomBy(2)), iconButton("minus", "Zoom out", () => zoomBy(0.5)), iconButton("fit", "Show the whole piece", () => zoomBy(0))) : h("div", { style: "margin-bottom:10px" }, about),
        h("div", { class: "main" }, main), sheet.ticks, large ? h("div", { class: "overview" }, sheet.overview, tempoLine()) : null,
        large ? h("p", { class: "xs m", style: "margin-top:4px" }, `Whole piece${data.tempo.length > 1 ? "; the line is the tempo" : ""}. ${data.choosing ? "Drag on the roll to choose a passage." : ""}${notes.piano ? " Played on a piano: the file's parts are not known." : ""}`) : null, sheet.parts));
      sheet.overview?.addEventListener("click", (event) => {
        const bounds = sheet.overview.getBoundingClientRect();
        sheet.centre = ((event.clientX - bounds.left) / bounds.width) * notes.end;
        draw();
      });
    }
  }

  function tempoLine() {
    const { tempo } = sheet.data;
    if (tempo.length < 2) return null;
    const low = Math.min(...tempo.map(([, bpm]) => bpm)), high = Math.max(...tempo.map(([, bpm]) => bpm)), y = (bpm) => 38 - (32 * (bpm - low)) / (high - low || 1);
    const points = tempo.flatMap(([s, bpm], i) => { const x = (800 * s) / sheet.notes.end; return i ? [[x, y(tempo[i - 1][1])], [x, y(bpm)]] : [[0, y(bpm)]]; });
    points.push([800, points.at(-1)[1]]);
    const holder = document.createElement("span");
    holder.innerHTML = `<svg class="tempo" viewBox="0 0 800 44" preserveAspectRatio="none" aria-hidden="true"><path d="M${points.map((p) => p.map((v) => v.toFixed(1)).join(" ")).join("L")}" fill="none" stroke="var(--ink)" stroke-width="1.6" vector-effect="non-scaling-stroke"/></svg>`;
    return holder.firstChild;
  }

  sheet.update = (component) => {
    sheet.component = component;
    const text = JSON.stringify(component.data);
    if (sheet.text === text) return draw();
    const fresh = !sheet.data || sheet.data.notes !== component.data.notes;
    sheet.text = text;
    sheet.data = component.data;
    if (fresh) { sheet.notes = decodeNotes(component.data); sheet.zoom = 1; sheet.centre = null; }
    midikin.sheets.set(sheet.data.item, sheet.notes);
    main.setAttribute("aria-label", sheet.data.alt);
    main.setAttribute("aria-valuemin", "0");
    main.setAttribute("aria-valuemax", sheet.notes.end.toFixed(1));
    build();
    requestAnimationFrame(draw);
  };
  const off = onPlayer(draw);
  window.addEventListener("midikin-theme", draw);
  const observer = new ResizeObserver(draw);
  observer.observe(root);
  sheet.release = () => { off(); observer.disconnect(); window.removeEventListener("midikin-theme", draw); midikin.sheets.delete(sheet.data?.item); };
  return sheet;
}

export default function (component) {
  const sheet = stateOf(component, makeSheet);
  sheet.update(component);
  return () => { if (!component.parentElement.isConnected) sheet.release(); };
}
