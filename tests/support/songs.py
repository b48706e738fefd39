"""Songs for tests: files whose tracks are named after voices, each voice in a register of its own."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np

BEAT = 480
REGISTERS = {"MELODY": 72, "BRIDGE": 96, "PIANO": 48}


def write_song(path: Path, seed: int, *, bars: int = 24, minor: bool = False) -> None:
    """A song: a melody that moves by step, answers above it in every fourth bar, chords below."""
    rng = np.random.default_rng(seed)
    file = mido.MidiFile(ticks_per_beat=BEAT)
    head = mido.MidiTrack()
    head.append(mido.MetaMessage("set_tempo", tempo=500_000 + 20_000 * (seed % 5)))
    head.append(mido.MetaMessage("key_signature", key="Am" if minor else "C"))
    head.append(mido.MetaMessage("time_signature", numerator=3 if seed % 2 else 4, denominator=4))
    file.tracks.append(head)
    line = REGISTERS["MELODY"] - 8 + np.abs(np.cumsum(rng.integers(-3, 4, 2 * bars)) % 32 - 16)
    notes: dict[str, list[tuple[int, int, int]]] = {name: [] for name in REGISTERS}
    for bar in range(bars):
        begin = 4 * BEAT * bar
        voice = "BRIDGE" if bar % 4 == 3 else "MELODY"
        lift = REGISTERS["BRIDGE"] - REGISTERS["MELODY"] if voice == "BRIDGE" else 0
        for half in range(2):
            notes[voice].append((begin + 2 * BEAT * half, 2 * BEAT, int(line[2 * bar + half]) + lift))
        notes["PIANO"] += [
            (begin + BEAT * beat, BEAT // 2, REGISTERS["PIANO"] + step)
            for beat in range(4)
            for step in (0, 4, 7)
        ]
    for name, voice_notes in notes.items():
        events = [(start, True, pitch) for start, _, pitch in voice_notes]
        events += [(start + length, False, pitch) for start, length, pitch in voice_notes]
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        now = 0
        for tick, on, pitch in sorted(events):
            kind = "note_on" if on else "note_off"
            track.append(mido.Message(kind, note=pitch, velocity=80, time=tick - now))
            now = tick
        file.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save(path)


def write_songs(folder: Path, count: int) -> Path:
    """Songs as POP909 lays them out: SONG/SONG.mid."""
    for seed in range(count):
        write_song(folder / f"{seed:03d}" / f"{seed:03d}.mid", seed)
    return folder
