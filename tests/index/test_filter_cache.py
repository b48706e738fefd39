"""Numbers of the pieces that meet filters: the same as by asking each piece, remembered, and never stale."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import event

from index import Library
from index.filters import Filters
from tests.support.fake_encoder import tune, write_tunes

CASES = (
    ["notes>0"],
    ["duration<0:30"],
    ["pitch>55", "density>4"],
    ["pitch=55..65", "notes!=3", "polyphony<9"],
    ["key=C major"],
    ["key!=C major", "velocity>50"],
    ["tempo>1"],
    ["title~nothing"],
    ["path~part1", "notes>5"],
    ["name=tune00?.mid", "pitch>58"],
    ["tag=slow"],
    ["notes>100000"],
)


def allowed(library: Library, texts: Sequence[str]) -> list[int]:
    with library._database.read() as connection:
        found = library._allowed.pieces(connection, Filters.parse(texts))
    assert not found.flags.writeable
    return found.tolist()


@pytest.mark.parametrize("texts", CASES, ids=" ".join)
def test_each_condition_alone_gives_what_all_together_give(library: Library, texts: list[str]) -> None:
    library.tags.label("slow", [1, 3, 5])
    expected = [piece.id for piece in library.pieces(texts)]
    assert allowed(library, texts) == allowed(library, texts) == expected
    assert library.search(tune(900), filters=texts).query.pieces == len(expected)


def test_what_was_asked_before_is_not_looked_up_again(library: Library) -> None:
    statements: list[str] = []
    event.listen(library._database._engine, "before_cursor_execute", lambda *told: statements.append(told[2]))

    def asked(texts: list[str]) -> int:
        statements.clear()
        library.search(tune(900), filters=texts)
        return sum("group_concat" in statement for statement in statements)

    assert [asked(["pitch>50", "notes>5"]) for _ in range(3)] == [2, 0, 0]
    assert [asked(["path~part1"]) for _ in range(2)] == [1, 1]
    assert [asked([f"notes>{number}"]) for number in (*range(9), 8, 0)] == [1] * 9 + [0, 1]


def test_what_comes_and_goes_is_seen_at_once(library: Library, music: Path) -> None:
    assert allowed(library, ["notes>5"]) == list(range(1, 13))
    write_tunes(music, 1, first_seed=70)
    library.add(music, workers=1)
    assert allowed(library, ["notes>5"]) == list(range(1, 14))
    assert library.search(tune(900)).query.pieces == 13
    library.remove([2, 13])
    assert allowed(library, ["notes>5"]) == [1, *range(3, 13)]
    assert library.search(tune(900), k=50, filters=["notes>5"]).query.pieces == 11
    assert len(library.search(tune(900), k=50, filters=["notes>5"]).results) == 11
    library.tags.label("slow", [4])
    assert allowed(library, ["tag=slow"]) == [4]
    library.tags.label("slow", [5])
    assert allowed(library, ["tag=slow"]) == [4, 5]
