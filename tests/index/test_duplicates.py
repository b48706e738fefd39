"""Judging pairs, grouping without merging works, decisions, reports; and no file is ever touched."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mido
import numpy as np
import pytest

from embedder.core.errors import LibraryError
from embedder.midi.writing import write_midi
from embedder.notes import Notes
from index import Library
from index.duplicates.duplicates import Duplicates
from index.duplicates.grouping import group_links
from index.duplicates.records import DuplicateGroup
from index.matching.block_matching import IndexedPiece
from index.matching.classify import Evidence, Kind, Link, classify_pair
from tests.support.fake_encoder import FakeEncoder, write_tunes


def song(seed: int, count: int) -> Notes:
    """A melody that wanders between two bounds over a slow bass."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.integers(-4, 5, count)) % 48
    pitch = 60 + np.minimum(walk, 48 - walk)
    onset = np.cumsum(rng.choice([0.15, 0.3, 0.45], count))
    low = np.arange(0, count, 4)
    bass = 40 + rng.integers(0, 12, len(low))
    return Notes(
        np.concatenate([onset, onset[low]]),
        np.concatenate([rng.uniform(0.1, 0.4, count), np.full(len(low), 0.5)]),
        np.concatenate([pitch, bass]),
        rng.integers(30, 100, count + len(low)),
    )


def played(piece: Notes, seed: int) -> Notes:
    """The same notes by another player: a tempo that wanders, chords not quite together, some slips."""
    rng = np.random.default_rng(seed)
    tempo = np.exp(np.cumsum(rng.normal(0, 0.04, len(piece))))
    tempo = np.clip(tempo / np.median(tempo), 0.6, 1.6)
    onset = np.cumsum(np.diff(piece.onset, prepend=0) * tempo) + rng.normal(0, 0.01, len(piece))
    velocity = rng.integers(30, 100, len(piece))
    return Notes(onset - onset.min(), piece.duration, piece.pitch, velocity).drop(0.03, rng)


def joined(*parts: Notes) -> Notes:
    onset, shift = [], 0.0
    for part in parts:
        onset.append(part.onset - part.start_s + shift)
        shift = float(onset[-1].max()) + 1
    rest = (np.concatenate([getattr(p, name) for p in parts]) for name in ("duration", "pitch", "velocity"))
    return Notes(np.concatenate(onset), *rest)


def verdict(one: Notes, other: Notes, up: int | None = None) -> Link | None:
    return classify_pair(1, IndexedPiece.of(one), 2, IndexedPiece.of(other), up)


@pytest.mark.parametrize("seed", range(4))
def test_kinds_of_copies(seed: int) -> None:
    rng = np.random.default_rng(seed)
    piece = played(song(seed, 600), seed)
    length = piece.end_s
    edits = {
        "velocity": (piece.with_velocity(64), 0, Kind.NOTES),
        "later": (piece.shift(3), 0, Kind.NOTES),
        "stretched": (piece.stretch(1.2), 0, Kind.EDITED),
        "transposed": (piece.transpose(4), 4, Kind.EDITED),
        "quantised": (piece.quantise(0.06), 0, Kind.EDITED),
        "lost": (piece.drop(0.25, rng), 0, Kind.EDITED),
        "trimmed": (piece.slice_time(0.05 * length, 0.95 * length), 0, Kind.EDITED),
        "excerpt": (piece.slice_time(0.3 * length, 0.6 * length), 0, Kind.CONTAINS),
        "medley": (joined(song(90, 400), piece, song(91, 400)), 0, Kind.CONTAINS),
        "played": (played(song(seed, 600), seed + 50), 0, Kind.WORK),
    }
    for name, (copy, up, kind) in edits.items():
        link = verdict(piece, copy, up)
        assert link is not None, name
        assert link.kind is kind, name
    assert verdict(piece, song(seed + 30, 600)) is None


def test_of_a_part_and_a_whole_the_part_stands_first() -> None:
    whole = song(5, 900)
    for link in (
        classify_pair(
            1,
            IndexedPiece.of(whole),
            2,
            IndexedPiece.of(whole.slice_notes(400, 700)),
            0,
        ),
        classify_pair(
            2,
            IndexedPiece.of(whole.slice_notes(400, 700)),
            1,
            IndexedPiece.of(whole),
            0,
        ),
    ):
        assert link is not None
        assert (link.one, link.other, link.kind, link.contained) == (2, 1, Kind.CONTAINS, True)
        span = link.evidence.passages[0]
        assert span.other_start_s == pytest.approx(whole.onset[400], abs=0.5)


def test_a_part_may_be_cut_from_the_whole_or_be_another_performance() -> None:
    whole = played(song(6, 900), 1)
    cut = whole.slice_time(60, 120)
    others = played(song(6, 900), 2).slice_time(60, 120)
    for part, same, words in (
        (cut, True, "the same performance"),
        (others, False, "another performance or arrangement"),
    ):
        result = verdict(part, whole)
        assert result is not None
        assert (result.kind, result.same_performance) == (Kind.CONTAINS, same)
        assert result.label == f"a whole and a part of it, {words}"
    short = verdict(whole.slice_time(60, 66), whole)  # six seconds: anybody might play them so
    assert short is None or not short.same_performance


# -- groups ---------------------------------------------------------------------------------------------


def link(one: int, other: int, kind: Kind = Kind.WORK) -> Link:
    return Link(one, other, kind, False, Evidence(1, 1, 0.9, 0.9, 0, 1, 1.0, 0.1, 1e3, ()))


def complete(members: range) -> list[Link]:
    return [link(a, b) for a in members for b in members if a < b]


def pairs(links: list[Link]) -> set[tuple[int, int]]:
    return {(one.one, one.other) for one in links}


def test_one_wrong_link_cannot_merge_two_works() -> None:
    good = complete(range(4)) + complete(range(10, 14))
    wrong = [link(0, 10)]
    groups = group_links(good + wrong, pairs(good + wrong))
    assert [group.members for group in groups] == [(0, 1, 2, 3), (10, 11, 12, 13)]


def test_half_of_what_was_compared_must_agree() -> None:
    good = complete(range(3)) + complete(range(10, 13))
    few = [link(0, 10), link(1, 11)]
    compared = pairs(good) | {(a, b) for a in range(3) for b in range(10, 13)}
    assert len(group_links(good + few, compared)) == 2
    many = [*few, link(2, 12), link(0, 11), link(1, 12)]
    assert len(group_links(good + many, compared)) == 1


def test_a_medley_merges_nothing() -> None:
    good = complete(range(3)) + complete(range(10, 13))
    medley = [link(i, 99, Kind.CONTAINS) for i in (0, 1, 2, 10, 11, 12)]
    groups = group_links(good + medley, pairs(good + medley))
    assert [group.members for group in groups] == [(0, 1, 2), (10, 11, 12), (99, 0, 1, 2, 10, 11, 12)]
    assert [group.kind for group in groups] == [Kind.WORK, Kind.WORK, Kind.CONTAINS]


def test_looser_kinds_can_be_left_out() -> None:
    links = [link(1, 2, Kind.EDITED), link(2, 3), link(1, 3), link(1, 4, Kind.CONTAINS)]
    assert [g.members for g in group_links(links, pairs(links), loosest=Kind.EDITED)] == [(1, 2)]
    groups = group_links(links, pairs(links), loosest=Kind.WORK)
    assert [(group.kind, group.members) for group in groups] == [
        (Kind.EDITED, (1, 2)),
        (Kind.WORK, (1, 2, 3)),
    ]


# -- a library --------------------------------------------------------------------------------------------


@pytest.fixture
def catalogue(tmp_path: Path, encoder: FakeEncoder) -> Iterator[Library]:
    """Three works in several guises, a medley of two, and pieces of their own."""
    folder = tmp_path / "catalogue"
    folder.mkdir()
    first, second = played(song(1, 500), 1), played(song(2, 500), 2)
    files = {
        "first": first,
        "first-other-hands": played(song(1, 500), 11),
        "first-up": first.transpose(2),
        "first-short": first.slice_time(10, first.end_s - 10),
        "second": second,
        "second-one-velocity": second.with_velocity(80),
        "medley": joined(first, second),
        "<b>&amp;": played(song(3, 500), 3),
    }
    for name, notes in files.items():
        write_midi(notes, folder / f"{name}.mid")
    (folder / "copy of first.mid").write_bytes((folder / "first.mid").read_bytes())
    write_midi(files["<b>&amp;"].stretch(1.1), folder / "it's \nnew.mid")
    write_tunes(folder, 6, first_seed=70)
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        library.add(folder, workers=1)
        yield library


def names(group: DuplicateGroup) -> set[str]:
    return {Path(member.path).stem for member in group.members}


def group_of(result: Duplicates, name: str) -> DuplicateGroup:
    return next(g for g in result.groups if name in names(g) and g.kind is not Kind.CONTAINS)


def test_groups_of_a_library(catalogue: Library) -> None:
    result = catalogue.duplicates(workers=1)
    first = group_of(result, "first-up")
    assert first.relation == "duplicates"
    assert len(first.members) == 3
    assert {"first-up", "first-short"} < names(first)
    (versions,) = [group for group in result.groups if group.kind is Kind.WORK]
    assert (versions.relation, versions.keeper, versions.reason) == ("relatives", None, "")
    assert names(versions) == names(first) | {"first-other-hands"}
    assert max(len(member.paths) for member in first.members) == 2
    assert names(group_of(result, "second")) == {"second", "second-one-velocity"}
    assert group_of(result, "second").kind is Kind.NOTES
    assert Path(group_of(result, "second").members[0].path).stem == "second"
    wholes = [group for group in result.groups if group.kind is Kind.CONTAINS]
    assert {Path(group.members[0].path).stem for group in wholes} == {"medley"}
    parts = {
        Path(member.path).stem: (item.link.same_performance, group.describe(member))
        for group in wholes
        for member in group.members
        if (item := group.best_link(member)) is not None
    }
    medley = wholes[0].members[0].piece_id
    assert wholes[0].keeper is None
    assert parts["first"][0]
    assert parts["first"][1].startswith(f"cut from #{medley}: ")
    assert not parts["first-other-hands"][0]
    assert parts["first-other-hands"][1].startswith(
        f"part of #{medley}, in another performance or arrangement: "
    )
    assert all("tune" not in name for group in result.groups for name in names(group))


def test_a_copy_is_described_as_it_is_and_not_the_reverse(tmp_path: Path, encoder: FakeEncoder) -> None:
    piece = played(song(4, 400), 1)
    for number, (name, notes) in enumerate(
        {"a": piece, "higher and slower": piece.transpose(3).stretch(1.25)}.items()
    ):
        folder = tmp_path / str(number)  # the original is added first, the copy last; then the reverse
        folder.mkdir()
        write_midi(notes, folder / f"{name}.mid")
    for order in ("01", "10"):
        with Library.open(tmp_path / f"library{order}", encoder=encoder) as library:
            for place in order:
                library.add(tmp_path / place, workers=1)
            (group,) = library.duplicates(workers=1).groups
        (copy,) = [member for member in group.members if member.piece_id != group.keeper]
        up, tempo = ("+3", "20 % slower") if "higher" in copy.path else ("-3", "25 % faster")
        assert f"{up} semitones, {tempo}, same timing" in group.describe(copy)


def test_stricter_kinds_only(catalogue: Library) -> None:
    result = catalogue.duplicates(workers=1, loosest=Kind.NOTES)
    assert [names(group) for group in result.groups if group.kind is Kind.NOTES] == [
        {"second", "second-one-velocity"}
    ]
    copies = [group for group in result.groups if group.kind is Kind.BYTES]
    assert [len(group.members[0].paths) for group in copies] == [2]


def test_another_container_is_the_same_notes(tmp_path: Path, encoder: FakeEncoder) -> None:
    piece = played(song(8, 300), 1)
    folder = tmp_path / "two"
    folder.mkdir()
    write_midi(piece, folder / "a.mid")
    coarse = mido.MidiFile(type=1, ticks_per_beat=480)
    tracks = [mido.MidiTrack(), mido.MidiTrack()]
    coarse.tracks.extend(tracks)
    tracks[0].append(mido.MetaMessage("set_tempo", tempo=480_000))
    for which, track in enumerate(tracks):
        events = []
        for i in range(which, len(piece), 2):
            start = round(piece.onset[i] * 1000)
            stop = round((piece.onset[i] + piece.duration[i]) * 1000)
            events.append((start, 1, "note_on", int(piece.pitch[i])))
            events.append((max(stop, start + 1), 0, "note_off", int(piece.pitch[i])))
        now = 0
        for tick, _, kind, pitch in sorted(events):
            track.append(mido.Message(kind, note=pitch, velocity=70, time=tick - now, channel=which))
            now = tick
    coarse.save(folder / "b.mid")
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        library.add(folder, workers=1)
        groups = library.duplicates(workers=1).groups
    assert [group.kind for group in groups] == [Kind.NOTES]


def test_a_few_notes_are_compared_too(tmp_path: Path, encoder: FakeEncoder) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    for number, pitches in enumerate(([60, 64, 67], [60, 64, 67], [60, 64, 65])):
        notes = Notes(np.arange(3) * 0.5, np.full(3, 0.4), pitches, np.full(3, 60 + 10 * number))
        write_midi(notes, folder / f"{number}.mid")
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        library.add(folder, workers=1)
        (group,) = library.duplicates(workers=1).groups
    assert (group.kind, names(group)) == (Kind.NOTES, {"0", "1"})


def test_decisions_stick_and_can_be_undone(catalogue: Library, tmp_path: Path) -> None:
    group = group_of(catalogue.duplicates(workers=1), "second")
    keeper, other = (member.piece_id for member in group.members)
    number = catalogue.duplicates.decide(keeper, other, "duplicate", keeper=keeper)
    settled = group_of(catalogue.duplicates(workers=1), "second")
    assert settled.resolved
    assert settled.links[0].verdict == "duplicate"
    assert catalogue.duplicates.decisions()[0].evidence["kind"] == "notes"
    # A new member reopens it.
    write_midi(played(song(2, 500), 2).transpose(1), tmp_path / "catalogue" / "second-up.mid")
    catalogue.add(tmp_path / "catalogue", workers=1)
    assert not group_of(catalogue.duplicates(workers=1), "second").resolved
    # A decision outlives the piece: removed and added again, it has another number.
    catalogue.remove(other)
    catalogue.add(tmp_path / "catalogue", workers=1)
    again = group_of(catalogue.duplicates(workers=1), "second")
    assert any(one.verdict == "duplicate" for one in again.links)
    catalogue.duplicates.undo(number)
    assert catalogue.duplicates.decisions() == []
    assert catalogue.duplicates.decisions(undone=True)[0].undone_s is not None
    with pytest.raises(LibraryError, match="decisions"):
        catalogue.duplicates.undo(number)


def test_not_the_same_is_never_linked_again(catalogue: Library) -> None:
    group = group_of(catalogue.duplicates(workers=1), "second")
    one, other = (member.piece_id for member in group.members)
    number = catalogue.duplicates.decide(one, other, "not-same")
    assert all(
        "second" not in names(g) or g.kind is Kind.CONTAINS for g in catalogue.duplicates(workers=1).groups
    )
    catalogue.duplicates.decide(one, other, "keep")
    assert [decision.verdict for decision in catalogue.duplicates.decisions()] == ["keep"]
    assert next(decision.id for decision in catalogue.duplicates.decisions(undone=True)) == number


def test_wrong_decisions(catalogue: Library) -> None:
    one, other = (piece.id for piece in catalogue.pieces(limit=2))
    with pytest.raises(ValueError, match="keeper"):
        catalogue.duplicates.decide(one, other, "duplicate")
    with pytest.raises(ValueError, match="two different"):
        catalogue.duplicates.decide(one, one, "keep")
    with pytest.raises(ValueError, match="maybe"):
        catalogue.duplicates.decide(one, other, "maybe")
    assert catalogue.duplicates.decisions() == []


def test_reports(catalogue: Library, tmp_path: Path) -> None:
    result = catalogue.duplicates(workers=1)
    rows = list(csv.DictReader(io.StringIO(result.csv())))
    assert len(rows) == sum(len(member.paths) for group in result.groups for member in group.members)
    assert {row["suggestion"] for row in rows} == {"keep", ""}
    reported = {(row["kind"], Path(row["path"]).stem): row["same_performance"] for row in rows}
    assert reported["contains", "copy of first"] == "yes"
    assert reported["contains", "first-other-hands"] == "no"
    assert reported["contains", "medley"] == ""
    page = result.html()
    assert "&lt;b&gt;&amp;amp;" in page
    assert "<b>" not in page
    assert "<polygon" in page
    assert "http" not in page
    assert "another performance or arrangement" in page
    first = result.to_json()["groups"][0]["links"][0]
    assert first["evidence"]["passages"]
    assert first["same_performance"] is (first["kind"] != "work")


def test_only_decided_duplicates_are_commands_and_midikin_runs_none(
    catalogue: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "catalogue"
    before = {path: path.read_bytes() for path in folder.rglob("*.mid")}
    suggested = catalogue.duplicates(workers=1).script()
    assert b"\n# spare " in suggested
    assert b"\nspare " not in suggested
    group = group_of(catalogue.duplicates(workers=1), "it's \nnew")
    members = {Path(member.path).stem: member.piece_id for member in group.members}
    kept, gone = members["<b>&amp;"], members["it's \nnew"]
    catalogue.duplicates.decide(kept, gone, "duplicate", keeper=kept)
    script = tmp_path / "script.sh"
    script.write_bytes(catalogue.duplicates(workers=1).script())
    assert {path: path.read_bytes() for path in folder.rglob("*.mid")} == before
    subprocess.run(["sh", script], check=True)
    assert set(before) - set(folder.rglob("*.mid")) == {folder / "it's \nnew.mid"}


def test_a_script_removes_once_what_is_a_duplicate_of_two(tmp_path: Path, encoder: FakeEncoder) -> None:
    whole = played(song(70, 700), 7)
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, notes in (
        ("whole", whole),
        ("higher", whole.transpose(2)),
        ("part", whole.slice_time(0, 0.5 * whole.end_s)),
    ):
        write_midi(notes, folder / f"{name}.mid")
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        library.add(folder, workers=1)
        number = {Path(piece.path).stem: piece.id for piece in library.pieces()}
        for keeper in ("whole", "higher"):
            library.duplicates.decide(number[keeper], number["part"], "duplicate", keeper=number[keeper])
        script = tmp_path / "script.sh"
        script.write_bytes(library.duplicates(workers=1).script())
    subprocess.run(["sh", script], check=True)
    assert sorted(path.stem for path in folder.iterdir()) == ["higher", "whole"]


def test_two_processes_find_what_one_finds(catalogue: Library, tmp_path: Path) -> None:
    write_tunes(tmp_path / "catalogue", 60, first_seed=300, notes=60)
    catalogue.add(tmp_path / "catalogue", workers=1)
    alone, both = catalogue.duplicates(workers=1), catalogue.duplicates(workers=2)
    assert alone == both
    # A script without a main guard may ask for processes too, and runs once.
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from index import Library\n"
        "print('begins')\n"
        "with Library.open(sys.argv[1], create=False) as library:\n"
        "    print(len(library.duplicates(workers=2).groups))\n"
    )
    run = subprocess.run(
        [sys.executable, script, catalogue.folder], capture_output=True, text=True, check=True
    )
    assert run.stdout == f"begins\n{len(alone.groups)}\n"


def test_comparing(catalogue: Library) -> None:
    first = played(song(1, 500), 1)
    without = first.select(np.arange(len(first)) % 50 != 7)
    result = catalogue.compare(first, without)
    assert result.kind == "edited"
    assert result.comparison.other.matched > 0.98
    missing = {(round(float(first.onset[i]), 3), int(first.pitch[i])) for i in range(7, len(first), 50)}
    reported = {(round(note.onset_s, 3), note.pitch) for note in result.only_one}
    assert len(reported & missing) >= len(missing) - 1
    assert len(reported) + len(result.only_other) <= len(missing) + 12
    assert result.to_json()["passages"][0]["tempo_curve"]
    assert catalogue.compare(first, song(50, 500)).kind is None
