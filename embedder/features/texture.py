"""Histograms of texture, timing and touch: what tells players and composers apart when the notes differ.

They come beside the plain histograms of `handmade` and are counted the same way. None of them needs a beat,
so scores, performances and transcriptions can be counted alike.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .batch import Chords, FloatArray, IntArray, Layout, apart, contour, log_bin

__all__ = ["TEXTURE", "texture_histograms"]

# Name and number of bins.
TEXTURE: dict[str, int] = {
    "voicing": 24,  # top, bottom or inner note of a chord x how much softer than its loudest
    "spread": 18,  # the same three x how late after the chord's first note
    "dynamics": 64,  # register x velocity
    "crowding": 16,  # onsets within the next second
    "rhythm_pair": 49,  # pairs of successive ratios of inter-onset intervals
    "interval_and_gap": 42,  # interval of the top voice x time until it sounds
    "bottom_contour": 49,  # as top_contour
    "chord_span": 24,  # lowest to highest note of a chord
    "reach": 24,  # lowest to highest note of four chords
    "held_interval": 49,  # between notes that sound together, -24..24
    "top_degree_step": 144,  # scale degree of the top voice x the next
    "bottom_degree_step": 144,
    "durations": 32,  # register x duration
    "sizes": 24,  # register of the lowest note x size of the chord
    "size_step": 16,  # size of a chord x of the next
    "struck_again": 12,  # chords until a key is struck again
    "struck_again_after": 12,  # and time
    "loudness_and_gap": 40,  # velocity of a chord x time until the next
    "above_bass": 12,  # pitch class over the lowest note of the last few chords
    "above_bass_pair": 144,  # pairs of these, of successive notes
}
_BASS_S = 0.6  # the bass of up to three chords before still counts within this time
_GAP_EDGES_S = (0.08, 0.13, 0.2, 0.35, 0.7)

Counted = tuple[str, IntArray, IntArray, FloatArray | None]


def texture_histograms(layout: Layout, chords: Chords) -> Iterator[Counted]:
    """(name, window, bin, weight) of every count."""
    yield from _chord_histograms(layout, chords)
    yield from _step_histograms(chords)
    yield from _note_histograms(layout, chords)
    yield from _bass_histograms(layout, chords)


def _clip(values: FloatArray | IntArray, highest: int, lowest: int = 0) -> IntArray:
    return np.clip(values, lowest, highest).astype(np.int64)


def _chord_histograms(layout: Layout, chords: Chords) -> Iterator[Counted]:
    """Within chords: voicing, spread, span, size."""
    onset, _, pitch, velocity = layout.notes
    of = chords.of_note
    several = np.flatnonzero(chords.size[of] > 1)
    of, pitch = of[several], pitch[several]
    window = layout.window_of_note[several]
    voice = np.where(pitch == chords.top[of], 0, np.where(pitch == chords.bottom[of], 1, 2))
    softer = _clip((chords.velocity[of] - velocity[several]) / 5, 7)
    yield "voicing", window, voice * 8 + softer, None
    late = np.searchsorted([0.0005, 0.004, 0.01, 0.018, 0.028], onset[several] - chords.onset[of])
    yield "spread", window, voice * 6 + late, None
    wide = np.flatnonzero(chords.size > 1)
    yield "chord_span", chords.window[wide], _clip((chords.top - chords.bottom)[wide] // 2, 23), None
    low = _clip((chords.bottom - 30) // 9, 5)
    yield "sizes", chords.window, low * 4 + _clip(chords.size, 4, 1) - 1, None


def _step_histograms(chords: Chords) -> Iterator[Counted]:
    """From chord to chord: rhythm, contour, degrees, reach."""
    two, three, four = chords.runs(2), chords.runs(3), chords.runs(4)
    gap = np.zeros(len(chords.onset))
    gap[two] = chords.onset[two + 1] - chords.onset[two]
    size = _clip(chords.size, 4, 1) - 1
    waited = np.searchsorted(_GAP_EDGES_S, gap[two])
    rise = chords.top[two + 1] - chords.top[two]
    yield "interval_and_gap", chords.window[two], contour(rise) * 6 + waited, None
    loud = _clip(chords.velocity[two] // 16, 7)
    yield "loudness_and_gap", chords.window[two], loud * 5 + _clip(waited, 4), None
    yield "size_step", chords.window[two], size[two] * 4 + size[two + 1], None
    for name, voice in (("top_degree_step", chords.top), ("bottom_degree_step", chords.bottom)):
        yield name, chords.window[two], voice[two] % 12 * 12 + voice[two + 1] % 12, None
    steps = [contour(chords.bottom[three + i + 1] - chords.bottom[three + i]) for i in (0, 1)]
    yield "bottom_contour", chords.window[three], steps[0] * 7 + steps[1], None
    ratio = np.zeros(len(gap), dtype=np.int64)
    longer = np.log2(np.maximum(gap[three + 1], 1e-3) / np.maximum(gap[three], 1e-3))
    ratio[three] = np.searchsorted([-1.5, -0.75, -0.25, 0.25, 0.75, 1.5], longer)
    yield "rhythm_pair", chords.window[four], ratio[four] * 7 + ratio[four + 1], None
    highest, lowest = chords.top[four], chords.bottom[four]
    for i in (1, 2, 3):
        highest = np.maximum(highest, chords.top[four + i])
        lowest = np.minimum(lowest, chords.bottom[four + i])
    yield "reach", chords.window[four], _clip((highest - lowest) // 3, 23), None


def _note_histograms(layout: Layout, chords: Chords) -> Iterator[Counted]:
    """Of single notes: touch by register, crowding, holding, striking again."""
    onset, duration, pitch, velocity = layout.notes
    window, piece = layout.window_of_note, layout.piece_of_note
    yield "dynamics", window, _clip((pitch - 21) // 11, 7) * 8 + velocity // 16, None
    length = _clip(np.rint(np.log2(np.maximum(duration, 1e-3) / 0.05) * 1.2), 7)
    yield "durations", window, _clip((pitch - 33) // 15, 3) * 8 + length, None
    here, later = apart(layout, onset, onset + 1.0, room_s=1.0)
    within = np.searchsorted(here, later) - np.arange(len(here))
    yield "crowding", window, _clip(np.rint(3 * np.log2(np.maximum(within, 1))), 15), None
    until = onset + duration - 0.01
    for step in (1, 2, 3, 4, 6):
        at = np.flatnonzero((piece[step:] == piece[:-step]) & (until[:-step] > onset[step:]))
        yield "held_interval", window[at], _clip(pitch[at + step] - pitch[at], 24, -24) + 24, None
    order = np.lexsort((onset, pitch, piece))
    same = (np.diff(pitch[order]) == 0) & (np.diff(piece[order]) == 0)
    before, again = order[:-1][same], order[1:][same]
    chords_later = chords.of_note[again] - chords.of_note[before]
    yield "struck_again", window[again], _clip(chords_later, 11), None
    yield "struck_again_after", window[again], log_bin(onset[again] - onset[before], 0.08, 1.5, 12), None


def _bass_histograms(layout: Layout, chords: Chords) -> Iterator[Counted]:
    """Harmony over the running bass: the lowest note of this chord and of those just before it."""
    piece = layout.piece_of_note
    bass = chords.bottom.copy()
    for back in (1, 2, 3):
        near = chords.piece[back:] == chords.piece[:-back]
        near &= chords.onset[back:] - chords.onset[:-back] < _BASS_S
        bass[back:] = np.where(near, np.minimum(bass[back:], chords.bottom[:-back]), bass[back:])
    under = bass[chords.of_note]
    above = (layout.notes[2] - under) % 12
    yield "above_bass", layout.window_of_note, above, None
    for step in (1, 2):
        at = np.flatnonzero((piece[step:] == piece[:-step]) & (under[step:] == under[:-step]))
        low, high = np.minimum(above[at], above[at + step]), np.maximum(above[at], above[at + step])
        yield "above_bass_pair", layout.window_of_note[at], low * 12 + high, None
