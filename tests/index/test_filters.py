"""Filters: what can be written, what it means, and that SQL agrees with plain Python."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from index import FIELDS, Filters, Library, Term


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_example_can_be_used(field, library: Library) -> None:  # type: ignore[no-untyped-def]
    filters = Filters.parse([field.example])
    assert filters.terms[0].field == field.name
    assert Filters.parse([str(filters)]) == filters
    library.pieces(filters)
    library.search(1, filters=filters)


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("density>5", Term("density", ">", 5.0)),
        (" notes = 200..800 ", Term("notes", "=", (200.0, 800.0))),
        ("duration<3:30", Term("duration", "<", 210.0)),
        ("duration>=1:00:00", Term("duration", ">=", 3600.0)),
        ("key=C minor", Term("key", "=", "C minor")),
        ("path~a=b", Term("path", "~", "a=b")),
        ("name!=*.kar", Term("name", "!=", "*.kar")),
        ("Tempo!=100..110", Term("tempo", "!=", (100.0, 110.0))),
    ],
)
def test_parsing(text: str, term: Term) -> None:
    assert Term.parse(text) == term


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("density", "write one like"),
        ("density>", "write one like"),
        ("densty>5", "there are duration"),
        ("density~5", "takes"),
        ("density>five", "is not a number"),
        ("density>nan", "is not a number"),
        ("density>1..2", "a range goes with"),
        ("name>3", "takes"),
        ("", "write one like"),
    ],
)
def test_what_cannot_be_read_says_what_can(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        Filters.parse([text])


def test_a_wrong_key_says_how_keys_are_written(library: Library) -> None:
    with pytest.raises(ValueError, match="C minor"):
        library.search(1, filters=["key=H dur"])


@pytest.mark.parametrize(
    "name", ["duration_s", "notes", "density", "pitch_mean", "velocity_mean", "polyphony"]
)
def test_ranges_agree_with_plain_python(name: str, library: Library) -> None:
    pieces = library.pieces()
    values = sorted(getattr(piece.descriptors, name) for piece in pieces)
    middle = values[5]
    field = next(field.name for field in FIELDS if field.column == name)
    for operator, holds in ((">", middle.__lt__), ("<=", middle.__ge__)):
        filters = Filters((Term(field, operator, middle),))
        found = {piece.id for piece in library.pieces(filters)}
        assert found == {piece.id for piece in pieces if holds(getattr(piece.descriptors, name))}


def test_keys_are_known_by_all_their_names(library: Library) -> None:
    found = {piece.id for piece in library.pieces(["key=Eb minor"])}
    assert found == {piece.id for piece in library.pieces(["key=D# minor"])}
    assert found == {piece.id for piece in library.pieces(["key=ebm"])}
    everything = [piece.descriptors.key for piece in library.pieces()]
    for key in set(everything):
        assert len(library.pieces([f"key={key}"])) == everything.count(key)
    assert len(library.pieces(["key~minor"])) == sum(key.endswith("minor") for key in everything)


def test_paths_and_names_are_compared_without_case(library: Library, music: Path) -> None:
    assert len(library.pieces(["path~PART1"])) == 4
    assert len(library.pieces(["name=TUNE00?.mid"])) == 10
    assert len(library.pieces(["name!=tune00?.mid"])) == 2
    assert len(library.pieces([f"path={music}/part2/*"])) == 4
    assert library.pieces(["path~100%_sure"]) == []


def test_conditions_on_paths_hold_for_one_and_the_same_file(library: Library, music: Path) -> None:
    (music / "copies").mkdir()
    shutil.copy(music / "part0" / "tune000.mid", music / "copies" / "other.mid")
    library.add(music, workers=1)
    assert library.pieces(["path~copies", "name=tune000.mid"]) == []
    (piece,) = library.pieces(["path~copies"])
    assert piece.path == str(music / "copies" / "other.mid")  # the file that was asked for is named first
    assert library.search(2, k=20, filters=["path~copies"]).results[0].path == piece.path


def test_filters_are_shown_with_the_result(library: Library) -> None:
    assert library.search(1, filters=["notes>100", "key~m"]).query.filters == "notes>100, key~m"


def test_tags_are_filters(library: Library) -> None:
    numbers = [piece.id for piece in library.pieces()]
    library.tags.label("calm", numbers[:2])
    library.tags.label("calm", numbers[2], holds=False)
    library.tags.label("composer", numbers[3], value="Félix 100%")
    library.tags.label("composer", numbers[4], value="Clara")
    library.tags.label("loud", numbers[5], start_s=0.0, end_s=1.0)

    def found(text: str) -> list[int]:
        return [piece.id for piece in library.pieces([text])]

    assert found("tag=CALM") == numbers[:2]
    assert found("tag!=calm") == numbers[2:]
    assert found("tag=composer") == numbers[3:5]
    assert found("tag=composer: félix 100%") == numbers[3:4]
    assert found("tag=composer: *") == numbers[3:5]
    assert found("tag=loud") == []
    library.tags.undo(1)
    assert found("tag=calm") == []
    with pytest.raises(ValueError, match="takes = !="):
        found("tag~calm")
