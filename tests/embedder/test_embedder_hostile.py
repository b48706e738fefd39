"""Hostile and damaged files: a reason or a good answer, soon, and nothing else."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedder import Limits, MidiError, MidiFile, describe, read_piece
from tests.support import hostile

LONGEST_S = 10.0
FILES = hostile.hostile_files()

# Files that are odd but hold music, with the number of their notes: refusing them would lose something.
MUSIC = {
    "a million notes": 1_000_000,
    "absurd signatures": 20,
    "an hour of silence": 2,
    "gaps beyond 31 bits": 12,
    "header length 8": 20,
    "junk behind the end": 20,
    "macbinary": 40,
    "more tracks stated than there": 20,
    "no end of track": 20,
    "pedal never lifted": 20,
    "pitch 200": 2,
    "realtime among notes": 1,
    "rmid of lying length": 40,
    "same note a thousand times at once": 1_000,
    "slowest tempo": 20,
    "smpte 25 by 40": 20,
    "tempo 0": 20,
    "title that is not text": 1,
    "two files in one": 40,
    "type 0 with two tracks": 40,
    "type 2": 60,
    "unknown chunk first": 20,
    "velocity 200": 2,
}


def check_answer(data: bytes, *, sustain: bool = False) -> MidiFile | str:
    """The file or the reason, after checking whatever holds for both."""
    began = time.process_time()
    try:
        answer: MidiFile | str = read_piece(data, sustain=sustain)
    except MidiError as error:
        answer = error.reason
    assert time.process_time() - began < LONGEST_S
    if isinstance(answer, str):
        assert answer
        assert answer.isprintable()
        return answer
    notes = answer.notes
    assert len(notes) >= 1
    assert np.isfinite(notes.onset).all()
    assert notes.start_s >= 0
    assert notes.end_s <= 24 * 3600 + 1
    assert answer.tempo_bpm is None or 0 < answer.tempo_bpm < np.inf
    assert answer.title is None or answer.title.isprintable()
    descriptors = describe(notes, answer.tempo_bpm)
    numbers = [value for value in vars(descriptors).values() if isinstance(value, float)]
    assert np.isfinite(numbers).all()
    assert 0 <= descriptors.key_confidence <= 1
    return answer


@pytest.mark.parametrize("name", FILES)
def test_hostile_file(name: str) -> None:
    plain = check_answer(FILES[name])
    held = check_answer(FILES[name], sustain=True)
    assert isinstance(plain, str) == isinstance(held, str)
    if name in MUSIC:
        assert isinstance(plain, MidiFile), plain
        assert len(plain.notes) == MUSIC[name]


def test_there_are_enough_of_them() -> None:
    assert len(FILES) >= 60
    assert set(MUSIC) <= set(FILES)


# -- damage to real files ------------------------------------------------------------------------------


@cache
def real_files(folder: Path) -> list[bytes]:
    """A few small files of every set."""
    files = []
    for sets in sorted(folder.iterdir()):
        small = [path for path in sorted(sets.glob("**/*.mid*")) if path.stat().st_size < 30_000]
        files += [path.read_bytes() for path in small[:: max(1, len(small) // 6)][:6]]
    return files


damage = st.lists(
    st.tuples(
        st.sampled_from(["flip", "set", "insert", "remove", "cut", "long", "status"]),
        st.floats(0, 1),
        st.booleans(),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=12,
)


def damaged(data: bytes, steps: list[tuple[str, float, bool, bytes]]) -> bytes:
    """Apply steps of damage; half of them strike the first hundred bytes, where the structure is."""
    raw = bytearray(data)
    for kind, share, early, filling in steps:
        at = int(share * (min(len(raw), 100) if early else len(raw)))
        if kind == "flip" and at < len(raw):
            raw[at] ^= 1 << filling[0] % 8
        elif kind == "set":
            raw[at : at + len(filling)] = filling
        elif kind == "insert":
            raw[at:at] = filling
        elif kind == "remove":
            del raw[at : at + len(filling)]
        elif kind == "cut":
            del raw[max(at, 14) :]
        elif kind == "long":
            raw[at : at + 4] = b"\xff\xff\xff\x7f"
        elif kind == "status":
            raw[at : at + 1] = bytes([0x80 | filling[0]])
    return bytes(raw)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_real_files(data_dir: Path, data: st.DataObject) -> None:
    files = real_files(data_dir)
    sound = files[data.draw(st.integers(0, len(files) - 1), label="file")]
    check_answer(damaged(sound, data.draw(damage, label="damage")), sustain=data.draw(st.booleans()))


def test_real_files_cut_anywhere(data_dir: Path) -> None:
    for sound in real_files(data_dir)[::6]:
        for end in np.linspace(0, len(sound) - 1, 25).astype(int).tolist():
            check_answer(sound[:end])


def test_floods_of_events_and_endless_names_end_soon() -> None:
    floods = {
        "texts": b"\x00\xff\x01\x00" * 15_000_000,
        "tempos": b"\x01\xff\x51\x03\x07\xa1\x20" * 8_000_000,
        "name": b"\x00\xff\x03" + hostile.varint(60_000_000) + b"ab cd " * 10_000_000,
    }
    for name, flood in floods.items():
        begin = time.process_time()
        check_answer(hostile.header() + hostile.track(flood + hostile.NOTE + hostile.END))
        assert time.process_time() - begin < 10, name


def test_a_long_name_is_cut_between_letters() -> None:
    name = "Träumerei ".encode() + "ä".encode() * 1_000
    events = b"\x00\xff\x03" + hostile.varint(len(name)) + name + hostile.NOTE + hostile.END
    title = read_piece(hostile.header() + hostile.track(events)).title
    assert title == ("Träumerei " + "ä" * 1_000)[:200]
    name = b"A" + "ä".encode() * 1_000
    events = b"\x00\xff\x03" + hostile.varint(len(name)) + name + hostile.NOTE + hostile.END
    assert read_piece(hostile.header() + hostile.track(events)).title == "A" + "ä" * 199


def test_too_many_tempos_are_refused() -> None:
    data = hostile.header() + hostile.track(b"\x01\xff\x51\x03\x07\xa1\x20" * 11 + hostile.NOTE + hostile.END)
    assert len(read_piece(data, limits=Limits(tempos=11)).notes) == 1
    with pytest.raises(MidiError, match="11 changes of tempo"):
        read_piece(data, limits=Limits(tempos=10))
