"""How long a visitor of the app waits, measured in the browser: first page, search, map.

    python tests/bench/app.py [--only pages|map|frames] [--pieces 10000] [--map-pieces 100000] [--plotly FILE]

pages   first page and searches on a library with drawn vectors, served as `midikin ui` serves it
map     the same for the map, from the press to the first drawing
frames  the map's drawing alone, while a hand moves it; with `--plotly`, the same number of points drawn by
        Plotly's scattergl in the same browser, as a rival

The browser is a headless Chromium without a graphics processor. Beside the clock stands what server, browser
and its driver took of processors together: on a busy machine it says more.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.sync_api import sync_playwright
from search import fill

from index import Library
from tests.support.chromium import FLAGS, find_chromium
from ui.app.components import (
    MAP_BODY,
    MAP_CODE,
    MAP_STYLE,
    POINTS_CODE,
    map_data,
    map_points,
)
from ui.app.launch import Launch, free_port

SEARCHES = 30
MOVES = 60
LONGEST_S = 20.0  # of moving; a rival that takes seconds for each need not do all
RUNS = "document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'running'"
# Milliseconds between the frames that the browser shows, while something is done.
WATCH = """
() => { window.gaps = []; let last = performance.now();
  const step = (now) => {
    window.gaps.push(now - last); last = now; window.watch = requestAnimationFrame(step);
  };
  window.watch = requestAnimationFrame(step); }
"""
MOUNT = """
async ([code, data]) => {
  const module = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const nothing = () => {}, parentElement = document.getElementById("at");
  module.default({ data, parentElement, setStateValue: nothing, setTriggerValue: nothing });
}
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


def spent() -> float:
    """Seconds of processor time of all that this has started."""
    times = [process.cpu_times() for process in psutil.Process().children(recursive=True)]
    return sum(time.user + time.system for time in times)


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of processors that something takes."""
    before, begun = spent(), time.perf_counter()
    action()
    took = time.perf_counter() - begun
    return took, spent() - before


def seconds_of_searches(page: Any, url: str) -> list[tuple[float, float]]:
    """From the press on "Ask with this" to the drawn answers, by the clock and of processors."""
    page.goto(f"{url}/?piece=1")
    until_drawn(page, "[class*='st-key-card-'] canvas")
    taken = []
    for _ in range(SEARCHES):
        page.wait_for_timeout(300)
        taken.append(timed(partial(ask_with_second, page)))
    return taken


def ask_with_second(page: Any) -> None:
    before = page.url
    page.get_by_role("button", name="Ask with this").nth(1).click()
    page.wait_for_function("(before) => location.href !== before", arg=before)
    until_drawn(page, "[class*='st-key-card-'] canvas")


def see(page: Any, url: str, what: str) -> None:
    page.goto(url)
    until_drawn(page, what)


def dragged(page: Any, box: dict[str, float]) -> np.ndarray:
    """Milliseconds between frames while the hand moves over a box."""
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(WATCH)
    begun = time.perf_counter()
    for i in range(MOVES):
        if time.perf_counter() - begun > LONGEST_S:
            break
        page.mouse.move(x + 150 * np.sin(i / 6), y + 120 * np.cos(i / 7))
    gaps = page.evaluate("() => { cancelAnimationFrame(window.watch); return window.gaps; }")
    page.mouse.up()
    return np.array(gaps[1:])


def line(name: str, values: Any, unit: str) -> None:
    p50, p95 = np.percentile(values, [50, 95])
    print(f"{name:46} {p50:9.2f} {p95:9.2f} {unit}", flush=True)


def lines(name: str, taken: list[tuple[float, float]]) -> None:
    clock, processors = zip(*taken, strict=True)
    line(name, clock, "s")
    line("  of processors", processors, "s")


def pages(browser: Any, home: Path, options: argparse.Namespace) -> None:
    """First page and searches."""
    with Library.open(home) as library:
        fill(library, options.pieces, 2, options.dim)
    with app(home) as url:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        for name in ("first page, of a process just started", "first page, later"):
            lines(f"{name}, {options.pieces:,} pieces", [timed(partial(see, page, url, "h1"))])
        lines(f"search, ten answers drawn, {options.pieces:,} pieces", seconds_of_searches(page, url))


def whole_map(browser: Any, home: Path, options: argparse.Namespace) -> None:
    """The page of the map, until it is drawn."""
    with Library.open(home) as library:
        fill(library, options.map_pieces, 1, options.dim)
    with app(home) as url:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        for name in ("map, drawn for the first time", "map, later"):
            page.goto("about:blank")
            if name.startswith("map, drawn"):
                taken = timed(partial(see_progress, page, f"{url}/browse"))
                lines("until it says how far the drawing is", [taken])
            lines(f"{name}, {options.map_pieces:,} pieces", [timed(partial(see_map, page, f"{url}/browse"))])


def see_progress(page: Any, url: str) -> None:
    page.goto(url)
    page.get_by_text("The map is being drawn").wait_for(timeout=600_000)


def see_map(page: Any, url: str) -> None:
    page.goto(url)
    page.wait_for_selector(".midikin.map[data-drawn]", timeout=600_000)


def frames(browser: Any, home: Path, options: argparse.Namespace) -> None:
    """The map's drawing, and its rival's."""
    count, rng = options.map_pieces, np.random.default_rng(0)
    points = map_points(
        rng.random((count, 2)),
        np.arange(count),
        [f"composer{i % 200}/piece{i}.mid" for i in range(count)],
    )
    data = map_data(
        points,
        kind_of=rng.integers(0, 12, count),
        kinds=[f"kind {i}" for i in range(12)],
        palette=["#44aa99"] * 12,
        focus=None,
        near=[],
        height=560,
    )
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_content(f"<style>{MAP_STYLE}</style><div id='at' style='width:720px'>{MAP_BODY}</div>")
    began = time.perf_counter()
    page.evaluate(MOUNT, [POINTS_CODE, points])
    page.evaluate(MOUNT, [MAP_CODE, data])
    page.wait_for_selector(".midikin.map[data-drawn]")
    line(f"map of {count:,}, drawing", [time.perf_counter() - began], "s")
    gaps = dragged(page, page.locator(".midikin.map canvas").bounding_box())
    line(f"map of {count:,}, between frames while moved", gaps, "ms")
    line(
        f"map of {count:,}, of which drawing", page.evaluate("document.querySelector('.map').frames()"), "ms"
    )
    if options.plotly:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_content(f"<script>{options.plotly.read_text()}</script>{RIVAL % count}")
        page.wait_for_function("window.drawn", timeout=600_000)
        line(f"Plotly scattergl of {count:,}, drawing", [page.evaluate("window.drawn") / 1000], "s")
        gaps = dragged(page, page.locator("#plot .nsewdrag").bounding_box())
        line(f"Plotly scattergl of {count:,}, between frames", gaps, "ms")


SECTIONS = {"pages": pages, "map": whole_map, "frames": frames}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pieces", type=int, default=10_000)
    parser.add_argument("--map-pieces", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=592)
    parser.add_argument("--only", choices=SECTIONS)
    parser.add_argument("--plotly", type=Path, help="plotly.min.js, to compare the map with")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'what':46} {'p50':>9} {'p95':>9}")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(driver), args=FLAGS)
        for name, section in SECTIONS.items():
            if options.only in (None, name):
                section(browser, Path(folder) / name, options)


if __name__ == "__main__":
    main()
