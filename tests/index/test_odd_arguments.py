"""Arguments that make no sense are refused in one line; those that are merely unusual are taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from embedder.core.errors import PieceNotFound
from index import Filters, Library

HUGE = 2**70


@pytest.mark.parametrize("number", [HUGE, -HUGE, 2**63])
def test_numbers_that_no_piece_has(library: Library, number: int) -> None:
    for call in (library.search, library.piece, library.notes, library.remove, library.find):
        with pytest.raises(PieceNotFound):
            call(number)


def test_numpy_s_numbers(library: Library) -> None:
    one = np.int64(1)
    assert library.search(one, k=np.int64(2)) == library.search(1, k=2)  # type: ignore[arg-type]
    assert library.piece(one) == library.piece(1)  # type: ignore[arg-type]
    assert library.notes(one) == library.notes(1)  # type: ignore[arg-type]
    assert library.find(one).query.piece_id == 1  # type: ignore[arg-type]
    assert library.remove(one).pieces == 1  # type: ignore[arg-type]
    assert library.remove([np.int64(2)]).pieces == 1  # type: ignore[list-item]


@pytest.mark.parametrize(
    "call",
    [
        lambda library: library.search(True),
        lambda library: library.piece(True),
        lambda library: library.remove(True),
        lambda library: library.remove([True]),
        lambda library: library.find(True),
        lambda library: library.search(1, k=math.nan),
        lambda library: library.search(1, k=True),
        lambda library: library.search(1, k=2.5),
        lambda library: library.search(1, start_s=math.nan),
        lambda library: library.search(1, end_s=math.nan),
        lambda library: library.find(1, end_s=math.nan),
        lambda library: library.pieces("notes=800..200"),
        lambda library: library.failures(after="\ud800"),
    ],
)
def test_refused(library: Library, call: Callable[[Library], Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call(library)
    assert not isinstance(caught.value, UnicodeError)
    assert len(str(caught.value).splitlines()) == 1
    assert library.info().pieces == 12


def test_taken(library: Library) -> None:
    assert len(library.pieces(limit=HUGE)) == 12
    assert library.pieces(after=HUGE) == []
    assert len(library.pieces("notes>5")) == 12
    assert len(library.search(1, k=HUGE).results) == 11
    for text in ("path~\udcff", "name=\udcff*", "title~\ud800"):
        assert library.pieces(text) == []


def test_every_name_of_a_key(library: Library) -> None:
    for letter in "CDEFGAB":
        for sign in ("", "#", "b"):
            for mode in ("", " minor", "m"):
                library.pieces(f"key={letter}{sign}{mode}")
    for one, other in (("B#", "C"), ("Cb", "B"), ("E#", "F"), ("Fb", "E"), ("A#", "Bb"), ("c♯", "D♭")):
        same = [
            str(Filters.parse(f"key={key}").clause().compile(compile_kwargs={"literal_binds": True}))
            for key in (one, other)
        ]
        assert same[0] == same[1]
