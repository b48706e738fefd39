"""Files of several instruments, with all that a file can say and `Notes` do not keep.

Drums, programs that change, pedals on some channels and one that never lifts, tempos that change within
notes, keys struck again while they sound, notes that end as others begin, and files of all three types.
"""

from __future__ import annotations

import io
import random
from pathlib import Path

import mido

__all__ = ["band_file", "write_bands"]

# Program of each channel: piano, bass, strings, trumpet, pipe, and a pad, which Aria drops.
PLAYERS = {0: 0, 1: 33, 2: 48, 3: 56, 4: 73, 5: 89, 9: 0}


def band_file(seed: int, bars: int = 30, type_: int = 1) -> bytes:
    """A piece for seven players, the same for the same seed; 8 notes a bar and player."""
    rng = random.Random(seed)
    midi = mido.MidiFile(type=type_, ticks_per_beat=rng.choice([96, 220, 480]))
    beat = midi.ticks_per_beat
    length = bars * 4 * beat
    lines = [_tempos(rng, length), *(_player(rng, channel, beat, bars) for channel in PLAYERS)]
    if type_ == 0:
        lines = [[event for line in lines for event in line]]
    for line in lines:
        track, now = midi.add_track(), 0
        for tick, message in sorted(line, key=lambda event: event[0]):
            track.append(message.copy(time=tick - now))
            now = tick
    file = io.BytesIO()
    midi.save(file=file)
    return file.getvalue()


def write_bands(folder: Path, count: int, *, first_seed: int = 0, bars: int = 30) -> list[Path]:
    """Files of different bands, of Types 0, 1 and 2 in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for seed in range(first_seed, first_seed + count):
        path = folder / f"band{seed:03d}.mid"
        path.write_bytes(band_file(seed, bars, type_=(1, 0, 2)[seed % 3]))
        paths.append(path)
    return paths


def _tempos(rng: random.Random, length: int) -> list[tuple[int, mido.MetaMessage]]:
    ticks = sorted(rng.sample(range(1, length), 12)) if rng.random() < 0.7 else [0]
    return [(tick, mido.MetaMessage("set_tempo", tempo=rng.randrange(250_000, 900_000))) for tick in ticks]


def _player(rng: random.Random, channel: int, beat: int, bars: int) -> list[tuple[int, mido.Message]]:
    events = []
    if channel != 9 and (channel or rng.random() < 0.5):  # the piano need not say so
        events.append((0, mido.Message("program_change", channel=channel, program=PLAYERS[channel])))
    if channel == 3 and rng.random() < 0.5:  # the trumpet takes up a violin
        events.append((bars * beat, mido.Message("program_change", channel=channel, program=40)))
    for _ in range(bars * 8):
        start = rng.randrange(bars * 8) * beat // 2
        length = rng.choice([0, 1, beat // 4, beat // 2, beat, 5 * beat, 20 * beat])
        key = rng.choice([34, 36, 38, 42, 46, 81, 82] if channel == 9 else range(40, 80))
        note = {"channel": channel, "note": key}
        events.append((start, mido.Message("note_on", velocity=rng.randint(1, 127), **note)))
        events.append((start + length, mido.Message("note_off", velocity=0, **note)))
    if channel in (0, 2, 9):
        for _ in range(bars):
            tick, value = rng.randrange(bars * 4 * beat), rng.choice([0, 20, 63, 64, 127])
            events.append((tick, mido.Message("control_change", channel=channel, control=64, value=value)))
    return events
