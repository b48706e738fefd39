"""Aria's tokenizer: what the reference gave, a plain transcription of its rules, and the way back."""

from __future__ import annotations

import io
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from hypothesis import given, settings

from embedder import MidiError, Notes, read_midi
from embedder.aria import vocabulary as v
from embedder.aria.midi_export import ids_to_midi
from embedder.aria.score import read_score
from embedder.aria.tokenizer import Played, file_ids, ids_to_notes, notes_ids, played, run_ids
from tests.support.bands import band_file
from tests.support.hostile import header, hostile_files, track, tune, varint
from tests.support.strategies import notes

FAMILIES = [
    "piano",
    "chromatic",
    "organ",
    "guitar",
    "bass",
    "strings",
    "ensemble",
    "brass",
    "reed",
    "pipe",
    "synth_lead",
    "synth_pad",
    "synth_effect",
    "ethnic",
    "percussive",
    "sfx",
]
KEPT = ["piano", "organ", "guitar", "bass", "strings", "ensemble", "brass", "reed", "pipe", "synth_lead"]


# -- the rules, written down plainly and slowly -----------------------------------------------------------


def closest(value: int, steps: list[int]) -> int:
    low, high, best = 0, len(steps) - 1, None
    while low <= high:
        middle = (low + high) // 2
        if best is None or abs(steps[middle] - value) < abs(best - value):
            best = steps[middle]
        if steps[middle] < value:
            low = middle + 1
        else:
            high = middle - 1
    assert best is not None
    return best


def span_ms(first: int, last: int, tempos: list[tuple[int, int]], per_beat: int) -> int:
    number = len(tempos) - 1
    for i, (tick, _) in enumerate(tempos):
        if first <= tick:
            number = i
            break
    number = max(number - 1, 0)
    seconds, now = 0.0, first
    for (_, tempo), (following, _) in zip(tempos[number:], tempos[number + 1 :], strict=False):
        seconds += (min(last, following) - now) * (tempo * 1e-6 / per_beat)
        if last < following:
            return round(seconds * 1e3)
        now = following
    if last > tempos[-1][0]:
        seconds += (last - now) * (tempos[-1][1] * 1e-6 / per_beat)
    return round(seconds * 1e3)


def is_unknown(message: Any) -> bool:
    return bool(message.is_meta) and (message.type == "unknown_meta" or message.type.startswith("meta_"))


def slow_notes(midi: mido.MidiFile) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {"notes": [], "tempos": [], "pedals": [], "programs": []}
    for line in midi.tracks:
        tick = 0
        sounding: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for message in line:
            tick += 0 if is_unknown(message) else message.time
            if message.type == "set_tempo":
                found["tempos"].append((tick, message.tempo))
            elif message.type == "program_change":
                found["programs"].append((tick, message.program, message.channel))
            elif message.type == "control_change" and message.control == 64:
                found["pedals"].append((tick, message.value >= 64, message.channel))
            elif message.type == "note_on" and message.velocity:
                sounding[message.note, message.channel].append((tick, message.velocity))
            elif message.type in ("note_on", "note_off"):
                opened = sounding.pop((message.note, message.channel), [])
                ended = [one for one in opened if one[0] < tick]
                for start, velocity in ended:
                    found["notes"].append((start, tick, message.note, velocity, message.channel))
                if ended and len(ended) < len(opened):
                    sounding[message.note, message.channel] = [one for one in opened if one[0] == tick]
    return {kind: sorted(rows, key=lambda row: row[0]) for kind, rows in found.items()}


def slow_tokens(midi: mido.MidiFile, first: int = 0, last: int | None = None) -> list[Any]:
    found = slow_notes(midi)
    programs = found["programs"] or [(0, 0, 0)]
    tempos = found["tempos"] or [(0, 500_000)]
    gone = {channel for _, p, channel in programs if FAMILIES[p // 8] not in KEPT and channel != 9}
    rows = [row for row in found["notes"][first:last] if row[4] not in gone]
    if not rows:
        return []
    intervals: dict[int, list[tuple[int, int]]] = defaultdict(list)
    down: dict[int, int] = {}
    for tick, pressed, channel in found["pedals"]:
        if pressed:
            down.setdefault(channel, tick)
        elif channel in down:
            intervals[channel].append((down.pop(channel), tick))
    for channel, tick in down.items():
        intervals[channel].append((tick, rows[-1][1]))
    family = {channel: FAMILIES[p // 8] for _, p, channel in programs if channel != 9 and channel not in gone}
    for row in rows:
        if row[4] != 9:
            family.setdefault(row[4], "piano")
    tokens: list[Any] = [("prefix", name) for name in KEPT if name in family.values()]
    if any(row[4] == 9 for row in rows):
        tokens.append(("prefix", "drum"))
    tokens.append("<S>")
    before = 0
    for start, end, pitch, velocity, channel in rows:
        now = span_ms(rows[0][0], start, tempos, midi.ticks_per_beat)
        tokens += ["<T>"] * (now // 5000 - before // 5000)
        before = now
        onset = ("onset", closest(now % 5000, list(range(0, 5000, 10))))
        if channel == 9:
            tokens += [("drum", pitch) if 35 <= pitch <= 81 else "<U>", onset]
            continue
        for press, lift in intervals[channel]:
            if press < end < lift:
                end = lift
                break
        length = closest(span_ms(start, end, tempos, midi.ticks_per_beat), list(range(0, 5001, 10))) or 10
        force = closest(velocity, list(range(0, 121, 10))) or 10
        tokens += [(family[channel], pitch, force), onset, ("dur", length)]
    return [*tokens, "<E>"]


def vocabulary() -> dict[Any, int]:
    prefixes = [*KEPT, "drum"]
    words: list[Any] = ["<S>", "<E>", "<P>", "<U>", "<D>", "<T>", *(("prefix", name) for name in prefixes)]
    words += [("other", i) for i in range(12 + 8 + 2)]
    words += [(name, p, force) for name in KEPT for p in range(128) for force in range(0, 121, 10)]
    words += [("drum", p) for p in range(35, 82)]
    words += [("dur", ms) for ms in range(0, 5001, 10)]
    words += [("onset", ms) for ms in range(0, 5000, 10)]
    return {word: i for i, word in enumerate(words)}


VOCABULARY = vocabulary()


def slow_ids(data: bytes, first: int = 0, last: int | None = None) -> list[int]:
    return [VOCABULARY[token] for token in slow_tokens(mido.MidiFile(file=io.BytesIO(data)), first, last)]


# -- files full of corner cases ---------------------------------------------------------------------------


def corner_file(seed: int) -> bytes:
    """Few ticks, keys and channels, so that almost everything coincides with something."""
    rng = random.Random(seed)
    midi = mido.MidiFile(type=1, ticks_per_beat=rng.choice([24, 96, 480, 1000]))
    channels = rng.choice([[0], [0, 1], [0, 9], [0, 3, 9, 15]])
    programs = rng.choice([[], [0], [0, 6, 19], [0, 33, 41, 50, 60, 66, 75, 82], [0, 11, 25, 90, 127]])
    for _ in range(rng.randint(1, 3)):
        line = midi.add_track()
        for _ in range(rng.randint(0, 60)):
            line.append(_corner_message(rng, channels, programs))
    return saved(midi)


def _corner_message(rng: random.Random, channels: list[int], programs: list[int]) -> Any:
    gap = rng.choice([0, 0, 0, 1, 7, 24, 96, 480, 2500, 20_000])
    kind = rng.choices(["on", "off", "zero", "pedal", "program", "tempo", "other"], [8, 6, 3, 3, 1, 1, 1])[0]
    at = {"channel": rng.choice(channels), "time": gap}
    key = rng.choice([34, 35, 36, 60, 81, 82])
    if kind == "on":
        return mido.Message("note_on", note=key, velocity=rng.randint(1, 127), **at)
    if kind == "off":
        return mido.Message("note_off", note=key, velocity=rng.randint(0, 127), **at)
    if kind == "zero":
        return mido.Message("note_on", note=key, velocity=0, **at)
    if kind == "pedal":
        value = rng.choice([0, 63, 64, 127])
        return mido.Message("control_change", control=rng.choice([64, 64, 66]), value=value, **at)
    if kind == "program" and programs:
        return mido.Message("program_change", program=rng.choice(programs), **at)
    if kind == "tempo":
        return mido.MetaMessage(
            "set_tempo", tempo=rng.choice([250_000, 333_333, 500_000, 1_500_000]), time=gap
        )
    return rng.choice(
        [
            mido.Message("aftertouch", value=3, **at),
            mido.Message("pitchwheel", pitch=5, **at),
            mido.Message("sysex", data=[1, 2, 3], time=gap),
            mido.MetaMessage("text", text="words", time=gap),
            mido.UnknownMetaMessage(0x0B, [1, 2], time=gap),
        ]
    )


def saved(midi: mido.MidiFile) -> bytes:
    file = io.BytesIO()
    midi.save(file=file)
    return file.getvalue()


@pytest.mark.parametrize("seed", range(400))
def test_corner_cases_follow_the_rules(seed: int) -> None:
    data = corner_file(seed)
    expected = slow_ids(data)
    if not expected:
        with pytest.raises(MidiError, match="Aria knows"):
            file_ids(data)
    else:
        assert file_ids(data).tolist() == expected


def test_runs_of_corner_cases_follow_the_rules() -> None:
    data = b"".join([header(tracks=1)])
    rng = random.Random(5)
    midi = mido.MidiFile(type=1, ticks_per_beat=96)
    line = midi.add_track()
    for _ in range(3000):
        line.append(_corner_message(rng, [0, 1, 9], [0, 33]))
    data = saved(midi)
    score = read_score(data)
    runs = run_ids(score)
    assert len(runs) >= 2
    for first, last, ids in runs:
        expected = slow_ids(data, first, last)[:2048]
        expected[-1] = v.END
        assert ids.tolist() == expected


@pytest.mark.parametrize("type_", [0, 1, 2])
def test_bands_follow_the_rules(type_: int) -> None:
    """Seven players, drums, pedals and tempos, whole and in runs."""
    for seed in range(3):
        data = band_file(seed, 30, type_)
        assert file_ids(data).tolist() == slow_ids(data)
        for first, last, ids in run_ids(read_score(data)):
            expected = slow_ids(data, first, last)[:2048]
            expected[-1] = v.END
            assert ids.tolist() == expected


def test_running_status_of_one_byte_messages() -> None:
    bends = b"\x00\xd0\x05" + b"\x10\x06" * 3  # pressure goes on in running status
    data = header() + track(bends + b"\x00\x90\x3c\x40\x20\x3c\x00\x00\xff\x2f\x00")
    assert file_ids(data).tolist() == slow_ids(data)
    assert read_score(data).start.tolist() == [0x30]


def test_time_before_unknown_meta_events_is_lost_as_in_the_reference() -> None:
    data = header() + track(b"\x00\x90\x3c\x40\x40\xff\x60\x00\x20\x80\x3c\x40\x00\xff\x2f\x00")
    assert (read_score(data).end - read_score(data).start).tolist() == [0x20]
    data = data.replace(b"\xff\x60\x00", b"\xff\x06\x00")
    assert (read_score(data).end - read_score(data).start).tolist() == [0x60]


def test_blocks_of_any_size_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from embedder.midi import events

    data = tune(300)
    whole = file_ids(data).tolist()
    for first, regular in ((16, 1), (100, 3), (1 << 11, 10**9)):
        monkeypatch.setattr(events, "FIRST_BLOCK", first)
        monkeypatch.setattr(events, "LARGEST_BLOCK", 4 * first)
        monkeypatch.setattr(events, "REGULAR", regular)
        assert file_ids(data).tolist() == whole


# -- what the reference gave ------------------------------------------------------------------------------


def test_rounding_is_the_reference_s(aria_dir: Path) -> None:
    golden = np.load(aria_dir / "golden.npz")
    for name, steps in (
        ("onset_ms_table", v.ONSET_STEP),
        ("duration_ms_table", v.DURATION_STEP),
        ("velocity_table", v.VELOCITY_STEP),
    ):
        np.testing.assert_array_equal(golden[name], steps * 10)


def test_golden_files_are_exact(aria_dir: Path, data_dir: Path) -> None:
    golden = np.load(aria_dir / "golden.npz")
    for i, name in enumerate(golden["files"]):
        np.testing.assert_array_equal(file_ids(data_dir / str(name)), golden[f"ids_{i}"], err_msg=str(name))


def test_real_files_follow_the_rules(data_dir: Path) -> None:
    paths = sorted(path for path in data_dir.rglob("*.mid*") if path.stat().st_size < 60_000)
    for path in random.Random(3).sample(paths, 25):
        data = path.read_bytes()
        expected = slow_ids(data)
        if expected:
            assert file_ids(data).tolist() == expected, path


# -- and back ---------------------------------------------------------------------------------------------


def test_the_vocabulary_is_in_order() -> None:
    assert len(VOCABULARY) == v.SIZE == 17_727
    assert VOCABULARY["prefix", "piano"] == v.instrument_prefix(0)
    assert VOCABULARY["piano", 0, 0] == v.NOTES
    assert VOCABULARY["drum", 35] == v.DRUMS
    assert VOCABULARY["dur", 0] == v.DURATIONS
    assert VOCABULARY["onset", 0] == v.ONSETS


@settings(max_examples=100, deadline=None)
@given(notes(min_size=1))
def test_notes_come_back_within_half_a_step(piece: Notes) -> None:
    ids = notes_ids(piece)
    back = played(ids)
    assert len(back) == len(piece)
    assert np.abs(back.onset - (piece.onset - piece.onset[0])).max() <= 0.0101  # 4,995 ms and more is 4,990
    length = np.clip(piece.duration, 0.01, 5.0)
    assert np.abs(back.duration - length).max() <= 0.0101
    assert (back.pitch == piece.pitch).all()
    assert np.abs(back.velocity - piece.velocity).max() <= 9


@settings(max_examples=50, deadline=None)
@given(notes(min_size=1))
def test_tokens_come_back_through_notes(piece: Notes) -> None:
    """Notes of tokens have those tokens again, up to the order of what begins together."""
    ids = notes_ids(piece)
    again = ids_to_notes(ids)
    assert sorted(notes_ids(again).tolist()) == sorted(ids.tolist())


@pytest.mark.parametrize("seed", range(0, 400, 20))
def test_tokens_of_several_instruments_become_a_file(seed: int) -> None:
    data = corner_file(seed)
    if not slow_ids(data):
        return
    ids = file_ids(data)
    before, again = played(ids), played(file_ids(ids_to_midi(ids)))

    def heard(sound: Played) -> list[tuple[float, ...]]:
        onset = np.round(sound.onset - sound.onset[0], 3)
        rows = zip(onset.tolist(), sound.pitch.tolist(), sound.instrument.tolist(), strict=True)
        return sorted(set(rows))

    assert heard(again) == heard(before)


def test_nonsense_between_tokens_is_passed_over() -> None:
    good = [6, 0, v.NOTES + 60 * 13 + 5, v.ONSETS + 3, v.DURATIONS + 20]
    nonsense = [v.ONSETS, v.DURATIONS, v.NOTES, v.NOTES, v.ONSETS, v.PAD, v.UNKNOWN]
    assert len(played([*good, *nonsense, v.TIME, *good[2:], v.END, *good[2:]])) == 2
    assert played([*nonsense]).onset.tolist() == []
    with pytest.raises(ValueError, match="outside"):
        played([v.SIZE])


def test_hostile_files_end_in_a_reason_or_in_ids() -> None:
    for name, data in hostile_files().items():
        if name.startswith("three million"):
            continue
        try:
            ids = file_ids(data)
        except MidiError:  # anything else fails the test
            continue
        assert ids[-1] == v.END
        assert 0 <= ids.min() <= ids.max() < v.SIZE


def test_too_much_is_refused() -> None:
    silence = varint(2**28 - 1)
    with pytest.raises(MidiError, match="more than 24 h"):
        file_ids(
            header()
            + track(b"\x00\x90\x3c\x40\x01\x80\x3c\x40" + (silence + b"\x90\x3c\x40\x01\x80\x3c\x40") * 3)
        )
    with pytest.raises(MidiError, match=r"missing\.mid: cannot be read"):
        file_ids("missing.mid")


def test_one_piano_in_the_file_or_in_notes() -> None:
    """Where there are no pedals, drums or twists, the file and its notes have the same tokens."""
    data = tune(30).replace(b"\xb0\x40\x7f", b"\xb0\x42\x7f")
    assert notes_ids(read_midi(data)).tolist() == file_ids(data).tolist()
