// The map of a library: a point for each piece, drawn pixel by pixel, so that a hundred thousand of them follow
// the hand on any machine, with a graphics processor or without.

const NEAR_PX = 12;

function makeMap(root) {
  const canvas = root.querySelector("canvas"), bar = root.querySelector(".tools"), tip = root.querySelector(".tip");
  const key = root.querySelector(".key");
  const map = { scale: 1, x: 0.5, y: 0.5, loop: null, frames: [], hidden: new Set() };
  const hand = iconButton("move", "Move the map by dragging", () => tool(false));
  const lasso = iconButton("lasso", "Draw around pieces to choose them", () => tool(true));
  const clear = textButton(null, "Choose none", () => choose(new Uint32Array(0)));
  const status = h("span", { class: "s m", role: "status" });
  bar.append(hand, lasso, iconButton("plus", "Zoom in", () => zoomAt(1.6)), iconButton("minus", "Zoom out", () => zoomAt(1 / 1.6)),
    iconButton("fit", "Show the whole map", () => { map.scale = 1; map.x = map.y = 0.5; later(); }), status, clear);

  // What the colours mean; a press hides a kind, or shows it again.
  function legend() {
    key.replaceChildren();
    const counts = new Uint32Array(map.data.kinds.length);
    for (const kind of map.kinds) counts[kind]++;
    map.data.kinds.forEach((name, kind) => {
      if (!counts[kind]) return;
      const swatch = h("i"), off = map.hidden.has(kind);
      swatch.style.background = map.data.palette[kind];
      key.append(h("button", { type: "button", class: off ? "off" : "", "aria-pressed": String(!off), title: off ? `Show ${name}` : `Hide ${name}`, onclick: () => {
        if (off) map.hidden.delete(kind); else map.hidden.add(kind);
        paint(); legend(); later();
      } }, swatch, name, h("span", { class: "m" }, counts[kind].toLocaleString("en"))));
    });
  }

  function tool(drawing) {
    map.drawing = drawing;
    hand.setAttribute("aria-pressed", String(!drawing));
    lasso.setAttribute("aria-pressed", String(drawing));
    canvas.style.cursor = drawing ? "crosshair" : "grab";
  }

  function later() { if (!map.frame) map.frame = requestAnimationFrame(() => { map.frame = 0; draw(); }); }

  // Pixels of a place of the map; the shorter side of the canvas shows the whole of it at scale 1.
  function view() {
    const width = canvas.width, height = canvas.height, panel = canvas.clientWidth > 1000 ? 356 * (width / canvas.clientWidth) : 0;
    const size = 0.94 * Math.min(width - panel, height) * map.scale;
    return { width, height, size, left: (width - panel) / 2 - map.x * size, top: height / 2 - map.y * size };
  }

  function draw() {
    if (!canvas.clientWidth || !map.points) return;
    const began = performance.now(), ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    const context = canvas.getContext("2d"), { width, height, size, left, top } = view();
    if (!map.image || map.image.width !== width || map.image.height !== height) {
      map.image = context.createImageData(width, height);
      map.pixels = new Uint32Array(map.image.data.buffer);
    }
    const { pixels, points, shades } = map;
    pixels.fill(0);
    const usual = map.count > 20000 ? 2 : map.count > 2000 ? 4 : 7;
    const side = Math.max(2, Math.round(ratio * Math.min(12, usual * map.scale ** 0.4))), half = side >> 1;
    const inset = new Int32Array(side); // of each row of a disc
    for (let k = 0; side > 3 && k < side; k++) {
      inset[k] = Math.round(side / 2 - Math.sqrt(Math.max(0, (side / 2) ** 2 - (k + 0.5 - side / 2) ** 2)));
    }
    for (let i = 0; i < map.count; i++) {
      const x = ((left + points[2 * i] * size) | 0) - half, y = ((top + points[2 * i + 1] * size) | 0) - half;
      if (x < 0 || y < 0 || x + side > width || y + side > height) continue;
      const shade = shades[i];
      for (let row = y * width + x, k = 0; k < side; k++, row += width) pixels.fill(shade, row + inset[k], row + side - inset[k]);
    }
    context.putImageData(map.image, 0, 0);
    contours(context, ratio, left, top, size);
    names(context, ratio, left, top, size);
    marks(context, ratio, left, top, size);
    map.frames.push(performance.now() - began);
    if (map.frames.length > 200) map.frames.shift();
    root.dataset.drawn = String(Number(root.dataset.drawn || 0) + 1);
  }

  // Lines of equal density behind the points: a landscape of five lines.
  function landscape() {
    const cells = 72, grid = new Float32Array(cells * cells);
    for (let i = 0; i < map.count; i++) grid[Math.min(cells - 1, map.points[2 * i] * cells | 0) + cells * Math.min(cells - 1, map.points[2 * i + 1] * cells | 0)]++;
    const blur = (source, step) => { // a box of five cells, three times: nearly a Gaussian
      const out = new Float32Array(source.length);
      for (let y = 0; y < cells; y++) for (let x = 0; x < cells; x++) {
        let sum = 0;
        for (let k = -2; k <= 2; k++) { const a = step === 1 ? x + k : y + k; if (a >= 0 && a < cells) sum += source[step === 1 ? y * cells + a : a * cells + x]; }
        out[y * cells + x] = sum / 5;
      }
      return out;
    };
    let density = grid;
    for (let k = 0; k < 3; k++) density = blur(blur(density, 1), cells);
    const sorted = Float32Array.from(density).sort(), top = sorted[Math.floor(sorted.length * 0.995)] || 1, segments = [];
    for (const level of [0.06, 0.16, 0.3, 0.5, 0.75].map((share) => share * top)) {
      for (let y = 0; y + 1 < cells; y++) for (let x = 0; x + 1 < cells; x++) { // marching squares
        const v = [density[y * cells + x], density[y * cells + x + 1], density[(y + 1) * cells + x + 1], density[(y + 1) * cells + x]], cut = [];
        const corner = [[0, 0], [1, 0], [1, 1], [0, 1]];
        for (let k = 0; k < 4; k++) {
          const a = v[k], b = v[(k + 1) % 4];
          if (a > level === b > level) continue;
          const t = (level - a) / (b - a), [ax, ay] = corner[k], [bx, by] = corner[(k + 1) % 4];
          cut.push((x + 0.5 + ax + t * (bx - ax)) / cells, (y + 0.5 + ay + t * (by - ay)) / cells);
        }
        for (let k = 0; k + 3 < cut.length; k += 4) segments.push(cut[k], cut[k + 1], cut[k + 2], cut[k + 3]);
      }
    }
    map.contour = new Path2D();
    for (let k = 0; k < segments.length; k += 4) { map.contour.moveTo(segments[k], segments[k + 1]); map.contour.lineTo(segments[k + 2], segments[k + 3]); }
  }

  function contours(context, ratio, left, top, size) {
    if (!map.contour || map.count < 40) return;
    context.save();
    context.globalCompositeOperation = "destination-over";
    context.strokeStyle = token(canvas, "--line2");
    context.translate(left, top);
    context.scale(size, size);
    context.lineWidth = ratio / size;
    context.stroke(map.contour);
    context.restore();
  }

  // Names of clusters; the larger goes before, and none lies over another.
  function names(context, ratio, left, top, size) {
    const placed = [];
    context.font = `italic 600 ${16 * ratio}px ${token(canvas, "--serif")}`;
    context.textAlign = "center";
    for (const [x, y, text] of map.data.labels || []) {
      const px = left + x * size, py = top + y * size, half = context.measureText(text).width / 2 + 6 * ratio, tall = 12 * ratio;
      if (px < half || py < 60 * ratio || px > canvas.width - half || py > canvas.height || placed.some(([a, b, w]) => Math.abs(a - px) < w + half && Math.abs(b - py) < 2 * tall)) continue;
      placed.push([px, py, half]);
      context.lineWidth = 4 * ratio;
      context.strokeStyle = token(canvas, "--page");
      context.strokeText(text, px, py);
      context.fillStyle = token(canvas, "--ink");
      context.fillText(text, px, py);
    }
    context.textAlign = "start";
  }

  function marks(context, ratio, left, top, size) {
    const text = token(canvas, "--ink"), felt = token(canvas, "--felt"), at = (i) => [left + map.points[2 * i] * size, top + map.points[2 * i + 1] * size];
    context.lineWidth = 1.5 * ratio;
    context.strokeStyle = text;
    const focus = map.place.get(map.data.focus);
    if (focus !== undefined) {
      const [x, y] = at(focus);
      context.globalAlpha = 0.6;
      for (const number of map.data.near) {
        const place = map.place.get(number);
        if (place === undefined) continue;
        context.beginPath(); context.moveTo(x, y); context.lineTo(...at(place)); context.stroke();
      }
      context.globalAlpha = 1;
      context.lineWidth = 3 * ratio;
      context.beginPath(); context.arc(x, y, 8 * ratio, 0, 7); context.stroke();
    }
    const stops = map.data.path.map((number) => map.place.get(number)).filter((place) => place !== undefined).map(at);
    if (stops.length > 1) {
      context.strokeStyle = felt;
      context.lineWidth = 2.5 * ratio;
      context.beginPath();
      stops.forEach(([x, y], i) => {
        if (!i) return context.moveTo(x, y);
        const [px, py] = stops[i - 1];
        context.quadraticCurveTo((px + x) / 2 + (y - py) * 0.12, (py + y) / 2 - (x - px) * 0.12, x, y);
      });
      context.stroke();
      context.font = `700 ${12 * ratio}px ${token(canvas, "--sans")}`;
      context.textAlign = "center";
      stops.forEach(([x, y], i) => {
        context.fillStyle = felt;
        context.beginPath(); context.arc(x, y, 11 * ratio, 0, 7); context.fill();
        context.fillStyle = token(canvas, "--surface");
        context.fillText(String(i + 1), x, y + 4 * ratio);
      });
      context.textAlign = "start";
      context.strokeStyle = text;
    }
    if (map.loop && map.loop.length > 1) {
      context.setLineDash([5 * ratio, 4 * ratio]);
      context.lineWidth = 1.5 * ratio;
      context.beginPath();
      for (const [x, y] of map.loop) context.lineTo(left + x * size, top + y * size);
      context.closePath(); context.stroke();
      context.setLineDash([]);
    }
  }

  // -- finding points --------------------------------------------------------------------------------------

  // A grid of cells, each a run of `order`, so that only points near the pointer are looked at.
  function index() {
    const cells = 256, counts = new Uint32Array(cells * cells + 1);
    const cell = (i) => Math.min(cells - 1, map.points[2 * i] * cells | 0) + cells * Math.min(cells - 1, map.points[2 * i + 1] * cells | 0);
    for (let i = 0; i < map.count; i++) counts[cell(i) + 1]++;
    for (let c = 0; c < cells * cells; c++) counts[c + 1] += counts[c];
    const next = counts.slice(), order = new Uint32Array(map.count);
    for (let i = 0; i < map.count; i++) order[next[cell(i)]++] = i;
    map.grid = { cells, counts, order };
  }

  function nearest(x, y, reach) {
    const { cells, counts, order } = map.grid;
    const low = (v) => Math.max(0, Math.floor((v - reach) * cells)), high = (v) => Math.min(cells - 1, Math.floor((v + reach) * cells));
    let best = -1, least = reach * reach;
    for (let row = low(y); row <= high(y); row++) {
      for (let k = counts[row * cells + low(x)]; k < counts[row * cells + high(x) + 1]; k++) {
        const i = order[k], d = (map.points[2 * i] - x) ** 2 + (map.points[2 * i + 1] - y) ** 2;
        if (d < least) { least = d; best = i; }
      }
    }
    return best;
  }

  function inside(loop) {
    const chosen = [];
    const xs = loop.map((p) => p[0]), ys = loop.map((p) => p[1]);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    for (let i = 0; i < map.count; i++) {
      const x = map.points[2 * i], y = map.points[2 * i + 1];
      if (x < left || x > right || y < top || y > bottom) continue;
      let odd = false;
      for (let j = 0, k = loop.length - 1; j < loop.length; k = j++) {
        const [ax, ay] = loop[j], [bx, by] = loop[k];
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
      }
      if (odd) chosen.push(map.numbers[i]);
    }
    return Uint32Array.from(chosen);
  }

  function choose(chosen) {
    map.chosen = new Set(chosen);
    paint();
    later();
    const bytes = new Uint8Array(chosen.buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    map.component.setStateValue("chosen", btoa(text));
  }

  function paint() {
    const palette = map.data.palette.map((rgb) => {
      const [r, g, b] = [1, 3, 5].map((k) => parseInt(rgb.slice(k, k + 2), 16));
      return [r, g, b];
    });
    const any = map.chosen && map.chosen.size > 0;
    const word = ([r, g, b], a) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
    const full = palette.map((rgb) => word(rgb, 255)), faint = palette.map((rgb) => word(rgb, 40));
    for (let i = 0; i < map.count; i++) {
      const shown = (!any || map.chosen.has(map.numbers[i])) && !map.hidden.has(map.kinds[i]) && (!map.matches || map.matches.has(map.numbers[i]));
      map.shades[i] = (shown ? full : faint)[map.kinds[i]];
    }
    clear.hidden = !any;
    status.textContent = any ? `${map.chosen.size.toLocaleString("en")} of ${map.count.toLocaleString("en")} chosen`
      : map.matches ? `${map.matches.size.toLocaleString("en")} of ${map.count.toLocaleString("en")} match` : plural(map.count, "piece");
  }

  // -- hand and keys ---------------------------------------------------------------------------------------

  function placeOf(event) {
    const bounds = canvas.getBoundingClientRect(), ratio = canvas.width / bounds.width, { size, left, top } = view();
    return [((event.clientX - bounds.left) * ratio - left) / size, ((event.clientY - bounds.top) * ratio - top) / size];
  }

  function zoomAt(factor, [x, y] = [map.x, map.y]) {
    const scale = Math.min(200, Math.max(0.5, map.scale * factor));
    map.x = x + (map.x - x) * (map.scale / scale);
    map.y = y + (map.y - y) * (map.scale / scale);
    map.scale = scale;
    later();
  }

  function under(event) {
    const { size } = view();
    return nearest(...placeOf(event), (NEAR_PX * (window.devicePixelRatio || 1)) / size);
  }

  function hover(event) {
    const i = under(event);
    if (i < 0) return; // the last piece stays, so that it can be played
    tip.hidden = false;
    if (map.over === i) return;
    map.over = i;
    const number = map.numbers[i], [title, ...where] = map.names[i].split(" — ");
    tip.replaceChildren(playButton({ key: number, id: number, title }), h("div", { style: "min-width:0" }, h("div", { class: "t ell" }, title), h("div", { class: "xs m ell" }, `${where.join(" — ")}${where.length ? " · " : ""}${map.data.kinds[map.kinds[i]]}`)));
  }

  const touches = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    touches.set(event.pointerId, event);
    map.grip = { from: [event.clientX, event.clientY], x: map.x, y: map.y, dragged: false };
    if (map.drawing) map.loop = [placeOf(event)];
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = touches.get(event.pointerId);
    if (!before) return hover(event);
    if (touches.size === 2) { // two fingers zoom
      const [a, b] = [...touches.values()], span = (p, q) => Math.hypot(p.clientX - q.clientX, p.clientY - q.clientY);
      const other = a.pointerId === event.pointerId ? b : a;
      zoomAt(span(event, other) / Math.max(1, span(before, other)));
      map.grip.dragged = true;
    } else if (map.loop) {
      map.loop.push(placeOf(event));
      later();
    } else {
      const [x, y] = map.grip.from, unit = view().size / (window.devicePixelRatio || 1);
      if (Math.hypot(event.clientX - x, event.clientY - y) > 4) map.grip.dragged = true;
      map.x = map.grip.x - (event.clientX - x) / unit;
      map.y = map.grip.y - (event.clientY - y) / unit;
      later();
    }
    touches.set(event.pointerId, event);
  });
  const lift = (event) => {
    if (!touches.delete(event.pointerId) || touches.size) return;
    const loop = map.loop;
    map.loop = null;
    if (loop && loop.length > 4) choose(inside(loop));
    else if (!map.grip.dragged && event.type === "pointerup") {
      const i = under(event);
      if (i >= 0) map.component.setTriggerValue("opened", map.numbers[i]);
    }
    later();
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomAt(Math.exp(-event.deltaY / 400), placeOf(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = 0.08 / map.scale;
    const keys = {
      ArrowLeft: () => { map.x -= step; }, ArrowRight: () => { map.x += step; },
      ArrowUp: () => { map.y -= step; }, ArrowDown: () => { map.y += step; },
      "+": () => zoomAt(1.6), "-": () => zoomAt(1 / 1.6), l: () => tool(!map.drawing),
      Enter: () => { const i = nearest(map.x, map.y, 0.2 / map.scale); if (i >= 0) map.component.setTriggerValue("opened", map.numbers[i]); },
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
    later();
  });

  map.update = (component) => {
    const { data } = component, old = map.data, held = window.midikinPoints?.get(data.of);
    map.component = component;
    map.waiting = !held;
    if (!held) return; // they are on their way: the event below tells
    map.data = data;
    if (!old || old.of !== data.of) {
      const places = new Uint16Array(decodeBytes(held.points).buffer);
      map.count = places.length / 2;
      map.points = Float32Array.from(places, (v) => v / 65535);
      map.numbers = new Uint32Array(decodeBytes(held.numbers).buffer);
      map.place = new Map(Array.from(map.numbers, (number, i) => [number, i]));
      map.names = held.names.split("\n");
      map.shades = new Uint32Array(map.count);
      map.chosen = new Set();
      index();
      landscape();
    }
    if (!old || old.kind_of !== data.kind_of) map.hidden.clear();
    map.matches = data.matches === null ? null : new Set(new Uint32Array(decodeBytes(data.matches).buffer));
    map.kinds = decodeBytes(data.kind_of);
    legend();
    canvas.setAttribute("aria-label", data.alt);
    paint();
    later();
  };
  tool(false);
  map.onPoints = () => { if (map.waiting) map.update(map.component); };
  window.addEventListener("midikin-points", map.onPoints);
  map.observer = new ResizeObserver(() => later());
  map.observer.observe(canvas);
  window.addEventListener("midikin-theme", later);
  const off = onPlayer(() => tip.querySelector(".pp")?.refresh());
  map.release = () => { off(); map.observer.disconnect(); window.removeEventListener("midikin-theme", later); window.removeEventListener("midikin-points", map.onPoints); };
  root.frames = () => map.frames;
  return map;
}

export default function (component) {
  const map = stateOf(component, makeMap);
  map.update(component);
  return () => {
    if (component.parentElement.isConnected) return;
    map.release();
  };
}
