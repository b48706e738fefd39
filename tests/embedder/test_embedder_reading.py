"""What the reader makes of files written here event by event, whichever way it decodes them."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import mido
import numpy as np
import pytest

from embedder import Limits, MidiError, Notes, read_midi, read_piece
from embedder.midi import events
from tests.support import hostile

Row = tuple[float, float, int]


@pytest.fixture(params=["blocks", "event by event"])
def _decoding(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a test twice: numpy decodes runs of messages as soon as it can, or never."""
    monkeypatch.setattr(events, "REGULAR", 1 if request.param == "blocks" else 10**9)
    return None


both_ways = pytest.mark.usefixtures("_decoding")


def midi(*tracks: list[mido.Message], type_: int = 1, division: int = 480) -> bytes:
    file = mido.MidiFile(type=type_, ticks_per_beat=division)
    for messages in tracks:
        file.tracks.append(mido.MidiTrack(messages))
    data = io.BytesIO()
    file.save(file=data)
    return data.getvalue()


def on(pitch: int, gap: int = 0, channel: int = 0, velocity: int = 64) -> mido.Message:
    return mido.Message("note_on", note=pitch, velocity=velocity, channel=channel, time=gap)


def off(pitch: int, gap: int = 480, channel: int = 0) -> mido.Message:
    return mido.Message("note_off", note=pitch, channel=channel, time=gap)


def pedal(value: int, gap: int = 0, channel: int = 0) -> mido.Message:
    return mido.Message("control_change", control=64, value=value, channel=channel, time=gap)


def program(number: int, channel: int = 0) -> mido.Message:
    return mido.Message("program_change", program=number, channel=channel)


def tempo(us: int, gap: int = 0) -> mido.MetaMessage:
    return mido.MetaMessage("set_tempo", tempo=us, time=gap)


def rows(notes: Notes) -> list[Row]:
    """(onset, end, pitch) of each note in order."""
    return list(zip(notes.onset.tolist(), notes.end.tolist(), notes.pitch.tolist(), strict=True))


# -- times -------------------------------------------------------------------------------------------


@both_ways
def test_without_a_tempo_a_beat_is_half_a_second() -> None:
    piece = read_piece(midi([on(60), off(60)]))
    assert rows(piece.notes) == [(0.0, 0.5, 60)]
    assert piece.tempo_bpm is None


@both_ways
def test_tempos_of_all_tracks_count_for_all() -> None:
    tempos = [tempo(1_000_000), tempo(250_000, 960)]
    notes = [on(60, 480), off(60, 960), tempo(500_000), on(62, 480), off(62)]
    piece = read_piece(midi(tempos, notes))
    # Beats: 1 s each until beat 2, 1/4 s until beat 3, then 1/2 s.
    assert rows(piece.notes) == [(1.0, 2.25, 60), (2.75, 3.25, 62)]
    assert piece.tempo_bpm == pytest.approx(60 * 4 / 2.25, abs=1e-3)


@both_ways
def test_of_tempos_at_one_tick_the_last_holds_and_zero_says_nothing() -> None:
    piece = read_piece(midi([tempo(9), tempo(250_000), tempo(0), on(60, 480), off(60)]))
    assert rows(piece.notes) == [(0.25, 0.5, 60)]
    assert read_piece(midi([tempo(0), on(60), off(60)])).tempo_bpm is None


@both_ways
def test_tempo_is_that_of_the_notes() -> None:
    """What stands before the first note and after the last does not count."""
    piece = read_piece(midi([tempo(2_000_000), tempo(500_000, 480), on(60), off(60), tempo(100_000, 480)]))
    assert piece.tempo_bpm == 120


@pytest.mark.parametrize(
    ("frames", "ticks_per_frame", "ticks", "seconds"),
    [(24, 100, 2_400, 1), (25, 40, 1_000, 1), (30, 80, 2_400, 1), (29, 1, 30_000, 1_001)],
)
def test_smpte_division_counts_time_not_beats(
    frames: int, ticks_per_frame: int, ticks: int, seconds: int
) -> None:
    """29 stands for drop-frame time code: 30,000 frames in 1,001 seconds."""
    data = midi([tempo(7), on(60, ticks), off(60, 2 * ticks)])
    piece = read_piece(data[:12] + struct.pack(">bB", -frames, ticks_per_frame) + data[14:])
    assert rows(piece.notes) == [(seconds, 3 * seconds, 60)]
    assert piece.tempo_bpm is None


def test_patterns_of_type_2_follow_one_another() -> None:
    """Each has its own tempos, and lasts until its last event."""
    first = [tempo(1_000_000), on(60), off(60), mido.MetaMessage("end_of_track", time=480)]
    second = [on(62, 480), off(62)]
    piece = read_piece(midi(first, second, type_=2))
    assert rows(piece.notes) == [(0.0, 1.0, 60), (2.5, 3.0, 62)]
    assert piece.tempo_bpm == 60


@both_ways
def test_long_gaps_are_exact() -> None:
    gap = 2**28 - 1
    notes = read_midi(midi([on(60, gap), off(60, 1), on(62, gap), off(62, 1)], division=25_000))
    assert notes == Notes([gap / 50_000, (2 * gap + 1) / 50_000], [2e-5, 2e-5], [60, 62], [64, 64])


@pytest.mark.parametrize("gaps", [9, 17, 33])
def test_ticks_beyond_31_bits_do_not_wrap_around(gaps: int) -> None:
    events = [message for _ in range(gaps) for message in (on(60, 2**28 - 1), off(60, 1))]
    notes = read_midi(midi(events, division=32_767), limits=Limits(duration_s=1e6))
    assert notes.end_s == pytest.approx(gaps * 2**28 / 32_767 / 2)


# -- notes -------------------------------------------------------------------------------------------


@both_ways
def test_a_note_off_ends_the_earliest_open_note() -> None:
    data = midi([on(60, velocity=1), on(60, 480, velocity=2), off(60), off(60)])
    notes = read_midi(data)
    assert rows(notes) == [(0.0, 1.0, 60), (0.5, 1.5, 60)]
    assert notes.velocity.tolist() == [1, 2]


@both_ways
def test_channels_and_tracks_do_not_end_each_others_notes() -> None:
    one = [on(60), on(60, 0, channel=1), off(60, 480, channel=1), off(60, 480)]
    other = [on(60), off(60, 1440)]
    assert rows(read_midi(midi(one, other))) == [(0.0, 0.5, 60), (0.0, 1.0, 60), (0.0, 1.5, 60)]


@both_ways
def test_notes_never_closed_are_dropped() -> None:
    assert rows(read_midi(midi([on(60), on(62), off(62)]))) == [(0.0, 0.5, 62)]


@both_ways
def test_notes_without_length_last_a_step_of_the_grid() -> None:
    assert rows(read_midi(midi([on(60), off(60, 0)]))) == [(0.0, 2e-5, 60)]


@both_ways
def test_running_status_and_silent_note_ons() -> None:
    events = b"\x00\x90\x3c\x40\x60\x3c\x00\x00\x3e\x40\x60\x3e\x00\x00\xff\x2f\x00"
    notes = read_midi(hostile.header() + hostile.track(events))
    assert rows(notes) == [(0.0, 0.5, 60), (0.5, 1.0, 62)]


@both_ways
def test_type_0_and_type_1_say_the_same() -> None:
    lines = [on(60), on(64, 0, channel=1), off(60), off(64, 0, channel=1)]
    assert read_midi(midi(lines, type_=0)) == read_midi(
        midi([on(60), off(60)], [on(64, 0, 1), off(64, 480, 1)])
    )


@both_ways
def test_instruments_are_kept_or_left_out_as_asked() -> None:
    data = midi(
        [program(0), on(60), off(60), program(40), on(61), off(61)],
        [program(40, 2), on(62, 0, 2), off(62, 480, 2)],
        [program(0, 9), on(36, 0, 9), off(36, 480, 9)],
    )

    def pitches(**options: object) -> list[int]:
        return sorted(read_midi(data, **options).pitch.tolist())  # type: ignore[arg-type]

    assert pitches() == [36, 60, 61, 62]
    assert pitches(drums=False) == [60, 61, 62]
    assert pitches(programs={40}, drums=False) == [61, 62]
    assert pitches(programs=[0]) == [36, 60]
    assert pitches(programs=[0], drums=False) == [60]
    assert pitches(programs=()) == [36]
    with pytest.raises(MidiError, match="instruments asked for"):
        read_midi(data, programs={5}, drums=False)


@both_ways
def test_reasons_for_no_notes_differ() -> None:
    with pytest.raises(MidiError, match=r"has no notes$"):
        read_midi(midi([tempo(500_000)]))
    with pytest.raises(MidiError, match="besides drums"):
        read_midi(midi([on(36, 0, 9), off(36, 480, 9)]), drums=False)


# -- pedal -------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([pedal(64), on(60), off(60), pedal(63, 480)], [(0.0, 1.0, 60)]),
        ([pedal(63), on(60), off(60), pedal(0, 480)], [(0.0, 0.5, 60)]),
        ([on(60), off(60), pedal(127), pedal(0, 480)], [(0.0, 0.5, 60)]),
        ([pedal(127), on(60), pedal(0, 240), off(60, 240)], [(0.0, 0.5, 60)]),
        (
            [pedal(127), on(60), off(60), on(60, 480), off(60), pedal(0, 480)],
            [(0.0, 1.0, 60), (1.0, 2.0, 60)],
        ),
        ([pedal(127), on(60), off(60), on(60, 0), off(60), pedal(0)], [(0.0, 0.5, 60), (0.5, 1.0, 60)]),
        ([pedal(127), on(60), off(60), on(62), off(62, 960)], [(0.0, 1.5, 60), (0.5, 1.5, 62)]),
        ([pedal(127, 0, 1), on(60), off(60), pedal(0, 480, 1)], [(0.0, 0.5, 60)]),
        ([pedal(99), pedal(99, 10), on(60), off(60, 470), pedal(80), pedal(0, 480)], [(10 / 960, 1.0, 60)]),
        ([pedal(99), on(60), off(60), pedal(0), pedal(99), pedal(0, 480)], [(0.0, 0.5, 60)]),
    ],
    ids=[
        "held until lifted",
        "half pedal below 64",
        "pressed at the tick of the end",
        "lifted before the end",
        "cut by the same key",
        "same key at once",
        "never lifted",
        "pedal of another channel",
        "pressed again while down",
        "lifted and pressed at the tick of the end",
    ],
)
def test_pedal(events: list[mido.Message], expected: list[Row]) -> None:
    assert rows(read_midi(midi(events), sustain=True)) == [
        (pytest.approx(start, abs=1e-5), pytest.approx(end), pitch) for start, end, pitch in expected
    ]


@both_ways
def test_pedal_survives_a_change_of_program() -> None:
    data = midi([program(1), pedal(127), on(60), off(60), program(2), on(64), off(64), pedal(0, 480)])
    assert rows(read_midi(data, sustain=True)) == [(0.0, 1.5, 60), (0.5, 1.5, 64)]
    assert rows(read_midi(data)) == [(0.0, 0.5, 60), (0.5, 1.0, 64)]


# -- wrappers, titles, limits --------------------------------------------------------------------------


def test_wrappers_do_not_matter() -> None:
    sound = hostile.tune()
    assert read_piece(hostile.riff(sound)) == read_piece(sound)
    other_chunk = b"DISP" + struct.pack("<I", 3) + b"abc\0"
    riff = hostile.riff(sound)
    assert read_piece(riff[:12] + other_chunk + riff[12:]) == read_piece(sound)
    assert read_piece(bytes(128) + sound) == read_piece(sound)


@both_ways
@pytest.mark.parametrize(
    ("names", "title"),
    [
        ([b"Nocturne in E"], "Nocturne in E"),
        ([b"Piano right", b"Gymnop\xc3\xa9die"], "Gymnopédie"),
        ([b"Gymnop\xe9die"], "Gymnopédie"),
        ([b"  two\n lines\t"], "two lines"),
        ([b"Track 1"], None),
        ([b"untitled"], None),
        ([b"Grand Piano"], None),
        ([b"Grand Piano (Classic)"], None),
        ([b"MIDI out #3"], None),
        ([b"Sound Canvas"], None),
        ([b"(C) 1996 by a friend"], None),
        ([b"http://www.example.org/midi"], None),
        ([b"Sequenced by a friend"], None),
        ([b"Unnamed-000"], None),
        ([b"kjoijoij"], None),
        ([b"Song Title : Hey &amp; Ho.mid"], "Hey & Ho"),
        ([b"Soft karaoke"], None),
        ([b"??? - ????"], None),
        ([b"\x00\x01"], None),
        ([b""], None),
        ([], None),
        ([b"La" * 2_500], "La" * 100),
    ],
)
def test_titles_say_something_or_are_none(names: list[bytes], title: str | None) -> None:
    events = b"".join(b"\x00\xff\x03" + hostile.varint(len(name)) + name for name in names)
    data = hostile.header() + hostile.track(events + b"\x00\x90\x3c\x40\x60\x80\x3c\x40\x00\xff\x2f\x00")
    assert read_piece(data).title == title


@both_ways
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(size_bytes=100), "100 bytes"),
        (Limits(tracks=0), "limit of 0"),
        (Limits(notes=39), "limit of 39"),
        (Limits(duration_s=10.9), "limit of"),
    ],
)
def test_limits(limits: Limits, reason: str) -> None:
    sound = hostile.tune(40)
    with pytest.raises(MidiError, match=reason):
        read_midi(sound, limits=limits)
    assert len(read_midi(sound, limits=Limits(len(sound), 1, 40, 11.1))) == 40


def test_limit_of_notes_counts_all_patterns() -> None:
    data = midi([on(60), off(60)], [on(62), off(62)], type_=2)
    assert len(read_midi(data, limits=Limits(notes=2))) == 2
    with pytest.raises(MidiError, match="has 2 notes, more than the limit of 1"):
        read_midi(data, limits=Limits(notes=1))


@both_ways
def test_division_0_is_refused() -> None:
    data = hostile.tune()
    with pytest.raises(MidiError, match="no ticks"):
        read_midi(data[:12] + b"\0\0" + data[14:])


def test_nothing_is_measured_by_the_clock() -> None:
    sound = hostile.tune()
    assert read_midi(sound, limits=Limits(patient_s=0.0)) == read_midi(sound)


def test_too_many_events_are_refused() -> None:
    with pytest.raises(MidiError, match="more events than the limit"):
        read_midi(hostile.million_notes(100_000), limits=Limits(events=100_000))


def test_bytes_of_any_kind() -> None:
    sound = hostile.tune()
    assert read_midi(bytearray(sound)) == read_midi(memoryview(sound)) == read_midi(sound)
    assert np.all(read_midi(sound).velocity >= 1)


# -- events that readers stumble over ----------------------------------------------------------------


SCALE = [b"\x00\x90%c\x40" % pitch + b"\x60\x80%c\x00" % pitch for pitch in range(60, 68)]


@pytest.mark.parametrize(
    "event",
    [b"\xf7\x02\x90\x3c", b"\xf7\x01\xf8", b"\xf7\x03\x01\x02\xf7", b"\xf0\x02\x01\x02\x00\xf7\x02\x04\xf7"],
)
def test_escaped_and_continued_exclusive_messages_move_nothing(event: bytes) -> None:
    plain = hostile.header() + hostile.track(b"".join(SCALE) + hostile.END)
    with_event = [*SCALE[:3], b"\x00" + event, *SCALE[3:], hostile.END]
    assert read_midi(hostile.header() + hostile.track(b"".join(with_event))) == read_midi(plain)


@both_ways
@pytest.mark.parametrize("type_", [1, 2])
def test_an_unknown_meta_event_takes_its_time(type_: int) -> None:
    between = [note[:4] + b"\x30\xff\x60\x01\x00\x30" + note[5:] for note in SCALE]
    plain = hostile.header(type_) + hostile.track(b"".join(SCALE) + hostile.END)
    data = hostile.header(type_) + hostile.track(b"".join(between) + hostile.END)
    assert read_midi(data) == read_midi(plain)
    assert read_midi(data).end_s == 4.0
