// Two pieces beside each other: where they agree is joined by bands, what differs is marked, and below, the
// moment at the cursor with the second piece drawn in the timing of the first.

const OVERVIEW = 54, BAND = 34, DETAIL = 92, DETAIL_S = 12;

// The first index of a rising array whose value is not below `value`.
function firstFrom(sorted, value) {
  const index = sorted.findIndex((element) => element >= value);
  return index < 0 ? sorted.length : index;
}

function makePair(root) {
  const [overview, detail] = root.querySelectorAll("canvas"), bar = root.querySelector(".tools");
  const pair = { cursor: 0 };
  const named = (button, label) => { button.setAttribute("aria-label", label); button.title = label; return button; };
  const playA = named(textButton("play", "A", () => toggle("a")), "Play A from the cursor");
  const playB = named(textButton("play", "B", () => toggle("b")), "Play B from the same place");
  const turn = named(textButton("play", "A, then B", () => inTurn()), "Play ten seconds of A and then the same place of B");
  const prior = named(textButton(null, "Previous difference", () => jump(-1)), "Go to the previous difference");
  const next = named(textButton(null, "Next difference", () => jump(1)), "Go to the next difference");
  const time = h("span", { class: "s m" });
  bar.append(playA, playB, turn, prior, next, time);
  const keyOf = (side) => `pair-${side}-${pair.data.names[side === "a" ? 0 : 1]}`;
  const playing = (side) => midikin.state.key === keyOf(side) && midikin.state.playing;
  const item = (side, from, to) => ({ key: keyOf(side), notes: pair[side], title: `${side.toUpperCase()}: ${pair.data.names[side === "a" ? 0 : 1]}`, facts: "Compared", from, to });

  // Where a moment of A falls in B, or the reverse; null outside the shared passages.
  function across(seconds, from, to) {
    for (const p of pair.data.passages) {
      const at = p[from], there = p[to];
      const low = Math.min(at[0], at[at.length - 1]), high = Math.max(at[0], at[at.length - 1]);
      if (seconds < low - 0.5 || seconds > high + 0.5) continue;
      let k = Math.min(at.length - 2, Math.max(0, firstFrom(at, seconds) - 1));
      const slope = (there[k + 1] - there[k]) / (at[k + 1] - at[k] || 1);
      return there[k] + (seconds - at[k]) * slope;
    }
    return null;
  }

  function spanFrom(side, length) {
    const piece = pair[side], at = side === "a" ? pair.cursor : across(pair.cursor, "a", "b") ?? pair.cursor;
    const from = Math.max(0, Math.min(at, piece.end - 0.5));
    return item(side, from, length === null ? null : Math.min(piece.end, from + length));
  }

  function toggle(side) {
    if (playing(side)) midikin.toggle(); else midikin.play([spanFrom(side, null)]);
  }

  function inTurn() { midikin.play([spanFrom("a", 10), spanFrom("b", 10)]); }

  function jump(direction) {
    const times = pair.differences;
    const place = direction > 0 ? times.find((t) => t > pair.cursor + 0.3)
      : [...times].reverse().find((t) => t < pair.cursor - 0.3);
    if (place !== undefined) goTo(place);
  }

  function moved() {
    if (!pair.a) return;
    const side = playing("a") ? "a" : playing("b") ? "b" : "";
    if (side) {
      const at = side === "a" ? midikin.state.position : across(midikin.state.position, "b", "a");
      if (at !== null) pair.cursor = at;
    }
    root.dataset.playing = side;
    for (const [name, made] of [["a", playA], ["b", playB]]) made.replaceChildren(icon(side === name ? "pause" : "play"), name.toUpperCase());
    draw();
  }

  // Notes on a lane; `place(seconds)` tells the pixel of a moment, or null where it has none.
  function lane(context, notes, only, box, place, ink) {
    const step = box.height / (notes.high - notes.low + 1);
    for (let i = 0; i < notes.count; i++) {
      const x = place(notes.onset[i]);
      if (x === null || x > box.x + box.width) continue;
      const end = place(notes.onset[i] + notes.duration[i]), width = Math.max(1, (end === null ? x + 2 : end) - x - 0.4);
      if (x + width < box.x) continue;
      const differs = only.has(`${Math.round(notes.onset[i] * 50)}:${notes.pitch[i]}`);
      context.globalAlpha = differs ? 1 : 0.5 + 0.5 * (notes.velocity[i] / 127);
      context.fillStyle = differs ? ink.felt : ink.colours[notes.colours[notes.part[i]]];
      const left = Math.max(box.x, x), drums = notes.parts[notes.part[i]].drums;
      const y = drums ? box.y + box.height - 4 : box.y + (notes.high - notes.pitch[i]) * step;
      context.fillRect(left, Math.max(box.y, y), Math.min(x + width, box.x + box.width) - left, Math.max(1.5, Math.min(5, step - 0.3)));
    }
    context.globalAlpha = 1;
  }

  function draw() {
    if (!overview.clientWidth) return;
    const ink = inks(overview), accent = ink.accent;
    const { context, width } = paperOf(overview);
    const longest = Math.max(pair.a.end, pair.b.end), scale = width / longest;
    const lower = OVERVIEW + BAND;
    const there = across(pair.cursor, "a", "b");
    context.globalAlpha = 0.22;
    context.fillStyle = accent;
    for (const p of pair.data.passages) {
      const last = p.a.length - 1;
      context.beginPath();
      context.moveTo(p.a[0] * scale, 0); context.lineTo(p.a[last] * scale, 0);
      context.lineTo(p.a[last] * scale, OVERVIEW); context.lineTo(p.b[last] * scale, lower);
      context.lineTo(p.b[last] * scale, lower + OVERVIEW); context.lineTo(p.b[0] * scale, lower + OVERVIEW);
      context.lineTo(p.b[0] * scale, lower); context.lineTo(p.a[0] * scale, OVERVIEW);
      context.closePath();
      context.fill();
    }
    context.globalAlpha = 1;
    const whole = (s) => s * scale;
    lane(context, pair.a, pair.onlyA, { x: 0, y: 1, width, height: OVERVIEW - 2 }, whole, ink);
    lane(context, pair.b, pair.onlyB, { x: 0, y: lower + 1, width, height: OVERVIEW - 2 }, whole, ink);
    context.fillStyle = ink.felt;
    context.fillRect(pair.cursor * scale - 1, 0, 2, OVERVIEW);
    if (there !== null) context.fillRect(there * scale - 1, lower, 2, OVERVIEW);
    drawDetail(ink);
    time.textContent = `A ${clock(pair.cursor)} · B ${there === null ? "not shared here" : clock(there)}`;
    overview.setAttribute("aria-valuenow", pair.cursor.toFixed(1));
    overview.setAttribute("aria-valuetext", time.textContent);
  }

  function drawDetail(ink) {
    const { context, width } = paperOf(detail);
    const from = pair.cursor - DETAIL_S * 0.3, scale = width / DETAIL_S;
    const onA = (s) => (s - from) * scale;
    const onB = (s) => { const at = across(s, "b", "a"); return at === null ? null : onA(at); };
    const half = DETAIL;
    context.font = "12px system-ui, sans-serif";
    lane(context, pair.a, pair.onlyA, { x: 0, y: 4, width, height: half - 8 }, onA, ink);
    lane(context, pair.b, pair.onlyB, { x: 0, y: half + 4, width, height: half - 8 }, onB, ink);
    context.fillStyle = ink.mute;
    context.fillRect(0, half, width, 1);
    context.fillText("A", 4, 14);
    context.fillText("B, in the timing of A", 4, half + 15);
    context.fillStyle = ink.felt;
    context.fillRect(onA(pair.cursor) - 1, 0, 2, 2 * half);
  }

  function goTo(seconds) { if (playing("a") || playing("b")) midikin.toggle(); pair.cursor = Math.min(pair.a.end, Math.max(0, seconds)); draw(); }

  overview.addEventListener("click", (event) => {
    const bounds = overview.getBoundingClientRect();
    const seconds = ((event.clientX - bounds.left) / bounds.width) * Math.max(pair.a.end, pair.b.end);
    const below = event.clientY - bounds.top > OVERVIEW + BAND / 2;
    const place = below ? across(seconds, "b", "a") : seconds;
    if (place !== null) goTo(place);
  });
  detail.addEventListener("click", (event) => {
    const bounds = detail.getBoundingClientRect();
    goTo(pair.cursor + ((event.clientX - bounds.left) / bounds.width - 0.3) * DETAIL_S);
  });
  overview.addEventListener("keydown", (event) => {
    const keys = { ArrowLeft: -5, ArrowRight: 5 };
    if (event.key === " ") toggle("a");
    else if (event.key in keys) goTo(pair.cursor + keys[event.key] / (event.shiftKey ? 5 : 1));
    else return;
    event.preventDefault();
  });

  pair.update = (component) => {
    const { data } = component;
    const fresh = !pair.data || pair.data.a.notes !== data.a.notes || pair.data.b.notes !== data.b.notes;
    pair.data = data;
    if (fresh) {
      for (const side of ["a", "b"]) pair[side] = decodeNotes(data[side]);
      const keys = (list) => new Set(list.map(([s, pitch]) => `${Math.round(s * 50)}:${pitch}`));
      pair.onlyA = keys(data.only_a);
      pair.onlyB = keys(data.only_b);
      const inA = data.only_b.map(([s]) => across(s, "b", "a")).filter((s) => s !== null);
      pair.differences = [...data.only_a.map(([s]) => s), ...inA].sort((x, y) => x - y);
      pair.cursor = data.passages.length ? data.passages[0].a[0] : 0;
    }
    prior.hidden = next.hidden = !pair.differences.length;
    overview.style.height = `${2 * OVERVIEW + BAND}px`;
    detail.style.height = `${2 * DETAIL}px`;
    overview.setAttribute("aria-label", data.alt);
    overview.setAttribute("aria-valuemin", "0");
    overview.setAttribute("aria-valuemax", pair.a.end.toFixed(1));
    moved();
  };
  const observer = new ResizeObserver(() => { if (pair.a) draw(); });
  observer.observe(overview);
  const off = onPlayer(moved);
  pair.release = () => { off(); observer.disconnect(); };
  return pair;
}

export default function (component) {
  const pair = stateOf(component, makePair);
  pair.update(component);
  return () => { if (!component.parentElement.isConnected) pair.release(); };
}
