"""`Library` is one object with four others; the flat methods of before answer with a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from index import Library
from index.library import _MOVED


@pytest.mark.parametrize("name", _MOVED)
def test_a_flat_method_of_before_is_the_one_of_its_object(library: Library, name: str) -> None:
    room, method = _MOVED[name]
    with pytest.warns(DeprecationWarning, match=rf"Library\.{name} is now Library\.{room}\.{method}"):
        flat = getattr(library, name)
    assert flat == getattr(getattr(library, room), method)


def test_flat_methods_do_what_they_did(library: Library, tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="tags.label"):
        assert library.label("calm", [1, 2]).set == 2
    with pytest.warns(DeprecationWarning, match="tags.labels"):
        assert [label.piece_id for label in library.labels("calm")] == [1, 2]
    with pytest.warns(DeprecationWarning, match="maintenance.backup"):
        assert library.backup(tmp_path / "copy") == tmp_path / "copy"
    assert [tag.name for tag in library.tags()] == ["calm"]
    assert library.probes() == []
    assert library.duplicates(workers=1).groups == ()


def test_a_name_that_never_was_is_no_attribute(library: Library) -> None:
    assert not hasattr(library, "labelled")


def test_an_open_library_can_be_verified_and_repaired(library: Library) -> None:
    assert library.maintenance.verify().sound
    assert library.maintenance.repair().kept_as is None
    assert len(library.pieces()) == 12
    library.tags.label("calm", 1)
