// Rows of pieces: results that open, the table of the library, predictions to accept. Rolls are drawn when they
// come into sight; a row is one stop of the Tab key, J and K go from row to row.

function makeRows(root) {
  const rows = { opened: new Set(), selected: new Set(), at: -1 };
  const say = (name, value) => rows.component.setTriggerValue(name, value);
  const itemOf = (row) => ({ key: row.passage ? `${row.id}:${row.start}` : row.id, id: row.id, title: row.title, facts: row.facts || row.path, from: row.whole === false ? row.start : null, to: row.whole === false ? row.end : null });
  const items = () => rows.data.rows.map(itemOf);
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); entry.target.show(); }
  }, { rootMargin: "200px" });
  const end = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting) || rows.asked === rows.data.rows.length) return;
    rows.asked = rows.data.rows.length;
    say("more", rows.asked);
  });

  function thumbnail(row, height) {
    const canvas = h("canvas", { "aria-hidden": "true" });
    canvas.show = () => notesOf(row.id).then((notes) => {
      // The passage that matches best, and as much beside it that it can be read.
      const room = Math.max(12, (row.end ?? notes.end) - (row.start ?? 0));
      const span = row.whole === false ? [Math.max(0, row.start - room * 0.1), Math.min(notes.end, row.end + room * 0.1)] : [0, notes.end];
      canvas.paint = () => drawRoll(canvas, notes, { from: span[0], to: span[1], grid: false, limit: 400 });
      requestAnimationFrame(canvas.paint);
    }, () => {});
    seen.observe(canvas);
    return h("span", { class: "th" }, canvas);
  }

  const titleOf = (row) => h("button", { type: "button", class: "tt ell", tabindex: "-1", title: row.path || row.title, onclick: () => midikin.go("piece", { id: String(row.id) }) }, row.title);
  const bar = (percent) => { const i = h("i"); i.style.width = `${percent}%`; return h("span", { class: "bar" }, i); };
  const play = (row, i) => { const made = playButton(itemOf(row), { items, index: i }); rows.plays.push(made); return made; };
  const check = (row) => h("input", { type: "checkbox", "aria-label": `Select ${row.title}`, checked: rows.selected.has(row.id), onclick: (event) => {
    if (event.target.checked) rows.selected.add(row.id); else rows.selected.delete(row.id);
    event.target.closest(".hit").classList.toggle("sel", event.target.checked);
    selectionChanged();
  } });

  // -- results -----------------------------------------------------------------------------------------------

  function hit(row, i) {
    const toggle = iconButton("down", "Open this row", () => open(i), { "aria-expanded": "false" });
    toggle.classList.add("down");
    const line = h("div", { class: "hit", "data-row": i }, play(row, i), thumbnail(row),
      h("div", { class: "name", style: "min-width:0" }, titleOf(row), h("div", { class: "why ell", title: row.why }, row.why, row.passages > 1 ? ` · ${row.passages} passages` : "")),
      h("span", { class: "sim" }, h("span", { class: "v" }, `${row.percent} %`), h("b", {}, row.word), bar(row.percent)),
      h("span", { class: "k" }, row.key_name), h("span", { class: "b r" }, row.bpm), h("span", { class: "l r" }, row.length),
      h("span", { class: "acts" }, iconButton("similar", `Find what is similar to ${row.title}`, () => similar(row)), iconButton("plus", `Add ${row.title} as an example`, () => say("example", row.id)), toggle));
    return h("li", {}, h("article", { "aria-label": `${row.title}, ${row.word}, ${row.percent} %` }, line));
  }

  function open(i) {
    const row = rows.data.rows[i], item = list.children[i], article = item.firstChild, toggle = article.querySelector(".down");
    const opened = article.querySelector(".open");
    toggle.setAttribute("aria-expanded", String(!opened));
    article.querySelector(".hit").classList.toggle("on", !opened);
    if (opened) { opened.remove(); rows.opened.delete(row.id); return; }
    rows.opened.add(row.id);
    const canvas = h("canvas", { role: "img", "aria-label": `Piano roll of ${row.title}` }), parts = h("div");
    const where = row.whole === false ? `Shaded: ${clock(row.start)} to ${clock(row.end)}, ${row.label}. ` : "";
    const spans = row.spans || [];
    const panel = h("div", { class: "open" }, canvas,
      spans.length > 1 ? h("div", { class: "passages" }, ...spans.map(([from, to, percent]) => textButton("play", `${clock(from)} to ${clock(to)} · ${percent} %`, () => midikin.play([{ ...itemOf(row), from, to }])))) : null,
      h("div", { class: "line" }, parts, h("span", { class: "gap" }), textButton("similar", "Find similar", () => similar(row)),
        rows.data.comparable ? textButton("compare", "Compare", () => say("compare", row.id)) : null, textButton("map", "On the map", () => midikin.go("map", { piece: String(row.id) })),
        rows.data.query ? textButton("play", "Query, then this", () => inTurn(row)) : null, textButton(null, "Open piece", () => midikin.go("piece", { id: String(row.id) }))),
      h("p", { class: "s m", style: "margin-top:10px;overflow-wrap:anywhere" }, `${where}${row.path}`));
    article.append(panel);
    notesOf(row.id).then((notes) => {
      panel.draw = () => {
        const on = midikin.state.key === itemOf(row).key;
        drawRoll(canvas, notes, { marked: row.whole === false ? [row.start, row.end] : null, head: on ? midikin.state.position : null, silent: on ? midikin.state.silent : null });
        if (panel.parts !== `${on}${midikin.state.mute}${midikin.state.solo}`) {
          panel.parts = `${on}${midikin.state.mute}${midikin.state.solo}`;
          parts.replaceChildren(partChips(notes, on ? { mute: midikin.state.mute, solo: midikin.state.solo, onChange: (part, kind) => midikin.player?.part(part, kind) } : {}));
        }
      };
      panel.draw();
      canvas.addEventListener("click", (event) => {
        const bounds = canvas.getBoundingClientRect();
        midikin.play([{ ...itemOf(row), from: ((event.clientX - bounds.left) / bounds.width) * notes.end, to: null }]);
      });
    }, (error) => panel.append(h("p", { role: "alert" }, error.message)));
  }

  const similar = (row) => { if (rows.data.asks) say("similar", row.id); else midikin.go("search", { piece: String(row.id) }); };

  // Ten seconds of the query, then of this, each from where the passages begin.
  function inTurn(row) {
    const { query } = rows.data, seconds = 10;
    midikin.play([{ ...query, key: query.key, notes: midikin.sheets?.get(query.key), from: row.query_start ?? 0, to: (row.query_start ?? 0) + seconds },
      { ...itemOf(row), from: row.start ?? 0, to: Math.min(row.end ?? 1e9, (row.start ?? 0) + seconds) }]);
  }

  // -- the table of the library, and predictions ------------------------------------------------------------

  const COLUMNS = [["title", "Title", ""], ["composer", "Composer", "c"], ["folder", "Folder", "fo"], ["key_name", "Key", "k"], ["bpm", "BPM", "b r"], ["length", "Length", "r"], ["tags", "Tags", "g"]];

  function entry(row, i) {
    return h("li", {}, h("div", { class: `hit${rows.selected.has(row.id) ? " sel" : ""}`, "data-row": i }, check(row), play(row, i), thumbnail(row), titleOf(row),
      h("span", { class: "c ell" }, row.composer), h("span", { class: "fo ell m" }, row.folder), h("span", { class: "k" }, row.key_name), h("span", { class: "b r" }, row.bpm), h("span", { class: "r" }, row.length),
      h("span", { class: "g ell" }, row.tags || "")));
  }

  function prediction(row, i) {
    return h("li", {}, h("div", { class: "hit", "data-row": i }, check(row), play(row, i), thumbnail(row), titleOf(row), h("span", { class: "v2" }, h("span", { class: `chip ${row.percent >= 80 ? "on" : "am"}` }, row.value)),
      h("span", { class: "sim v2" }, h("span", { class: "s" }, `${row.percent} %`), bar(row.percent)),
      h("span", { class: "acts" }, iconButton("check", `Accept ${row.value} for ${row.title}`, () => say("accept", [row.id])), iconButton("close", `Reject ${row.value} for ${row.title}`, () => say("reject", [row.id])))));
  }

  function selectionChanged() {
    if (!rows.bar) return;
    const count = rows.selected.size, ids = [...rows.selected];
    rows.bar.replaceChildren();
    if (rows.data.mode === "predictions") {
      rows.bar.append(h("b", { class: "s" }, count ? `${count} selected` : "Select rows to accept or reject several"), h("span", { class: "gap" }));
      if (count) rows.bar.append(textButton(null, `Reject ${count}`, () => { say("reject", ids); rows.selected.clear(); }, "sm q"), textButton("check", `Accept ${count}`, () => { say("accept", ids); rows.selected.clear(); }, "sm pri"));
      return;
    }
    rows.bar.append(h("b", { class: "s", style: "white-space:nowrap" }, count ? `${count.toLocaleString("en")} selected` : "Select pieces to play, tag or export"));
    if (!count) return;
    const chosen = () => rows.data.rows.filter((row) => rows.selected.has(row.id)).map(itemOf);
    rows.bar.append(textButton("play", "Play", () => midikin.play(chosen())), textButton("tags", "Tag", () => say("act", { what: "tag", ids })), textButton("plus", "Add to collection", () => say("act", { what: "collect", ids })));
    if (count === 2) rows.bar.append(textButton("compare", "Compare", () => say("act", { what: "compare", ids })));
    rows.bar.append(textButton(null, "Export", () => say("act", { what: "export", ids })), h("span", { class: "gap" }), textButton(null, "Clear", () => { rows.selected.clear(); draw(); }, "sm q"));
  }

  // -- all -----------------------------------------------------------------------------------------------------

  const list = h("ol");
  const holder = h("div", { class: "hits" });
  root.append(holder);

  function head() {
    const { mode, sort } = rows.data;
    if (mode === "hits") return h("div", { class: "hh", "aria-hidden": "true" }, h("span"), h("span"), h("span", {}, "Piece, and what it shares"), h("span", {}, "Similarity"), h("span", { class: "k" }, "Key"), h("span", { class: "b r" }, "BPM"), h("span", { class: "l r" }, "Length"), h("span"));
    const every = h("input", { type: "checkbox", "aria-label": "Select all rows", onclick: (event) => { for (const row of rows.data.rows) if (event.target.checked) rows.selected.add(row.id); else rows.selected.delete(row.id); draw(); } });
    every.checked = rows.data.rows.length > 0 && rows.data.rows.every((row) => rows.selected.has(row.id));
    if (mode === "predictions") return h("div", { class: "hh" }, every, h("span"), h("span"), h("span", {}, "Piece"), h("span", {}, "Value"), h("span", {}, "Confidence"), h("span"));
    return h("div", { class: "hh" }, every, h("span"), h("span", { class: "th" }), ...COLUMNS.map(([name, label, style]) => {
      const sorted = sort && sort[0] === name;
      return h("span", { class: style, "aria-sort": sorted ? (sort[1] ? "descending" : "ascending") : null }, name === "tags" ? label : h("button", { type: "button", onclick: () => say("sort", name) }, `${label}${sorted ? (sort[1] ? " ↓" : " ↑") : ""}`));
    }));
  }

  function draw() {
    const { mode, rows: all } = rows.data, made = { hits: hit, library: entry, predictions: prediction }[mode];
    rows.plays = [];
    holder.className = `hits ${{ hits: "hit10", library: "list", predictions: "pred" }[mode]}${rows.data.plain ? " plain" : ""}`;
    rows.bar = mode === "hits" || rows.data.plain ? null : h("div", { class: "selection", role: "status" });
    list.replaceChildren(...all.map(made));
    list.setAttribute("aria-label", rows.data.label || "Pieces");
    const more = rows.data.more ? h("div", { class: "more" }, `${all.length} of ${rows.data.total.toLocaleString("en")} shown; scroll for more`) : null;
    holder.replaceChildren(...[rows.bar, head(), list, more].filter(Boolean));
    selectionChanged();
    if (more) end.observe(more);
    all.forEach((row, i) => { if (rows.opened.has(row.id) && mode === "hits") { rows.opened.delete(row.id); open(i); } });
    [...list.querySelectorAll(".hit")].forEach((line, i) => { line.tabIndex = i ? -1 : 0; });
  }

  root.addEventListener("focusin", (event) => { const line = event.target.closest?.(".hit"); if (line) rows.at = Number(line.dataset.row); });

  function key({ detail }) {
    const lines = [...list.querySelectorAll(".hit")];
    if (!lines.length || !root.isConnected) return;
    if (detail === "j" || detail === "k") {
      rows.at = Math.max(0, Math.min(lines.length - 1, rows.at + (detail === "j" ? 1 : -1)));
      lines.forEach((line, i) => { line.tabIndex = i === rows.at ? 0 : -1; });
      lines[rows.at].focus();
      lines[rows.at].scrollIntoView({ block: "nearest" });
      return;
    }
    const row = rows.data.rows[rows.at];
    if (!row) return;
    if (detail === "f") similar(row);
    else if (detail === "a") say(rows.data.mode === "hits" ? "example" : "act", rows.data.mode === "hits" ? row.id : { what: "collect", ids: [row.id] });
    else if (rows.data.mode === "hits") open(rows.at); else midikin.go("piece", { id: String(row.id) });
  }
  window.addEventListener("midikin-row", key);
  const off = onPlayer(({ detail }) => {
    if (detail === "changed") for (const made of rows.plays || []) made.refresh();
    for (const panel of root.querySelectorAll(".open")) panel.draw?.();
  });
  const repaint = () => { for (const canvas of root.querySelectorAll("canvas")) canvas.paint?.(); for (const panel of root.querySelectorAll(".open")) panel.draw?.(); };
  window.addEventListener("midikin-theme", repaint);
  const resized = new ResizeObserver(repaint);
  resized.observe(root);

  rows.update = (component) => {
    rows.component = component;
    const text = JSON.stringify(component.data);
    if (rows.text !== text) {
      if (rows.data && rows.data.name !== component.data.name) { rows.opened.clear(); rows.selected.clear(); rows.at = -1; rows.asked = null; }
      rows.text = text;
      rows.data = component.data;
      draw();
    }
    if (rows.data.queue) midikin.queue = items;
  };
  rows.release = () => {
    off(); seen.disconnect(); end.disconnect(); resized.disconnect();
    window.removeEventListener("midikin-row", key);
    window.removeEventListener("midikin-theme", repaint);
    if (midikin.queue === items) midikin.queue = null;
  };
  return rows;
}

export default function (component) {
  const rows = stateOf(component, makeRows);
  rows.update(component);
  return () => { if (!component.parentElement.isConnected) rows.release(); };
}
