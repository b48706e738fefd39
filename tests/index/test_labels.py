"""Labels: what stands after giving, taking away and undoing them, and what is refused as a whole."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from embedder.core.errors import LibraryReadOnly, PieceNotFound, TagError
from embedder.midi.writing import write_midi
from index import LabelEdit, Library
from tests.support.fake_encoder import FakeEncoder, tune


def active(library: Library, tag: str) -> dict[int | None, str]:
    return {
        one.piece_id: f"{'' if one.holds else 'not '}{one.value or tag}" for one in library.tags.labels(tag)
    }


def test_a_free_tag_is_yes_or_no_or_nothing(library: Library) -> None:
    report = library.tags.label("lullaby", [1, 2, 3])
    assert (report.set, report.replaced, report.unchanged, report.removed) == (3, 0, 0, 0)
    library.tags.label("lullaby", [4], holds=False)
    assert active(library, "lullaby") == {1: "lullaby", 2: "lullaby", 3: "lullaby", 4: "not lullaby"}
    report = library.tags.label("lullaby", [3, 4])
    assert (report.set, report.replaced, report.unchanged) == (0, 1, 1)
    report = library.tags.unlabel("lullaby", [1, 7])
    assert (report.removed, report.set) == (1, 0)
    assert active(library, "lullaby") == {2: "lullaby", 3: "lullaby", 4: "lullaby"}
    again = library.tags.label("lullaby", [2, 3])
    assert (again.action, again.unchanged) == (None, 2)


def test_a_facet_has_one_value(library: Library) -> None:
    library.tags.label("composer", [1, 2], value="Chopin")
    report = library.tags.label("composer", 2, value="Liszt")
    assert (report.set, report.replaced) == (0, 1)
    assert active(library, "composer") == {1: "Chopin", 2: "Liszt"}
    library.tags.label("composer", 3, value="Liszt", holds=False)
    library.tags.label("composer", 3, value="Chopin")  # fits beside "not Liszt"
    assert {(one.value, one.holds) for one in library.tags.labels("composer", piece=3)} == {
        ("Liszt", False),
        ("Chopin", True),
    }
    library.tags.label("composer", 1, value="Chopin", holds=False)
    assert active(library, "composer")[1] == "not Chopin"
    (tag,) = library.tags()
    assert (tag.kind, tag.labels, tag.pieces, tag.probe) == ("facet", 4, 3, "none")
    assert {value.value: value.labels for value in tag.values} == {"Chopin": 1, "Liszt": 1}


def test_pieces_by_file_folder_content_and_answer(library: Library, music: Path, tmp_path: Path) -> None:
    file = music / "part0" / "tune000.mid"
    assert library.tags.label("a", str(file)).set == 1
    assert library.tags.label("b", music / "part1").set == 4
    copy = tmp_path / "elsewhere.mid"
    copy.write_bytes(file.read_bytes())
    assert library.tags.label("a", copy).unchanged == 1  # the same content
    hits = library.search(1, k=3)
    assert library.tags.label("c", hits).set == 3
    assert library.tags.label("d", list(hits.results)).set == 3
    assert library.tags.label("e", library.pieces(limit=2)).set == 2
    with pytest.raises(TypeError, match="no piece"):
        library.tags.label("e", [3.5])


def test_labels_outlive_removing_and_adding_again(library: Library, music: Path) -> None:
    file = music / "part0" / "tune000.mid"
    library.tags.label("mine", file)
    library.remove(file)
    (label,) = library.tags.labels("mine")
    assert (label.piece_id, label.path) == (None, None)
    assert label.display.startswith("content ")
    assert library.tags()[0].pieces == 0
    library.add(music, workers=1)
    (label,) = library.tags.labels("mine")
    assert label.path == str(file)


@pytest.mark.parametrize(
    "name",
    [
        'a "quoted" name',
        "two\nlines",
        "🎵🎹",
        "-dash",
        "../slash/",
        "x" * 500,
        "'; DROP TABLE labels; --",
        "%s",
    ],
)
def test_names_hold_any_characters(library: Library, name: str) -> None:
    library.tags.label(name, 1)
    library.tags.label("facet", 1, value=name)
    assert {tag.name for tag in library.tags()} == {name, "facet"}
    assert all(tag.display.isprintable() for tag in library.tags())
    assert library.tags.labels(name)[0].piece_id == 1
    assert library.tags.labels("facet")[0].value == name


@pytest.mark.parametrize("name", ["", "  \n ", "x" * 501, "bad \udcff byte", "nul \0 byte"])
def test_invalid_names_are_refused(library: Library, name: str) -> None:
    for call in (lambda: library.tags.label(name, 1), lambda: library.tags.label("facet", 1, value=name)):
        with pytest.raises(TagError) as raised:
            call()
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 200
    assert library.tags() == []


def test_refused_edits_change_nothing(library: Library) -> None:
    library.tags.label("free", 1)
    library.tags.label("facet", 1, value="x")
    before = library.tags.history()
    refused_edits = [
        ([LabelEdit(1, "free", "x")], "has no values"),
        ([LabelEdit(1, "facet")], "name a value"),
        ([LabelEdit(1, "new"), LabelEdit(2, "new", "x")], "both with a value and without"),
        ([LabelEdit(3, "free"), LabelEdit(3, "free", None, False)], "labelled both free and not free"),
        ([LabelEdit(3, "facet", "x"), LabelEdit(3, "facet", "y")], "labelled both facet: x and facet: y"),
        ([LabelEdit(3, "facet", "x"), LabelEdit(3, "facet", "x", False)], "both facet: x and not facet: x"),
        ([LabelEdit(1, "free", start_s=1.0)], "give both"),
        ([LabelEdit(1, "free", start_s=500.0, end_s=600.0)], "sounds from"),
        ([LabelEdit(1, "nothing", None, None)], "no tag nothing"),
    ]
    for edits, message in refused_edits:
        with pytest.raises(TagError, match=message):
            library.tags.label_many([LabelEdit(5, "extra"), *edits])
    with pytest.raises(PieceNotFound, match="99"):
        library.tags.label("free", [5, 99])
    with pytest.raises(PieceNotFound, match="nowhere"):
        library.tags.label("free", [5, "nowhere.mid"])
    with pytest.raises(ValueError, match="before it ends"):
        library.tags.label("free", 5, start_s=3.0, end_s=1.0)
    assert library.tags.history() == before
    assert {tag.name: tag.labels for tag in library.tags()} == {"free": 1, "facet": 1}


def test_undo_restores_the_earlier_labels(library: Library) -> None:
    library.tags.label("facet", [1, 2], value="x")
    library.tags.label("facet", [2, 3], value="y")
    library.tags.unlabel("facet", [1])
    assert active(library, "facet") == {2: "y", 3: "y"}
    assert library.tags.undo().number == 3
    assert active(library, "facet") == {1: "x", 2: "y", 3: "y"}
    assert library.tags.undo().number == 2
    assert active(library, "facet") == {1: "x", 2: "x"}
    library.tags.undo()
    assert library.tags.labels("facet") == []
    with pytest.raises(TagError, match="nothing to undo"):
        library.tags.undo()
    history = library.tags.history()
    assert [one.number for one in history] == [3, 2, 1]
    assert all(one.undone_s is not None and one.done_s <= one.undone_s for one in history)


def test_an_earlier_change_can_be_undone_unless_another_changed_the_same_labels(library: Library) -> None:
    library.tags.label("facet", [1, 2], value="x")
    library.tags.label("other", [5])
    library.tags.label("facet", [2], value="y")
    with pytest.raises(TagError, match="undo 3 first"):
        library.tags.undo(1)
    assert library.tags.undo(2).number == 2
    library.tags.undo(3)
    library.tags.undo(1)
    assert library.tags.labels() == []
    with pytest.raises(TagError, match="no change 1 to undo"):
        library.tags.undo(1)


def test_labels_by_folder(library: Library, music: Path) -> None:
    report = library.tags.label_by_folder("album", music)
    assert report.set == 12
    assert {value.value: value.labels for value in library.tags()[0].values} == {
        "part0": 4,
        "part1": 4,
        "part2": 4,
    }
    assert library.tags.label_by_folder("album").unchanged == 12  # the folder that all have in common
    with pytest.raises(TagError, match="2 folders below"):
        library.tags.label_by_folder("deep", music, level=2)
    with pytest.raises(TagError, match="no piece of the library"):
        library.tags.label_by_folder("album", music / "part9")


def test_a_piece_in_two_folders_gets_no_label_by_folder(library: Library, music: Path) -> None:
    (music / "part1" / "copy.mid").write_bytes((music / "part0" / "tune000.mid").read_bytes())
    library.add(music, workers=1)
    with pytest.raises(TagError, match=r"part0 and .*part1"):
        library.tags.label_by_folder("album", music)
    assert library.tags.labels() == []


def test_parts_of_a_piece_have_labels_of_their_own(library: Library) -> None:
    library.tags.label("calm", 1)
    library.tags.label("calm", 1, holds=False, start_s=2.0, end_s=8.0)
    assert [(one.holds, one.start_s, one.end_s) for one in library.tags.labels("calm")] == [
        (True, None, None),
        (False, 2.0, 8.0),
    ]
    assert [one.value for one in library.tags.of(1)] == ["yes"]
    library.tags.unlabel("calm", 1)
    assert library.tags.labels("calm") == []


def test_a_read_only_library_lists_tags_and_takes_no_labels(
    library: Library, tmp_path: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.close()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with Library.open(tmp_path / "library", encoder=encoder) as opened:
        assert opened.tags() == []
        with pytest.raises(LibraryReadOnly):
            opened.tags.label("lullaby", 1)


def test_another_library_with_the_same_music_takes_an_export(library: Library, tmp_path: Path) -> None:
    library.tags.label("free", [1, 2])
    library.tags.label("facet", [3], value='odd, "value"\nof two lines')
    library.tags.label("facet", [4], value="x", holds=False)
    library.tags.label("calm", 5, start_s=1.25, end_s=4.5)
    text = library.tags.export_labels()
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    before = {(o.sha256, o.tag, o.value, o.holds, o.start_s, o.end_s) for o in library.tags.labels()}
    for _ in range(4):
        library.tags.undo()
    assert library.tags.labels() == []
    report = library.tags.import_labels(tmp_path / "labels.csv")
    assert (report.set, report.rows, report.encoding, report.delimiter) == (5, 5, "utf-8", ",")
    assert {(o.sha256, o.tag, o.value, o.holds, o.start_s, o.end_s) for o in library.tags.labels()} == before
    assert library.tags.export_labels(["free"]).count("\n") == 3
    assert library.tags.export_labels(["free"], kind="tsv").startswith("file\ttag\tvalue")
    assert [row["tag"] for row in json.loads(library.tags.export_labels(kind="json"))].count("free") == 2
    with pytest.raises(TagError, match="no tag nothing"):
        library.tags.export_labels(["nothing"])


def test_copies_of_the_same_notes_are_one_piece_of_music(library: Library, music: Path) -> None:
    """Different bytes, the same notes: each content has labels of its own."""
    write_midi(tune(0), music / "part0" / "again.mid", program=5)
    library.add(music, workers=1)
    number = max(piece.id for piece in library.pieces())
    library.tags.label("free", 1)
    assert library.tags.labels("free", piece=number) == []


FORMULAS = ["=1+1", "@SUM(A1)", "+cmd", "-dash", "'=quoted", "''+twice", "'tis not one", "-5"]


def test_no_spreadsheet_runs_a_name_and_an_import_gives_it_back(library: Library, tmp_path: Path) -> None:
    for number, name in enumerate(FORMULAS, 1):
        library.tags.label(name, 10)
        library.tags.label("facet", number, value=name)
    text = library.tags.export_labels()
    for row in csv.DictReader(io.StringIO(text)):
        for cell in (row["tag"], row["value"]):
            assert cell == "-5" or not cell.startswith(("=", "+", "-", "@"))
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    before = [(label.sha256, label.tag, label.value) for label in library.tags.labels()]
    assert library.tags.import_labels(tmp_path / "labels.csv").unchanged == len(before) == 2 * len(FORMULAS)
    assert {value.value for tag in library.tags() if tag.kind == "facet" for value in tag.values} == set(
        FORMULAS
    )


def test_labels_set_by_an_absurd_clock_are_listed_and_exported(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, now in enumerate((1e18, -1e18, 1e300), 1):
        with monkeypatch.context() as patched:
            patched.setattr("time.time", lambda now=now: now)
            library.tags.label("lullaby", number)
    assert [row["set"] for row in csv.DictReader(io.StringIO(library.tags.export_labels()))] == ["", "", ""]
    assert len(library.tags.history()) == 3


def test_pieces_beyond_every_number_are_refused_in_a_line(library: Library) -> None:
    for number in (2**43, 2**62, 2**63, 10**40, -(2**70)):
        with pytest.raises(PieceNotFound, match="no piece of the library has the number") as raised:
            library.tags.label("lullaby", number)
        assert str(raised.value).isprintable()
        with pytest.raises(PieceNotFound):
            library.tags.of(number)
        with pytest.raises(TagError, match="no change"):
            library.tags.undo(max(number, 2))
    assert library.tags() == []


def test_names_of_earlier_versions_still_work(library: Library) -> None:
    with pytest.warns(DeprecationWarning, match=r"index\.Wish is now index\.LabelEdit"):
        from index import Wish
    with pytest.warns(DeprecationWarning, match="wishes is now called edits"):
        assert library.tags.label_many(wishes=[Wish(1, "lullaby")]).set == 1  # type: ignore[call-arg]
