"""Parts, drums, controllers, tempo maps and damage: what files of the wild hold, and what is read of them."""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedder import GRID_HZ, MidiError, Notes, Part, describe, read_midi, read_piece
from embedder.midi import events
from embedder.midi.general_midi import FAMILIES, PROGRAMS, family_of, program_name
from tests.support import strategies
from tests.support.midi_reference import reference_notes

END = b"\x00\xff\x2f\x00"


def varint(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


def event(gap: int, *data: int) -> bytes:
    return varint(gap) + bytes(data)


def on(gap: int, key: int, channel: int = 0, velocity: int = 64) -> bytes:
    return event(gap, 0x90 | channel, key, velocity)


def off(gap: int, key: int, channel: int = 0) -> bytes:
    return event(gap, 0x80 | channel, key, 0)


def note(key: int, channel: int = 0, gap: int = 0) -> bytes:
    """Half a second."""
    return on(gap, key, channel) + off(480, key, channel)


def control(gap: int, number: int, value: int, channel: int = 0) -> bytes:
    return event(gap, 0xB0 | channel, number, value)


def program(number: int, channel: int = 0, gap: int = 0) -> bytes:
    return event(gap, 0xC0 | channel, number)


def meta(kind: int, data: bytes = b"", gap: int = 0) -> bytes:
    return varint(gap) + bytes([0xFF, kind]) + varint(len(data)) + data


def exclusive(*data: int, gap: int = 0) -> bytes:
    return varint(gap) + b"\xf0" + varint(len(data) + 1) + bytes(data) + b"\xf7"


def track(*content: bytes, end: bytes = END, length: int | None = None) -> bytes:
    body = b"".join(content) + end
    return b"MTrk" + struct.pack(">I", len(body) if length is None else length) + body


def midi(*tracks: bytes, type_: int = 1, division: int = 480, stated: int | None = None) -> bytes:
    count = len(tracks) if stated is None else stated
    return b"MThd" + struct.pack(">IHHH", 6, type_, count, division) + b"".join(tracks)


def rows(notes: Notes) -> list[tuple[float, float, int]]:
    return list(zip(notes.onset.tolist(), notes.end.tolist(), notes.pitch.tolist(), strict=True))


def played(data: bytes) -> list[tuple[int, int, bool]]:
    """(pitch, program, drums) of each note."""
    notes = read_midi(data)
    parts = [notes.parts[number] for number in notes.part.tolist()]
    return [(key, part.program, part.drums) for key, part in zip(notes.pitch.tolist(), parts, strict=True)]


TWO = note(60) + note(62)
TWO_ROWS = [(0.0, 0.5, 60), (0.5, 1.0, 62)]


# -- parts -------------------------------------------------------------------------------------------


def test_every_note_knows_its_part() -> None:
    data = midi(
        track(meta(3, b"Strings"), control(0, 0, 8, 1), control(0, 32, 3, 1), program(48, 1), note(60, 1)),
        track(meta(3, b"Kit"), program(16, 9), note(36, 9)),
        track(program(0), note(64), program(24), note(65)),
    )
    notes = read_midi(data)
    assert notes.parts == (
        Part("Strings", 1, 48, 8 * 128 + 3),
        Part("Kit", 9, 16, drums=True),
        Part("", 0, 0),
        Part("", 0, 24),
    )
    assert notes.part_sizes().tolist() == [1, 1, 1, 1]
    assert notes.drums().pitch.tolist() == [36]
    assert notes.pitched().pitch.tolist() == [60, 64, 65]
    assert notes.of_part(3).pitch.tolist() == [65]
    assert notes.has_drums
    assert not notes.pitched().has_drums


def test_a_program_acts_on_its_channel_from_its_time_on_whatever_its_track() -> None:
    changes = track(program(40), program(41, gap=480))
    assert played(midi(changes, track(TWO))) == [(60, 40, False), (62, 41, False)]


def test_of_programs_at_one_time_that_of_the_own_track_counts() -> None:
    tracks = [track(program(number), note(60 + number)) for number in (1, 2, 3)]
    assert played(midi(*tracks)) == [(61, 1, False), (62, 2, False), (63, 3, False)]


def test_a_bank_holds_from_the_program_behind_it() -> None:
    data = midi(track(control(0, 0, 5), note(60), program(3), note(62)))
    assert [part.bank for part in read_midi(data).parts] == [None, 5 * 128]


def test_ports_have_channels_of_their_own() -> None:
    ports = [track(meta(0x21, bytes([port])), program(10 * port), note(60 + port)) for port in (0, 1)]
    notes = read_midi(midi(*ports))
    assert [(part.port, part.channel, part.program) for part in notes.parts] == [(0, 0, 0), (1, 0, 10)]


def test_general_midi_names_every_program() -> None:
    assert len(PROGRAMS) == len(set(PROGRAMS)) == 128
    assert len(FAMILIES) == 16
    assert (program_name(40), family_of(40)) == ("Violin", "strings")
    assert (program_name(25), family_of(25)) == ("Acoustic Guitar (steel)", "guitar")


GS_ON = exclusive(0x41, 0x10, 0x42, 0x12, 0x40, 0x00, 0x7F, 0x00, 0x41)
XG_ON = exclusive(0x43, 0x10, 0x4C, 0, 0, 0x7E, 0)


@pytest.mark.parametrize(
    ("before", "channel", "drums"),
    [
        (b"", 9, True),
        (b"", 4, False),
        (XG_ON + control(0, 0, 127, 4) + program(0, 4), 4, True),
        (control(0, 0, 127, 4) + program(0, 4), 4, True),
        (GS_ON + control(0, 0, 127, 4) + program(0, 4), 4, False),  # tones of the MT-32
        (XG_ON + control(0, 0, 126, 4) + program(0, 4), 4, True),
        (control(0, 0, 120, 10) + program(0, 10), 10, True),
        (control(0, 0, 121, 9) + program(0, 9), 9, False),
        (exclusive(0x41, 0x10, 0x42, 0x12, 0x40, 0x1A, 0x15, 0x02, 0x0F), 10, True),
        (exclusive(0x41, 0x10, 0x42, 0x12, 0x40, 0x11, 0x15, 0x01, 0x0F), 0, True),
        (exclusive(0x41, 0x10, 0x42, 0x12, 0x40, 0x10, 0x15, 0x00, 0x1B), 9, False),
        (exclusive(0x43, 0x10, 0x4C, 0x08, 0x04, 0x07, 0x01), 4, True),
        (exclusive(0x43, 0x10, 0x4C, 0x08, 0x09, 0x07, 0x00), 9, False),
        (exclusive(0x43, 0x10, 0x4C, 0x08, 0x04, 0x07, 0x01) + XG_ON, 4, False),  # a reset
    ],
)
def test_drums_are_what_is_made_a_rhythm_part(before: bytes, channel: int, drums: bool) -> None:
    for data in (midi(track(before, note(40, channel))), midi(track(before), track(note(40, channel)))):
        assert [row[2] for row in played(data)] == [drums]


def test_a_channel_may_change_between_melody_and_drums() -> None:
    use = exclusive(0x41, 0x10, 0x42, 0x12, 0x40, 0x1A, 0x15, 0x02, 0x0F)
    assert [row[2] for row in played(midi(track(note(40, 10), use, note(41, 10))))] == [False, True]


def test_parts_that_double_others_are_collapsed_and_named() -> None:
    line = note(60) + note(64)
    data = midi(track(program(0), line), track(program(48, 1), note(60, 1) + note(64, 1)), track(note(67)))
    notes = read_midi(data)
    assert notes.doublings() == ((0, 1),)
    assert notes.collapsed().pitch.tolist() == [60, 67, 64]
    assert describe(notes).notes == 3
    drums = midi(track(note(60)), track(note(60, 9)))
    assert read_midi(drums).doublings() == ()


def test_counts_take_drums_and_pitches_do_not() -> None:
    described = describe(read_midi(midi(track(TWO), track(note(36, 9), note(36, 9), note(36, 9)))))
    assert (described.notes, described.duration_s) == (5, 1.5)
    assert (described.pitch_low, described.pitch_high) == (60, 62)
    only_drums = describe(read_midi(midi(track(note(36, 9)))))
    assert (only_drums.notes, only_drums.pitch_high, only_drums.polyphony) == (1, 0, 0.0)


# -- tempo and meter -----------------------------------------------------------------------------------


def test_tempo_map_and_time_signatures_are_kept() -> None:
    data = midi(
        track(
            meta(0x58, b"\x03\x02\x18\x08"),
            meta(0x51, (500_000).to_bytes(3, "big")),
            meta(0x51, (250_000).to_bytes(3, "big"), gap=960),
            meta(0x58, b"\x06\x03\x18\x08"),
        ),
        track(TWO),
    )
    notes = read_midi(data)
    assert notes.tempo.second.tolist() == [0.0, 1.0]
    assert notes.tempo.bpm.tolist() == [120.0, 240.0]
    assert notes.tempo.quarters([0.5, 2.0]).tolist() == [1.0, 6.0]
    assert [(m.second, m.numerator, m.denominator) for m in notes.meters] == [(0.0, 3, 4), (1.0, 6, 8)]
    later = notes.shift(2.0).stretch(2.0)
    assert later.tempo.second.tolist() == [4.0, 6.0]
    assert later.tempo.bpm.tolist() == [60.0, 120.0]
    assert later.meters[1].second == 6.0


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3_000), st.integers(1, 500), st.integers(30, 90)), min_size=1, max_size=30
    ),
    st.integers(1, 10_000),
    st.sampled_from([2, 3, 7]),
    st.sampled_from([500_000, 461_538, 333_333]),
)
def test_the_digest_is_the_same_whatever_silence_division_and_repeated_tempos(
    score: list[tuple[int, int, int]], silence: int, finer: int, us: int
) -> None:
    def written(scale: int, lead: int, tempos: int) -> bytes:
        file = mido.MidiFile(ticks_per_beat=96 * scale)
        conductor = file.add_track()
        for i in range(tempos):
            conductor.append(mido.MetaMessage("set_tempo", tempo=us, time=37 * scale * bool(i)))
        for start, length, key in score:  # a track a note, so that none ends another
            line = file.add_track()
            line.append(mido.Message("note_on", note=key, velocity=70, time=(lead + start) * scale))
            line.append(mido.Message("note_off", note=key, time=length * scale))
        data = io.BytesIO()
        file.save(file=data)
        return data.getvalue()

    plain = read_midi(written(1, 0, 1)).digest()
    assert read_midi(written(1, silence, 1)).digest() == plain
    assert read_midi(written(finer, 0, 1)).digest() == plain
    assert read_midi(written(1, 0, 20)).digest() == plain


@given(strategies.bands(), st.floats(0, 100))
def test_shifting_changes_no_digest(band: Notes, seconds: float) -> None:
    assert band.shift(seconds).digest() == band.digest()


@given(strategies.bands())
def test_transforms_keep_parts_and_drums(band: Notes) -> None:
    moved = band.transpose(1)
    drums = band.drums()
    assert moved.drums() == drums
    for changed in (band.shift(3), band.stretch(2), band.quantise(0.5), band.with_velocity(64)):
        assert changed.parts == band.parts
        assert changed.part_sizes().tolist() == band.part_sizes().tolist()
    assert len(band.pitched()) + len(drums) == len(band)
    assert band.joined(band.select(slice(0, 0))) == band


def test_equality_hears_instruments_and_drums() -> None:
    line = ([0, 1], [1, 1], [60, 62], [64, 64])
    piano = Notes(*line)
    assert piano == Notes(*line, [0, 1], (Part("left", 3), Part("right", 4)))
    assert piano != Notes(*line, [0, 0], (Part(program=40),))
    assert piano != Notes(*line, [0, 1], (Part(), Part(drums=True)))
    assert piano.digest() == Notes(*line, [0, 0], (Part(program=40),)).digest(instruments=False)


# -- controllers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [120, 123, 124, 126])
def test_controllers_that_end_notes(number: int) -> None:
    ended = midi(track(on(0, 60), control(480, number, 0), on(0, 62), control(480, number, 0)))
    assert rows(read_midi(ended)) == TWO_ROWS
    late = midi(track(on(0, 60), control(480, number, 0), off(4_800, 60)))
    assert rows(read_midi(late)) == [(0.0, 0.5, 60)]


def test_all_notes_off_acts_on_its_channel_in_every_track() -> None:
    data = midi(track(control(480, 123, 0)), track(on(0, 60), off(960, 60)), track(note(62, 1)))
    assert rows(read_midi(data)) == [(0.0, 0.5, 60), (0.0, 0.5, 62)]
    reset = midi(track(control(0, 123, 0)), track(note(60)))
    assert rows(read_midi(reset)) == [(0.0, 0.5, 60)]  # what begins with a reset is not silenced by it


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        ([[control(0, 64, 127), control(1_920, 64, 0)], [note(60)]], [(0.0, 2.0, 60)]),
        (
            [[control(0, 64, 127), note(60), control(480, 121, 0), note(62, gap=480)]],
            [(0.0, 1.0, 60), (1.5, 2.0, 62)],
        ),
        ([[control(0, 64, 127), note(60), control(480, 120, 0), control(480, 64, 0)]], [(0.0, 1.0, 60)]),
        ([[control(0, 64, 127), on(0, 60), control(480, 123, 0), control(480, 64, 0)]], [(0.0, 1.0, 60)]),
        # The sostenuto pedal holds what sounds when it is pressed, and nothing that begins later.
        (
            [[on(0, 60), control(240, 66, 127), off(240, 60), note(62), control(480, 66, 0)]],
            [(0.0, 1.5, 60), (0.5, 1.0, 62)],
        ),
        ([[control(0, 66, 127), note(60), control(480, 66, 0)]], [(0.0, 0.5, 60)]),
    ],
    ids=[
        "another track",
        "reset",
        "all sound off",
        "all notes off",
        "sostenuto",
        "sostenuto before the note",
    ],
)
def test_pedals_by_the_specification(
    tracks: list[list[bytes]], expected: list[tuple[float, float, int]]
) -> None:
    data = midi(*(track(*content) for content in tracks))
    assert rows(read_midi(data, sustain=True)) == expected
    assert len(read_midi(data).pedal) > 0
    assert len(read_midi(data, sustain=True).pedal) == 0


# -- events by the specification ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0xF8, 0xF9, 0xFA, 0xFC, 0xFE])
def test_real_time_bytes_do_not_touch_running_status(status: int) -> None:
    data = midi(track(on(0, 60), event(0, status), varint(480) + b"\x3c\x00", note(62)))
    assert rows(read_midi(data)) == TWO_ROWS
    within = midi(track(event(0, 0x90, 60, status, 64), off(480, 60), note(62)))
    assert rows(read_midi(within)) == TWO_ROWS


def test_exclusive_messages_cancel_running_status() -> None:
    piece = read_piece(midi(track(TWO, exclusive(1, 2), b"\x00\x3c\x40\x60\x3c\x00"), track(note(70))))
    assert [row[2] for row in rows(piece.notes)] == [60, 70, 62]
    assert piece.partly_read is not None
    assert "without a status" in piece.partly_read


def test_the_end_of_a_track_is_its_end() -> None:
    behind = END + note(70)
    for data in (
        midi(track(TWO, behind)),
        midi(track(event(0, 0xF7, 1, 0xF8), TWO, behind)),
        midi(track(END, meta(0x51, b"\x00\x27\x10", gap=240)), track(TWO)),
    ):
        assert rows(read_midi(data)) == TWO_ROWS
    smpte = midi(track(on(0, 60), off(500, 60), END, on(0, 70), off(500, 70)), division=0xE728)
    assert rows(read_midi(smpte)) == [(0.0, 0.5, 60)]


@pytest.mark.parametrize(
    "odd",
    [
        *(meta(0x51, b"\x00\x07\xa1\x20"[:size]) for size in (0, 1, 2, 4)),
        meta(0x58, b""),
        meta(0x58, b"\x04"),
        meta(0x58, b"\x00\xff\x18\x08"),
        meta(0x59, b"\xff\xff"),
        meta(0x59, b"\x7f\x02\x01"),
        meta(0x20, b""),
        meta(0x21, b""),
        meta(0x54, b"\xff"),
        meta(0x00, b"\x01\x02\x03"),
        meta(0x05, b"\xf7\xf0\xff"),
        meta(0x7E, bytes(300)),
    ],
)
def test_meta_events_of_any_length_and_content_refuse_nothing(odd: bytes) -> None:
    piece = read_piece(midi(track(odd * 6, TWO)))
    assert rows(piece.notes) == TWO_ROWS
    assert piece.partly_read is None


def test_a_byte_f7_in_a_lyric_costs_nothing() -> None:
    many = b"".join(on(0, 40 + i % 50) + off(10, 40 + i % 50) for i in range(400_000))
    data = midi(track(meta(5, "что".encode("cp1251"))), track(many))
    began = time.process_time()
    assert len(read_midi(data)) == 400_000
    assert time.process_time() - began < 2


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_blocks_and_single_events_read_the_same(data: st.DataObject) -> None:
    kinds = [
        lambda: note(data.draw(st.integers(0, 127)), data.draw(st.integers(0, 15))),
        lambda: varint(data.draw(st.sampled_from([0, 127, 128, 20_000, 3_000_000]))) + b"\x90\x3c\x40",
        lambda: b"\x05\x3c\x00" * data.draw(st.integers(1, 20)),
        lambda: control(3, 7, data.draw(st.integers(0, 127))),
        lambda: event(1, 0xD0, 5) + b"\x00\x06" + event(0, 0x90, 61, 9),
        lambda: meta(1, data.draw(st.binary(max_size=9))) + event(0, 0x90, 62, 9),
        lambda: exclusive(1, 2, 3) + event(0, 0x90, 63, 9),
    ]
    body = [note(60)] + [data.draw(st.sampled_from(kinds))() for _ in range(data.draw(st.integers(0, 60)))]
    file = midi(track(*body))
    answers = []
    before = events.REGULAR, events.FIRST_BLOCK
    try:
        for regular, block in ((1, 16), (2, 64), (10**9, 64)):
            events.REGULAR, events.FIRST_BLOCK = regular, block
            piece = read_piece(file)
            answers.append((rows(piece.notes), piece.partly_read))
    finally:
        events.REGULAR, events.FIRST_BLOCK = before
    assert answers[0] == answers[1] == answers[2]


# -- damage ---------------------------------------------------------------------------------------------


FIRST = track(meta(0x51, b"\x07\xa1\x20"))


@pytest.mark.parametrize(
    "data",
    [
        midi(track(TWO, length=len(TWO) + 8)),
        midi(track(TWO, length=0xFFFFFFFF)),
        midi(track(TWO))[:-1],
        midi(track(meta(0x51, b"\x07\xa1\x20"), length=15), track(TWO)),
        midi(track(meta(0x51, b"\x07\xa1\x20"), length=3), track(TWO)),
        midi(FIRST + b"\0\0", track(TWO), stated=2),
        midi(b"XFIH\0\0\0\4abcd" + FIRST, track(TWO), stated=2),
        midi(FIRST, track(TWO), stated=0),
        b"junk" * 9 + midi(track(TWO)),
        b"MThd\0\0\0\x08" + midi(track(TWO))[8:14] + b"\0\0" + midi(track(TWO))[14:],
    ],
    ids=[
        "length too great",
        "length absurd",
        "last byte missing",
        "length too great before a track",
        "length too small before a track",
        "bytes between tracks",
        "a chunk of another kind",
        "no tracks stated",
        "bytes before the header",
        "a longer header",
    ],
)
def test_wrong_lengths_lose_nothing(data: bytes) -> None:
    piece = read_piece(data)
    assert rows(piece.notes) == TWO_ROWS
    assert piece.partly_read is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (midi(track(TWO), track(note(64, 1) + b"\x00\xf4\x00" + note(65, 1)), track(note(66, 2))), "0xf4"),
        (midi(track(TWO), track(note(64, 1), end=b""), track(note(66, 2)))[:-6], "within an event"),
        (midi(track(TWO), track(note(64, 1)), track(note(66, 2)), stated=5), "3 of the 5 tracks"),
        (
            midi(track(TWO), track(note(64, 1) + b"\x00\xff\x01\x7fx"), track(note(66, 2))),
            "longer than its track",
        ),
    ],
)
def test_damage_costs_its_track_from_there_on_and_no_more(data: bytes, reason: str) -> None:
    piece = read_piece(data)
    assert {60, 62, 64} <= set(piece.notes.pitch.tolist())
    assert piece.partly_read is not None
    assert reason in piece.partly_read


def test_a_file_of_which_nothing_can_be_read_is_refused_with_the_damage() -> None:
    with pytest.raises(MidiError, match="damaged"):
        read_piece(midi(track(b"\x00\xf4" + TWO)))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 200), st.booleans())
def test_any_bytes_give_a_piece_or_a_reason(junk: bytes, at: int, cut: bool) -> None:
    sound = midi(track(meta(3, b"A Song"), TWO), track(program(9, 3), note(64, 3), exclusive(1, 2)))
    data = sound[:at] + junk + (b"" if cut else sound[at:])
    try:
        count = len(read_piece(data).notes)
    except MidiError as error:
        count = len(error.reason)
    assert count > 0


# -- titles ---------------------------------------------------------------------------------------------


def test_karaoke_files_are_called_by_their_first_title_line() -> None:
    words = track(meta(3, b"Words"), meta(1, b"@TSome Song"), meta(1, b"@TSome Artist"))
    data = midi(track(meta(3, b"Soft karaoke"), meta(1, b"@KMIDI KARAOKE FILE")), words, track(TWO))
    assert read_piece(data).title == "Some Song"


@pytest.mark.parametrize(
    ("title", "encoding"),
    [
        ("夕焼けの歌", "shift_jis"),
        ("千本桜", "gbk"),
        ("Чёрные глаза", "cp1251"),
        ("Für Elise", "latin-1"),
        ("À la claire fontaine", "latin-1"),
        ("Für Elise ♪", "utf-8"),
    ],
)
def test_titles_in_the_encodings_of_old_files(title: str, encoding: str) -> None:
    assert read_piece(midi(track(meta(3, title.encode(encoding)), TWO))).title == title


def test_the_second_track_gives_a_title_of_several_words_where_the_first_has_no_name() -> None:
    named = track(meta(3, b"Where art thou wanton?"), note(60))
    assert read_piece(midi(track(), named)).title == "Where art thou wanton?"
    assert read_piece(midi(track(), track(meta(3, b"Fiddle 2"), note(60)))).title is None


def test_the_composer_is_taken_from_where_it_is_plain() -> None:
    data = midi(track(meta(1, b"Composer: Franz Schubert"), TWO))
    assert read_piece(data).composer == "Franz Schubert"


# -- a second opinion -----------------------------------------------------------------------------------


def same_as_reference(data: bytes) -> bool:
    notes = read_midi(data)
    parts = [notes.parts[number] for number in notes.part.tolist()]
    own = sorted(
        (onset, duration, key, force, part.channel, part.program, -1 if part.bank is None else part.bank)
        for onset, duration, key, force, part in zip(
            np.rint(notes.onset * GRID_HZ).astype(int).tolist(),
            np.rint(notes.duration * GRID_HZ).astype(int).tolist(),
            notes.pitch.tolist(),
            notes.velocity.tolist(),
            parts,
            strict=True,
        )
    )
    return own == sorted(
        (n.onset, n.duration, n.pitch, n.velocity, n.channel, n.program, -1 if n.bank is None else n.bank)
        for n in reference_notes(data)
    )


def test_real_files_are_read_as_by_mido(data_dir: Path) -> None:
    paths = sorted(path for path in data_dir.rglob("*.mid*") if path.stat().st_size < 60_000)
    compared = 0
    for path in paths[:: max(1, len(paths) // 60)]:
        data = path.read_bytes()
        try:
            reference_notes(data)
        except Exception:  # mido refuses what is odd, in many ways
            continue
        assert same_as_reference(data), path
        compared += 1
    assert compared > 40
