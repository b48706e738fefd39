"""How long a visitor of the app waits, measured in the browser: first page, search, map.

    python tests/bench/app.py [--pieces 10000] [--map-pieces 100000] [--plotly PLOTLY.MIN.JS]

Libraries with drawn vectors are made in a temporary folder, the app is started on each as `midikin ui` starts
it, and a headless Chromium without a graphics processor visits it. With `--plotly`, the same number of points
is drawn by Plotly's scattergl in the same browser, as a rival to the map.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

from playwright.sync_api import sync_playwright  # noqa: E402
from search import fill  # noqa: E402
from ui_app_chromium import FLAGS, find_chromium  # noqa: E402

from index import Library  # noqa: E402
from ui.app.launching import Launch, free_port  # noqa: E402

SEARCHES = 12
MOVES = 60
RUNS = "document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'running'"
# Milliseconds between the frames that the browser shows, while something is done.
WATCH = """
() => { window.gaps = []; let last = performance.now();
  const step = (now) => {
    window.gaps.push(now - last); last = now; window.watch = requestAnimationFrame(step);
  };
  window.watch = requestAnimationFrame(step); }
"""
RIVAL = """
<div id="plot" style="width:720px;height:560px"></div><script>
const n = %d, x = new Float32Array(n), y = new Float32Array(n);
for (let i = 0; i < n; i++) { x[i] = Math.random(); y[i] = Math.random(); }
const began = performance.now();
Plotly.newPlot("plot", [{ type: "scattergl", mode: "markers", x, y, marker: { size: 3 } }],
  { dragmode: "pan" }).then(() => { window.drawn = performance.now() - began; });
</script>
"""


@contextmanager
def app(library: Path) -> Iterator[str]:
    """The address of the app on a library; the process ends with the context."""
    port = free_port("127.0.0.1", None)
    launch = Launch("127.0.0.1", port, library=str(library))
    log = (library / "app.log").open("w")
    process = subprocess.Popen(launch.command(), env=launch.environment(), stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        while True:
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).close()
                break
            except (urllib.error.URLError, TimeoutError):
                if process.poll() is not None:
                    sys.exit((library / "app.log").read_text())
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()
        log.close()


def until_drawn(page: Any, what: str) -> None:
    page.locator(what).first.wait_for(timeout=600_000)
    page.wait_for_function(
        f"!({RUNS}) && !document.querySelector('[data-testid=stSkeleton]')", timeout=600_000
    )


def seconds_of_searches(page: Any, url: str) -> list[float]:
    """From the press on "Ask with this" to the drawn answers."""
    page.goto(f"{url}/?piece=1")
    until_drawn(page, "[class*='st-key-card-'] canvas")
    taken = []
    for _ in range(SEARCHES):
        before = page.url
        page.wait_for_timeout(300)
        begun = time.perf_counter()
        page.get_by_role("button", name="Ask with this").nth(1).click()
        page.wait_for_function("(before) => location.href !== before", arg=before)
        until_drawn(page, "[class*='st-key-card-'] canvas")
        taken.append(time.perf_counter() - begun)
    return taken


def dragged(page: Any, box: dict[str, float]) -> np.ndarray:
    """Milliseconds between frames while the hand moves over a box."""
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(WATCH)
    for i in range(MOVES):
        page.mouse.move(x + 150 * np.sin(i / 6), y + 120 * np.cos(i / 7))
    gaps = page.evaluate("() => { cancelAnimationFrame(window.watch); return window.gaps; }")
    page.mouse.up()
    return np.array(gaps[1:])


def line(name: str, values: Any, unit: str) -> None:
    p50, p95 = np.percentile(values, [50, 95])
    print(f"{name:46} {p50:9.2f} {p95:9.2f} {unit}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pieces", type=int, default=10_000)
    parser.add_argument("--map-pieces", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--plotly", type=Path, help="plotly.min.js, to compare the map with")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'what':46} {'p50':>9} {'p95':>9}")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(driver), args=FLAGS)
        home = Path(folder)
        with Library.open(home / "search") as library:
            fill(library, options.pieces, 2, options.dim)
        with app(home / "search") as url:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            for name in ("first page, of a process just started", "first page, later"):
                begun = time.perf_counter()
                page.goto(url)
                until_drawn(page, "h1")
                line(f"{name}, {options.pieces:,} pieces", [time.perf_counter() - begun], "s")
            line(f"search, ten answers drawn, {options.pieces:,} pieces", seconds_of_searches(page, url), "s")
        with Library.open(home / "map") as library:
            fill(library, options.map_pieces, 1, options.dim)
        with app(home / "map") as url:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            for name in ("map, drawn for the first time", "map, later"):
                begun = time.perf_counter()
                page.goto(f"{url}/browse")
                page.wait_for_selector(".midikin.map[data-drawn]", timeout=600_000)
                line(f"{name}, {options.map_pieces:,} pieces", [time.perf_counter() - begun], "s")
            until_drawn(page, ".midikin.map canvas")
            gaps = dragged(page, page.locator(".midikin.map canvas").bounding_box())
            line("map, between frames while it is moved", gaps, "ms")
            line("map, drawing a frame", page.evaluate(
                "[...document.querySelectorAll('*')].flatMap(e => e.shadowRoot"
                " ? [...e.shadowRoot.querySelectorAll('.midikin.map')] : [])[0].frames()"
            ), "ms")  # fmt: skip
        if options.plotly:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_content(
                "<script>" + options.plotly.read_text() + "</script>" + RIVAL % options.map_pieces
            )
            page.wait_for_function("window.drawn", timeout=600_000)
            line("Plotly scattergl, drawing", [page.evaluate("window.drawn") / 1000], "s")
            gaps = dragged(page, page.locator("#plot .nsewdrag").bounding_box())
            line("Plotly scattergl, between frames while moved", gaps, "ms")


if __name__ == "__main__":
    main()
