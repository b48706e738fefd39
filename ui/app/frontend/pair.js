// Two pieces beside each other: where they agree is joined by bands, what differs is marked, and below, the
// moment at the cursor with the second piece drawn on the clock of the first.

const OVERVIEW = 54, BAND = 34, DETAIL = 92, DETAIL_S = 12;

function makePair(root) {
  const [overview, detail] = root.querySelectorAll("canvas"), bar = root.querySelector(".bar");
  const pair = { cursor: 0 };
  pair.player = new Player(root.querySelector("audio"), () => moved());
  const playA = button(bar, "▶ A", () => toggle("a"), "Play A from the cursor");
  const playB = button(bar, "▶ B", () => toggle("b"), "Play B from the same place");
  const turn = button(bar, "A, then B", () => inTurn(), "Play ten seconds of A and then the same place of B");
  const prior = button(bar, "⇤ difference", () => jump(-1), "Go to the previous difference");
  const next = button(bar, "difference ⇥", () => jump(1), "Go to the next difference");
  const time = bar.appendChild(document.createElement("span"));
  time.className = "time";

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

  function spanFrom(lane, length) {
    const piece = pair[lane];
    const at = lane === "a" ? pair.cursor : across(pair.cursor, "a", "b") ?? pair.cursor;
    const from = Math.max(0, Math.min(at, piece.end - 0.5));
    return { notes: piece.notes, from, to: Math.min(piece.end, from + length), lane };
  }

  function toggle(lane) {
    const { player } = pair;
    if (player.playing && player.span.lane === lane) return player.pause();
    pair.player.play([spanFrom(lane, Infinity)]);
  }

  function inTurn() { pair.player.play([spanFrom("a", 10), spanFrom("b", 10)]); pair.back = pair.cursor; }

  function jump(direction) {
    const times = pair.differences;
    const place = direction > 0 ? times.find((t) => t > pair.cursor + 0.3)
      : [...times].reverse().find((t) => t < pair.cursor - 0.3);
    if (place !== undefined) { pair.player.stop(); pair.cursor = place; draw(); }
  }

  function moved() {
    const { player } = pair;
    if (player.span) {
      const at = player.span.lane === "a" ? player.now : across(player.now, "b", "a");
      if (at !== null) pair.cursor = at;
    }
    root.dataset.playing = player.playing ? player.span.lane : "";
    for (const [lane, made] of [["a", playA], ["b", playB]]) {
      const on = player.playing && player.span.lane === lane;
      made.classList.toggle("on", on);
      made.textContent = `${on ? "❚❚" : "▶"} ${lane.toUpperCase()}`;
    }
    draw();
  }

  function lane(context, piece, only, box, pitches, place, fill, red) {
    drawNotes(context, piece.notes, box, pitches, place,
      (i) => (only.has(`${Math.round(piece.notes.onset[i] * 50)}:${piece.notes.pitch[i]}`) ? red : fill));
  }

  function draw() {
    if (!overview.clientWidth) return;
    const text = colour(root, "--st-text-color", "#333"), accent = colour(root, "--st-primary-color", "#0a7");
    const red = colour(root, "--st-red-color", "#d33"), grey = colour(root, "--st-gray-color", "#888");
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
    lane(context, pair.a, pair.onlyA, { x: 0, y: 1, width, height: OVERVIEW - 2 }, pair.pitchesA, whole, text, red);
    lane(context, pair.b, pair.onlyB, { x: 0, y: lower + 1, width, height: OVERVIEW - 2 }, pair.pitchesB, whole, text, red);
    context.fillStyle = accent;
    context.fillRect(pair.cursor * scale - 1, 0, 2, OVERVIEW);
    if (there !== null) context.fillRect(there * scale - 1, lower, 2, OVERVIEW);
    drawDetail(text, red, accent, grey);
    time.textContent = `A ${clock(pair.cursor)} · B ${there === null ? "not shared here" : clock(there)}`;
    overview.setAttribute("aria-valuenow", pair.cursor.toFixed(1));
    overview.setAttribute("aria-valuetext", time.textContent);
  }

  function drawDetail(text, red, accent, grey) {
    const { context, width } = paperOf(detail);
    const from = pair.cursor - DETAIL_S * 0.3, scale = width / DETAIL_S;
    const onA = (s) => (s - from) * scale;
    const onB = (s) => { const at = across(s, "b", "a"); return at === null ? null : onA(at); };
    const half = DETAIL;
    context.font = "12px system-ui, sans-serif";
    lane(context, pair.a, pair.onlyA, { x: 0, y: 4, width, height: half - 8 }, pair.pitchesA, onA, text, red);
    lane(context, pair.b, pair.onlyB, { x: 0, y: half + 4, width, height: half - 8 }, pair.pitchesB, onB, text, red);
    context.fillStyle = grey;
    context.fillRect(0, half, width, 1);
    context.fillText("A", 4, 14);
    context.fillText("B, on the clock of A", 4, half + 15);
    context.fillStyle = accent;
    context.fillRect(onA(pair.cursor) - 1, 0, 2, 2 * half);
  }

  function goTo(seconds) { pair.player.stop(); pair.cursor = Math.min(pair.a.end, Math.max(0, seconds)); draw(); }

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
      for (const side of ["a", "b"]) {
        const notes = decodeNotes(data[side].notes);
        pair[side] = { notes, ...lasting(notes) };
      }
      pair.pitchesA = compass(pair.a.notes);
      pair.pitchesB = compass(pair.b.notes);
      const keys = (list) => new Set(list.map(([s, pitch]) => `${Math.round(s * 50)}:${pitch}`));
      pair.onlyA = keys(data.only_a);
      pair.onlyB = keys(data.only_b);
      const inA = data.only_b.map(([s]) => across(s, "b", "a")).filter((s) => s !== null);
      pair.differences = [...data.only_a.map(([s]) => s), ...inA].sort((x, y) => x - y);
      pair.cursor = data.passages.length ? data.passages[0].a[0] : 0;
      pair.player.stop();
    }
    prior.hidden = next.hidden = !pair.differences.length;
    overview.style.height = `${2 * OVERVIEW + BAND}px`;
    detail.style.height = `${2 * DETAIL}px`;
    overview.setAttribute("aria-label", data.alt);
    overview.setAttribute("aria-valuemin", "0");
    overview.setAttribute("aria-valuemax", pair.a.end.toFixed(1));
    moved();
  };
  pair.observer = new ResizeObserver(() => draw());
  pair.observer.observe(overview);
  return pair;
}

export default function (component) {
  const pair = stateOf(component, makePair);
  pair.update(component);
  return () => { if (!component.parentElement.isConnected) { pair.player.release(); pair.observer.disconnect(); } };
}
