// A piano roll that plays: the notes of a piece, the passage in question, a moving cursor, and, where it is
// asked for, a range to choose by dragging.

const COMPARED_S = 10; // of the query, and of the answer

function makeRoll(root) {
  const canvas = root.querySelector("canvas"), bar = root.querySelector(".bar");
  const roll = { view: null, cursor: null, drag: null };
  roll.player = new Player(root.querySelector("audio"), () => { moved(); });
  const play = button(bar, "▶", () => toggle(), "Play");
  play.classList.add("main");
  const time = bar.appendChild(document.createElement("span"));
  time.className = "time";
  const both = button(bar, "Query, then this", () => compare(), "Query, then this: ten seconds each, from the same place");
  const zoom = button(bar, "Zoom", () => { roll.zoomed = !roll.zoomed; show(); });
  const clear = button(bar, "Whole piece", () => choose(null));

  function span() { return roll.data.range || roll.data.span || [roll.start, roll.end]; }

  function toggle() {
    if (roll.player.playing) return roll.player.pause();
    if (roll.player.span && !roll.player.audio.ended) return roll.player.resume();
    playFrom(roll.cursor ?? span()[0]);
  }

  // From a place inside the passage to its end, from elsewhere to the end of the piece.
  function playFrom(from) {
    const [start, end] = span();
    const to = from >= start - 0.01 && from < end ? end : roll.end;
    if (from < to) roll.player.play([{ notes: roll.notes, from, to, lane: "this" }]);
  }

  // Some seconds of the query and then of this, from the same place: as far into the one as into the other.
  function compare() {
    const { of, span: [first, last] } = roll.data.other, [start, end] = span();
    const at = roll.cursor !== null && roll.cursor >= start && roll.cursor < end ? roll.cursor : start;
    const there = first + ((at - start) / (end - start)) * (last - first);
    roll.player.play([
      { notes: decodeNotes(heldNotes.get(of)), from: there, to: Math.min(last, there + COMPARED_S), lane: "query" },
      { notes: roll.notes, from: at, to: Math.min(end, at + COMPARED_S), lane: "this" },
    ]);
    roll.compared = at;
  }

  function choose(range) {
    roll.cursor = range ? range[0] : null;
    roll.component.setStateValue("range", range);
    roll.data = { ...roll.data, range };
    show();
  }

  function moved() {
    const { player } = roll;
    play.textContent = player.playing ? "❚❚" : "▶";
    const stop = player.playing ? "Pause" : "Play";
    play.setAttribute("aria-label", `${stop} ${roll.data.name}`);
    play.title = stop;
    if (player.span && player.span.lane === "this") roll.cursor = player.now;
    if (!player.span && roll.compared !== undefined) {
      roll.cursor = roll.compared; // so that the same place can be heard again
      roll.compared = undefined;
    }
    root.dataset.playing = player.playing ? player.span.lane : "";
    both.classList.toggle("on", player.playing && player.span.lane === "query");
    draw();
  }

  function window_() {
    if (!roll.zoomed) return [roll.start, roll.end];
    const [start, end] = span(), margin = Math.max(2, 0.15 * (end - start));
    return [Math.max(roll.start, start - margin), Math.min(roll.end, end + margin)];
  }

  function draw() {
    tell();
    if (!roll.seen || !canvas.clientWidth) return; // of ten answers two are on the screen
    const { context, width, height } = paperOf(canvas);
    const text = colour(root, "--st-text-color", "#333"), accent = colour(root, "--st-primary-color", "#0a7");
    const [from, to] = window_();
    const place = (s) => ((s - from) / (to - from)) * width;
    const box = { x: 0, y: 2, width, height: height - 4 };
    const step = box.height / (roll.pitches[1] - roll.pitches[0] + 1);
    context.globalAlpha = 0.1;
    context.fillStyle = text;
    for (let c = Math.ceil(roll.pitches[0] / 12) * 12; c <= roll.pitches[1]; c += 12) {
      context.fillRect(0, box.y + (roll.pitches[1] - c + 1) * step, width, 1);
    }
    const marked = roll.drag || roll.data.range || roll.data.span;
    if (marked) {
      context.globalAlpha = 0.2;
      context.fillStyle = accent;
      context.fillRect(place(marked[0]), 0, Math.max(2, place(marked[1]) - place(marked[0])), height);
      context.globalAlpha = 1;
      for (const edge of marked) context.fillRect(Math.min(width - 1.5, place(edge)), 0, 1.5, height);
    }
    const inside = (i) => !marked || (roll.notes.onset[i] >= marked[0] - 0.005 && roll.notes.onset[i] <= marked[1]);
    drawNotes(context, roll.notes, box, roll.pitches, place, (i) => (inside(i) ? accent : text));
    if (roll.cursor !== null) {
      context.fillStyle = colour(root, "--st-red-color", "#d33");
      context.fillRect(place(roll.cursor) - 1, 0, 2, height);
    }
  }

  // What the roll says in words, where it changed.
  function tell() {
    const marked = roll.data.range || roll.data.span, [a, b] = span();
    const at = roll.cursor ?? (marked ? marked[0] : roll.start);
    const said = marked
      ? `${clock(at)} · passage ${clock(a)}–${clock(b)} of ${clock(roll.end)}` : `${clock(at)} of ${clock(roll.end)}`;
    canvas.setAttribute("aria-valuenow", at.toFixed(1));
    if (said === time.textContent) return;
    time.textContent = said;
    canvas.setAttribute("aria-valuetext", said);
  }

  function seconds(event) {
    const bounds = canvas.getBoundingClientRect(), [from, to] = window_();
    const share = (event.clientX - bounds.left) / bounds.width;
    return Math.min(roll.end, Math.max(roll.start, from + share * (to - from)));
  }

  canvas.addEventListener("pointerdown", (event) => {
    roll.pressed = seconds(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (roll.pressed === undefined || !roll.data.choosing) return;
    const now = seconds(event);
    if (roll.drag || Math.abs(now - roll.pressed) > 0.012 * (roll.end - roll.start)) {
      roll.drag = [Math.min(now, roll.pressed), Math.max(now, roll.pressed)];
      draw();
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    if (roll.pressed === undefined) return;
    roll.pressed = undefined;
    if (roll.drag) {
      const range = roll.drag.map((s) => Math.round(s * 100) / 100);
      roll.drag = null;
      choose(range);
    } else {
      roll.cursor = seconds(event);
      playFrom(roll.cursor);
    }
  });
  canvas.addEventListener("pointercancel", () => { roll.pressed = undefined; roll.drag = null; draw(); });
  canvas.addEventListener("keydown", (event) => {
    const at = roll.cursor ?? span()[0];
    const go = (s) => {
      roll.cursor = Math.min(roll.end, Math.max(roll.start, s));
      if (roll.player.playing) playFrom(roll.cursor); else draw();
    };
    const keys = {
      " ": toggle, Enter: toggle,
      ArrowLeft: () => go(at - (event.shiftKey ? 1 : 5)), ArrowRight: () => go(at + (event.shiftKey ? 1 : 5)),
      Home: () => go(roll.start), End: () => go(roll.end),
    };
    if (roll.data.choosing) {
      keys["["] = () => choose([at, Math.max(at + 1, roll.data.range ? roll.data.range[1] : roll.end)]);
      keys["]"] = () => choose([Math.min(at - 1, roll.data.range ? roll.data.range[0] : roll.start), at]);
      keys.Escape = () => choose(null);
    }
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });

  function show() {
    const { data } = roll;
    both.hidden = !data.other;
    zoom.hidden = !(data.range || data.span);
    zoom.textContent = roll.zoomed ? "Whole" : "Zoom";
    zoom.setAttribute("aria-label", roll.zoomed ? "Show the whole piece" : "Zoom to the passage");
    clear.hidden = !(data.choosing && data.range);
    canvas.style.height = `${data.height}px`;
    canvas.setAttribute("aria-label", data.alt);
    canvas.setAttribute("aria-valuemin", roll.start.toFixed(1));
    canvas.setAttribute("aria-valuemax", roll.end.toFixed(1));
    moved();
  }

  roll.update = (component) => {
    roll.component = component;
    const fresh = !roll.data || roll.data.notes !== component.data.notes;
    const moved_ = fresh || JSON.stringify(roll.data.span) !== JSON.stringify(component.data.span);
    roll.data = component.data;
    if (fresh) {
      roll.notes = decodeNotes(component.data.notes);
      roll.pitches = compass(roll.notes);
      roll.start = 0;
      roll.end = lasting(roll.notes).end;
      roll.player.stop();
    }
    if (moved_) roll.cursor = null;
    if (component.data.own) holdNotes(component.data.own, component.data.notes);
    show();
  };
  roll.observer = new ResizeObserver(() => draw());
  roll.observer.observe(canvas);
  roll.seeing = new IntersectionObserver(([entry]) => {
    roll.seen = entry.isIntersecting;
    draw();
  }, { rootMargin: "200px" });
  roll.seeing.observe(canvas);
  return roll;
}

function release(roll) {
  roll.player.release();
  roll.observer.disconnect();
  roll.seeing.disconnect();
}

export default function (component) {
  const roll = stateOf(component, makeRoll);
  roll.update(component);
  return () => { if (!component.parentElement.isConnected) { release(roll); } };
}
