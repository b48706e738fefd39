"""What is advised about files: which one stays, and that nothing is lost by following the script."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from embedder.midi.writing import write_midi
from embedder.notation import Part
from embedder.notes import Notes
from index import Library
from index.duplicates.duplicates import Duplicates
from index.duplicates.files import looks_like_a_copy
from tests.support.fake_encoder import FakeEncoder, tune


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


def searched(folder: Path, encoder: FakeEncoder, **options: object) -> tuple[Library, Duplicates]:
    library = Library.open(folder.parent / "library", encoder=encoder)
    library.add(folder, workers=1)
    return library, library.duplicates(workers=1, **options)  # type: ignore[arg-type]


def kept(result: Duplicates) -> tuple[str, str]:
    """Name of the file to keep of the only group, and the reason."""
    (group,) = result.groups
    assert group.keeper_member is not None
    return Path(group.keeper_member.path).name, group.reason


def flat(notes: Notes) -> Notes:
    return notes.with_velocity(64)


def age(path: Path, days: int) -> None:
    at = path.stat().st_mtime - 86_400 * days
    os.utime(path, (at, at))


def run(script: bytes, folder: Path) -> str:
    path = folder.parent / "script.sh"
    path.write_bytes(script)
    return subprocess.run(["sh", path], check=True, capture_output=True, text=True).stderr


# -- which one stays ---------------------------------------------------------------------------------


def test_the_piece_with_most_notes_stays_and_the_reason_has_both_figures(
    folder: Path, encoder: FakeEncoder
) -> None:
    write_midi(tune(1, 300).slice_notes(0, 260), folder / "a.mid")
    write_midi(tune(1, 300), folder / "b.mid")
    _, result = searched(folder, encoder)
    assert kept(result) == ("b.mid", "it has more different notes: 300, the next has 260")


def test_a_doubled_note_is_not_two(folder: Path, encoder: FakeEncoder) -> None:
    piece = tune(1, 300)
    write_midi(doubled(piece.slice_notes(0, 200)), folder / "doubled.mid")
    write_midi(piece.slice_notes(0, 230), folder / "full.mid")
    _, result = searched(folder, encoder)
    assert kept(result)[0] == "full.mid"


def doubled(piece: Notes) -> Notes:
    """Every note once more, on the same key at the same time with another length."""
    fields = ("onset", "pitch", "velocity")
    onset, pitch, velocity = ([*getattr(piece, name), *getattr(piece, name)] for name in fields)
    return Notes(onset, [*piece.duration, *(piece.duration / 2)], pitch, velocity)


@pytest.mark.parametrize("name", ["Song (1)", "song - Copy", "Copy of song", "song_copy2", "Song Kopie"])
def test_copies_are_known_by_their_names(name: str) -> None:
    assert looks_like_a_copy(f"/music/{name}.mid")


@pytest.mark.parametrize("name", ["Song", "Copycat", "Concerto (K. 488)", "Sonata 1", "The (2) of us"])
def test_other_names_are_no_copies(name: str) -> None:
    assert not looks_like_a_copy(f"/music/{name}.mid")


def test_the_name_of_a_copy_does_not_stay_even_if_it_sorts_first(folder: Path, encoder: FakeEncoder) -> None:
    for name in ("Song (1).mid", "Song.mid"):
        write_midi(flat(tune(1)), folder / name)
    library, result = searched(folder, encoder)
    (group,) = result.groups
    assert [Path(path).name for path in group.members[0].paths] == ["Song.mid", "Song (1).mid"]
    assert "# keep " in result.script().decode()
    library.close()


def test_the_older_file_and_before_it_a_preferred_folder(folder: Path, encoder: FakeEncoder) -> None:
    (folder / "best").mkdir()
    write_midi(flat(tune(1)), folder / "a.mid")
    write_midi(flat(tune(1)).shift(1), folder / "b.mid")
    write_midi(flat(tune(1)).shift(2), folder / "best" / "c.mid")
    age(folder / "b.mid", 30)
    library, result = searched(folder, encoder)
    name, reason = kept(result)
    assert name == "b.mid"
    assert reason.startswith("its file is older: from ")
    result = library.duplicates(workers=1, prefer=[folder / "best"])
    assert kept(result) == ("c.mid", "it lies in a preferred folder")
    library.close()


def test_a_file_that_is_gone_is_no_keeper(folder: Path, encoder: FakeEncoder) -> None:
    write_midi(tune(1, 300), folder / "full.mid")
    write_midi(tune(1, 300).slice_notes(0, 260), folder / "part.mid")
    library, result = searched(folder, encoder)
    assert kept(result)[0] == "full.mid"
    (folder / "full.mid").unlink()
    # A report of before notices it, and a new search takes the other.
    script = result.script().decode()
    assert "no file to keep" in script
    assert "spare" not in script
    assert ",missing\n" in result.csv()
    assert kept(library.duplicates(workers=1)) == ("part.mid", "only its file is present")
    library.close()


# -- links -------------------------------------------------------------------------------------------


def test_links_are_one_file_with_what_they_point_to(folder: Path, encoder: FakeEncoder) -> None:
    write_midi(tune(1), folder / "real.mid")
    (folder / "a-link.mid").symlink_to("real.mid")
    os.link(folder / "real.mid", folder / "z-hard.mid")
    library, result = searched(folder, encoder)
    assert result.groups == ()
    write_midi(tune(1).shift(1), folder / "later.mid")
    library.add(folder, workers=1)
    (group,) = library.duplicates(workers=1).groups
    remarks = {Path(file.path).name: file.remark for member in group.members for file in member.files}
    assert remarks == {
        "real.mid": "",
        "later.mid": "",
        "a-link.mid": f"a link to {folder / 'real.mid'}",
        "z-hard.mid": f"a link to {folder / 'real.mid'}",
    }
    library.close()


# -- the script --------------------------------------------------------------------------------------


@pytest.fixture
def decided(folder: Path, encoder: FakeEncoder) -> Library:
    """Two duplicates, of which "it's part.mid" has been decided to go."""
    write_midi(tune(1, 300), folder / "full.mid")
    write_midi(tune(1, 300).slice_notes(0, 260), folder / "it's part.mid")
    library, _ = searched(folder, encoder)
    number = {Path(piece.path).name: piece.id for piece in library.pieces()}
    full, part = number["full.mid"], number["it's part.mid"]
    library.duplicates.decide(full, part, "duplicate", keeper=full)
    return library


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_script_removes_what_was_decided(decided: Library, folder: Path) -> None:
    assert run(decided.duplicates(workers=1).script(), folder) == ""
    assert names(folder) == ["full.mid"]


def test_it_moves_instead_and_never_over_another_file(decided: Library, folder: Path) -> None:
    away = folder.parent / "moved away"
    script = decided.duplicates(workers=1).script(move_to=away)
    content = (folder / "it's part.mid").read_bytes()
    assert b"rm --" not in script
    assert run(script, folder) == ""
    moved = Path(f"{away}{folder / 'it'}'s part.mid")
    assert moved.read_bytes() == content
    (folder / "it's part.mid").write_bytes(content)
    assert "there is one already" in run(script, folder)
    assert names(folder) == ["full.mid", "it's part.mid"]


@pytest.mark.parametrize("harm", ["keeper gone", "keeper changed", "changed", "linked to the keeper"])
def test_a_script_does_nothing_where_files_are_no_longer_what_they_were(
    decided: Library, folder: Path, harm: str
) -> None:
    script = decided.duplicates(workers=1).script()
    full, part = folder / "full.mid", folder / "it's part.mid"
    if harm == "keeper gone":
        full.unlink()
    elif harm == "keeper changed":
        write_midi(tune(9), full)
    elif harm == "changed":
        write_midi(tune(9), part)
    else:
        full.unlink()
        part.rename(full)
        part.symlink_to(full)
    before = names(folder)
    assert "skipped" in run(script, folder)
    assert names(folder) == before


def test_an_edit_that_keeps_size_and_time_is_noticed_when_the_script_is_made(
    decided: Library, folder: Path
) -> None:
    part = folder / "it's part.mid"
    status, content = part.stat(), bytearray(part.read_bytes())
    content[-10] ^= 1
    part.write_bytes(content)
    os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))
    script = decided.duplicates(workers=1).script().decode()
    assert "changed since it was added" in script
    assert "spare" not in script


def test_relatives_have_no_line(folder: Path, encoder: FakeEncoder) -> None:
    write_midi(tune(1, 400), folder / "whole.mid")
    write_midi(tune(1, 400).slice_notes(0, 150), folder / "part.mid")
    library, result = searched(folder, encoder)
    assert [group.relation for group in result.groups] == ["relatives"]
    assert not [line for line in result.script().splitlines() if b"whole" in line or b"part" in line]
    assert "all of them stay" in result.html()
    library.close()


# -- arrangements ------------------------------------------------------------------------------------


def band(drums: bool = True, program: int = 56) -> Notes:
    """A tune on a trumpet, and drums on every second beat."""
    melody = tune(1, 200)
    strokes = np.arange(0, melody.end_s, 1.0) if drums else np.empty(0)
    parts = (Part(program=program, channel=0), Part(channel=9, drums=True))
    return Notes(
        np.concatenate([melody.onset, strokes]),
        np.concatenate([melody.duration, np.full(len(strokes), 0.1)]),
        np.concatenate([melody.pitch, np.full(len(strokes), 38)]),
        np.concatenate([melody.velocity, np.full(len(strokes), 90)]),
        np.repeat([0, 1], [len(melody), len(strokes)]),
        parts,
    )


@pytest.mark.parametrize("other", [band(drums=False), band(program=0)], ids=["no drums", "on a piano"])
def test_another_arrangement_is_a_relative_and_none_is_suggested_to_go(
    folder: Path, encoder: FakeEncoder, other: Notes
) -> None:
    write_midi(band(), folder / "band.mid")
    write_midi(other, folder / "other.mid")
    library, result = searched(folder, encoder)
    assert [(group.kind, group.relation, group.keeper) for group in result.groups] == [
        ("work", "relatives", None)
    ]
    assert b"spare" not in result.script()
    compared = library.compare(folder / "band.mid", folder / "other.mid")
    assert (compared.kind, compared.relation, compared.matched) == ("work", "relatives", 1)
    library.close()


def test_of_two_with_the_same_instruments_the_one_with_more_drums_stays(
    folder: Path, encoder: FakeEncoder
) -> None:
    full = band()
    thin = full.select(~full.is_drum | (np.arange(len(full)) % 4 == 0))
    write_midi(thin, folder / "a.mid")
    write_midi(full, folder / "b.mid")
    library, result = searched(folder, encoder)
    name, reason = kept(result)
    assert name == "b.mid"
    assert reason.startswith(f"it has more different notes: {len(full)}, the next has ")
    library.close()
