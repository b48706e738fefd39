"""The synthesiser of the player: a band is rendered to samples, block by block, in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.chromium import FLAGS, MISSING, chromium_of
from ui.app.components import SYNTH

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'"
)
pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Flute on A5, bass on A2, strings on a chord and a drum kit, in blocks of any length.
RENDER = """
(options) => {
  const rows = [];
  for (let beat = 0; beat < 12; beat++) {
    rows.push([beat * 0.5, 0.45, 81, 0], [beat * 0.5, 0.45, 45, 1]);
    rows.push([beat * 0.5, 0.1, beat % 2 ? 38 : 36, 3], [beat * 0.5 + 0.25, 0.1, 42, 3]);
    if (beat % 4 === 0) for (const pitch of [64, 68, 71]) rows.push([beat * 0.5, 1.9, pitch, 2]);
  }
  rows.sort((a, b) => a[0] - b[0]);
  const column = (k) => Float64Array.from(rows, (row) => row[k]);
  const notes = { count: rows.length, onset: column(0), duration: column(1), pitch: column(2),
    velocity: rows.map(() => 96), part: column(3) };
  const parts = [{ program: 73 }, { program: 33 }, { program: 48 }, { program: 0, drums: true }];
  const band = new Band({ notes, parts, reverb: 0, ...options });
  const samples = [], lengths = options.blocks || [4800], joints = [];
  for (let block = 0, made = 0; made < 6 * SYNTH_RATE; block++) {
    const { left, done } = band.render(lengths[block % lengths.length]);
    made += left.length;
    joints.push(samples.length);
    for (const v of left) samples.push(v);
    if (done) break;
  }
  const x = Float32Array.from(samples.slice(0, 6 * SYNTH_RATE));
  const power = (frequency) => {
    let re = 0, im = 0;
    for (let i = 0; i < x.length; i++) {
      const w = (2 * Math.PI * frequency * i) / SYNTH_RATE;
      re += x[i] * Math.cos(w);
      im += x[i] * Math.sin(w);
    }
    return Math.hypot(re, im) / x.length;
  };
  let high = 0, before = 0, silent = 0, longest = 0, peak = 0; // differences of neighbours: what lies high
  for (const v of x) {
    high += (v - before) ** 2;
    before = v;
    peak = Math.max(peak, Math.abs(v));
    silent = Math.abs(v) < 1e-5 ? silent + 1 : 0;
    longest = Math.max(longest, silent);
  }
  let first = x.findIndex((v) => Math.abs(v) > 1e-4);
  return { flute: power(880), bass: power(110), strings: power(415.3), high: high / x.length, peak,
    silence: longest / SYNTH_RATE, first: first / SYNTH_RATE, sum: x.reduce((a, b) => a + b * b, 0),
    head: Array.from(x.slice(0, 96000)) };
}
"""


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        found = chromium_of(driver)
        if found is None:
            pytest.skip(MISSING)
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        page = browser.new_page()
        page.add_script_tag(content=SYNTH)
        yield page
        browser.close()


def rendered(page: Any, **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = page.evaluate(RENDER, options)
    return result


def test_all_parts_of_a_band_and_its_drums_are_heard(page: Any) -> None:
    band = rendered(page)
    assert 0.05 < band["peak"] <= 1.0
    for part, others in (("flute", [1, 2, 3]), ("bass", [0, 2, 3]), ("strings", [0, 1, 3])):
        alone = rendered(page, silent=others)
        muted = rendered(page, silent=[{"flute": 0, "bass": 1, "strings": 2}[part]])
        assert alone[part] > 1e-3
        assert band[part] > 0.5 * alone[part]
        assert muted[part] < 0.35 * alone[part]  # harmonics of other parts are left
    drums, none = rendered(page, silent=[0, 1, 2]), rendered(page, silent=[3])
    assert drums["sum"] > 10
    assert band["high"] > 1.4 * none["high"]
    assert rendered(page, silent=[0, 1, 2, 3])["sum"] == 0


def test_blocks_join_without_a_gap_whatever_their_length(page: Any) -> None:
    whole, pieces = rendered(page, blocks=[192_000]), rendered(page, blocks=[4800, 1600, 47, 9000])
    assert pieces["silence"] < 0.005
    difference = max(abs(a - b) for a, b in zip(whole["head"], pieces["head"], strict=True))
    assert difference < 0.05  # envelopes move in steps of a millisecond, which fall elsewhere


def test_music_begins_at_once_from_any_moment_at_any_speed_and_loops(page: Any) -> None:
    assert rendered(page)["first"] < 0.05
    assert rendered(page, **{"from": 2.1})["first"] < 0.05
    slow = rendered(page, speed=0.5, silent=[1, 2, 3])
    assert slow["flute"] > 1e-3  # as high as before, only slower
    loop = rendered(page, **{"from": 1.0, "to": 2.0, "loop": True, "blocks": [6400]})
    assert loop["silence"] < 0.005


def test_every_program_and_every_drum_sounds(page: Any) -> None:
    quiet = page.evaluate(
        """() => {
          const level = (program, pitch, drums) => {
            const notes = { count: 1, onset: [0], duration: [0.8], pitch: [pitch], velocity: [100],
              part: [0] };
            const { left } = new Band({ notes, parts: [{ program, drums }], reverb: 0 }).render(SYNTH_RATE);
            let sum = 0;
            for (const v of left) sum += v * v;
            return Math.sqrt(sum / left.length);
          };
          const quiet = [];
          for (let i = 0; i < 128; i++) if (!(level(i, 60, false) > 0.004)) quiet.push(i);
          for (let i = 27; i < 88; i++) if (!(level(0, i, true) > 0.001)) quiet.push(`drum ${i}`);
          return quiet;
        }"""
    )
    assert quiet == []
