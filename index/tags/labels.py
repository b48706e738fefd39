"""Giving labels, taking them away, and undoing either: each change is one numbered action, whole or none.

A label that is replaced or taken away keeps its row, with the number of the action that ended it; so an
action is undone by ending what it set and reviving what it ended. An action whose labels were changed again
by a later one cannot be undone before that one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Row, func, insert, select, update

from embedder.core.errors import TagError

from ..arguments import check_part, whole
from ..storage import display, from_bytes, schema
from ..storage.pieces import chunks
from .names import checked_name, shown
from .records import FACET, FREE, LabelAction, LabelReport, Wish
from .schema import label_actions, labels, tags
from .targets import Contents

__all__ = ["actions", "give", "rename", "standing", "tag_named", "undo"]

Place = tuple[str, float | None, float | None]  # content and part


@dataclass(frozen=True)
class _Said:
    """A wish whose target is one content."""

    tag: str
    value: str
    facet: bool
    holds: bool | None
    place: Place

    @property
    def words(self) -> str:
        name = f"{shown(self.tag)}: {shown(self.value)}" if self.facet else shown(self.tag)
        return name if self.holds else f"not {name}"


@dataclass
class _Change:
    """Rows to write."""

    new: list[_Said] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    replaced: int = 0
    unchanged: int = 0
    removed: int = 0


def give(connection: Connection, wishes: Iterable[Wish], *, source: str, what: str = "") -> LabelReport:
    """Do what the wishes say, inside the transaction that is open.

    Parameters
    ----------
    source : where the labels come from, see `Label`
    what : what is done, for the history; made from the wishes if empty

    Raises
    ------
    PieceNotFound
        If a target is not in the library.
    TagError
        If names cannot be, a tag is of the other kind, or wishes contradict each other.
    """
    said = _resolved(connection, wishes)
    _check_contradictions(connection, said)
    numbers = _tag_numbers(connection, said)
    change = _changes(connection, said, numbers)
    if not change.new and not change.ended:
        return LabelReport(None, 0, 0, change.unchanged, 0)
    action = _new_action(connection, what or _describe(said), source)
    for some in chunks(change.ended):
        ended = update(labels).where(labels.c.id.in_(some))
        connection.execute(ended.values(ended_by=action))
    if change.new:
        connection.execute(
            insert(labels),
            [
                {
                    "tag_id": numbers[one.tag],
                    "sha256": one.place[0],
                    "value": one.value,
                    "holds": int(bool(one.holds)),
                    "start_s": one.place[1],
                    "end_s": one.place[2],
                    "set_by": action,
                }
                for one in change.new
            ],
        )
    return LabelReport(
        action=action,
        set=len(change.new) - change.replaced,
        replaced=change.replaced,
        unchanged=change.unchanged,
        removed=change.removed,
    )


def _resolved(connection: Connection, wishes: Iterable[Wish]) -> list[_Said]:
    contents = Contents(connection)
    wishes = list(wishes)
    contents.load(int(wish.target) for wish in wishes if isinstance(wish.target, int))
    names: dict[tuple[str, str], str] = {}
    said: dict[_Said, None] = {}

    def name(text: str, what: str) -> str:
        if (text, what) not in names:
            names[text, what] = checked_name(text, what)
        return names[text, what]

    for wish in wishes:
        tag = name(wish.tag, "tag")
        value = "" if wish.value is None else name(wish.value, "value")
        facet = wish.value is not None
        if wish.holds is None and not facet:
            facet = _kind(connection, tag) == FACET
        check_part(wish.start_s, wish.end_s)
        found = contents.of(wish.target)
        if wish.start_s is not None or wish.end_s is not None:
            _check_part_of(connection, wish, found)
        for _, sha256 in found:
            said[_Said(tag, value, facet, wish.holds, (sha256, wish.start_s, wish.end_s))] = None
    return list(said)


def _check_part_of(connection: Connection, wish: Wish, found: Sequence[tuple[int, str]]) -> None:
    """A part is one of a single piece, with both ends, and overlaps its notes."""
    if wish.start_s is None or wish.end_s is None:
        raise TagError("a part of a piece needs a start and an end; give both")
    if len(found) != 1:
        raise TagError("a part can be labelled in one piece at a time; name one piece")
    columns = schema.pieces.c
    row = connection.execute(select(columns.start_s, columns.end_s).where(columns.id == found[0][0])).one()
    if wish.end_s <= row.start_s or wish.start_s >= row.end_s:
        raise TagError(
            f"piece {found[0][0]} sounds from {row.start_s:.1f} to {row.end_s:.1f} s; give a part of that"
        )


def _kind(connection: Connection, tag: str) -> str | None:
    return connection.execute(select(tags.c.kind).where(tags.c.name == tag)).scalar()


def _check_contradictions(connection: Connection, said: Sequence[_Said]) -> None:
    """Two wishes about one content that cannot both be."""
    kept: dict[tuple[object, ...], _Said] = {}
    wrong: list[tuple[_Said, _Said]] = []
    for one in said:
        # A facet has one value, and each of its values is or is not; a free tag is or is not.
        keys: list[tuple[object, ...]] = [(one.tag, one.value, one.place)]
        if one.facet and one.holds:
            keys.append((one.tag, one.place))
        for key in keys:
            other = kept.setdefault(key, one)
            if other is not one and (other.holds, other.value) != (one.holds, one.value):
                wrong.append((other, one))
                break
    if wrong:
        first, second = wrong[0]
        more = f" (and {len(wrong) - 1:,} more)" if len(wrong) > 1 else ""
        raise TagError(
            f"{_name_of(connection, first.place[0])}: labelled both {first.words} and {second.words}{more}; "
            "say one of them, nothing was changed"
        )


def _name_of(connection: Connection, sha256: str) -> str:
    """A file that holds a content, for a message."""
    joined = schema.paths.join(schema.pieces, schema.paths.c.piece_id == schema.pieces.c.id)
    query = select(schema.paths.c.path).select_from(joined).where(schema.pieces.c.sha256 == sha256)
    path = connection.execute(query.limit(1)).scalar()
    return f"content {sha256[:12]}" if path is None else display(from_bytes(path))


def _tag_numbers(connection: Connection, said: Sequence[_Said]) -> dict[str, int]:
    """Numbers of the tags that are named; new ones are made.

    Raises
    ------
    TagError
        If a tag is meant as a facet in one place and as a free tag in another, or one that is to be taken
        away does not exist.
    """
    facets: dict[str, bool] = {}
    making: set[str] = set()
    for one in said:
        if facets.setdefault(one.tag, one.facet) != one.facet:
            raise TagError(f"{shown(one.tag)}: used both with a value and without; say which it is")
        if one.holds is not None:
            making.add(one.tag)
    numbers: dict[str, int] = {}
    for name, facet in facets.items():
        row = connection.execute(select(tags).where(tags.c.name == name)).first()
        if row is None:
            if name not in making:
                raise unknown_tag(name)
            added = insert(tags).values(name=name, kind=FACET if facet else FREE)
            key = connection.execute(added).inserted_primary_key
            assert key is not None
            numbers[name] = int(key[0])
            continue
        if (row.kind == FACET) != facet:
            known = (
                "a facet: name a value too"
                if row.kind == FACET
                else "a free tag, yes or no: it has no values"
            )
            raise TagError(f"{shown(name)} is {known}")
        numbers[name] = row.id
    return numbers


def unknown_tag(name: str) -> TagError:
    return TagError(f"no tag {shown(name)}; `midikin tags` lists them")


def tag_named(connection: Connection, name: str) -> Row[tuple[int, str, str]]:
    """The row of a tag.

    Raises
    ------
    TagError
        If there is none.
    """
    checked = checked_name(name)
    row = connection.execute(select(tags).where(tags.c.name == checked)).first()
    if row is None:
        raise unknown_tag(checked)
    return row


def rename(connection: Connection, name: str, new: str) -> None:
    """Give a tag another name; its labels, probe and predictions stay with it.

    Raises
    ------
    TagError
        If there is no such tag, or another one bears the new name.
    """
    row, wanted = tag_named(connection, name), checked_name(new)
    other = connection.execute(select(tags.c.id).where(tags.c.name == wanted)).scalar()
    if other not in (None, row.id):
        raise TagError(f"{shown(wanted)}: there is a tag of this name already; choose another")
    connection.execute(update(tags).where(tags.c.id == row.id).values(name=wanted))


def standing(connection: Connection, tag_id: int) -> Sequence[Row[tuple[object, ...]]]:
    """Labels of a tag that stand, oldest first."""
    query = select(labels).where(labels.c.tag_id == tag_id, labels.c.ended_by.is_(None))
    return connection.execute(query.order_by(labels.c.id)).all()


def _changes(connection: Connection, said: Sequence[_Said], numbers: dict[str, int]) -> _Change:
    now: dict[tuple[str, Place], list[tuple[int, str, bool]]] = {}
    by_piece: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for tag, number in numbers.items():
        for row in standing(connection, number):
            place = (row.sha256, row.start_s, row.end_s)
            now.setdefault((tag, place), []).append((row.id, row.value, bool(row.holds)))
            by_piece.setdefault((tag, row.sha256), []).append((row.id, row.value))
    change = _Change()
    removed: set[int] = set()
    ended: set[int] = set()
    for one in said:
        if one.holds is None:
            beside_it = by_piece.get((one.tag, one.place[0]), ())
            removed.update(number for number, value in beside_it if one.value in ("", value))
            continue
        beside = now.get((one.tag, one.place), [])
        if any((value, holds) == (one.value, one.holds) for _, value, holds in beside):
            change.unchanged += 1
            continue
        against = {number for number, value, holds in beside if _conflicts(one, value, holds)}
        ended |= against
        change.new.append(one)
        change.replaced += bool(against)
    change.removed = len(removed)
    change.ended = sorted(ended | removed)
    return change


def _conflicts(one: _Said, value: str, holds: bool) -> bool:
    """Whether a label that stands cannot stay beside a new one of the same place."""
    if value == one.value:
        return holds != one.holds
    return bool(one.holds) and holds


def _describe(said: Sequence[_Said]) -> str:
    """What is done, in a line."""
    first = said[0]
    verb = "take away" if first.holds is None else "label"
    name = f"{shown(first.tag)}: {shown(first.value)}" if first.value else shown(first.tag)
    words = name if first.holds in (None, True) else f"not {name}"
    others = len({(one.tag, one.value, one.holds) for one in said}) - 1
    return f"{verb} {words}" + (f" and {others:,} more" if others else "")


def _new_action(connection: Connection, what: str, source: str) -> int:
    row = insert(label_actions).values(what=what, source=source, done_s=time.time())
    key = connection.execute(row).inserted_primary_key
    assert key is not None
    return int(key[0])


# -- history ----------------------------------------------------------------------------------------


def actions(connection: Connection, limit: int) -> list[LabelAction]:
    """The latest actions, newest first."""
    query = select(label_actions).order_by(label_actions.c.id.desc()).limit(whole(limit, "the limit"))
    return [_action(connection, row) for row in connection.execute(query).all()]


def _action(connection: Connection, row: Row[tuple[object, ...]]) -> LabelAction:
    counted = select(func.count()).select_from(labels)
    touched = counted.where((labels.c.set_by == row.id) | (labels.c.ended_by == row.id))
    return LabelAction(
        number=row.id,
        what=row.what,
        source=row.source,
        labels=int(connection.execute(touched).scalar_one()),
        done_s=row.done_s,
        undone_s=row.undone_s,
    )


def undo(connection: Connection, number: int | None) -> LabelAction:
    """Take an action back: the last that stands, or the one of a number.

    Raises
    ------
    TagError
        If there is none, or a later action changed the same labels.
    """
    table = label_actions.c
    stands = select(label_actions).where(table.undone_s.is_(None))
    if number is None:
        row = connection.execute(stands.order_by(table.id.desc()).limit(1)).first()
        if row is None:
            raise TagError("nothing to undo: no change of labels stands")
    else:
        number = whole(number, "the number of a change", least=1)
        row = connection.execute(stands.where(table.id == number)).first()
        if row is None:
            raise TagError(f"no change {number} stands; `midikin tags history` lists them")
    _check_untouched(connection, row.id)
    connection.execute(update(labels).where(labels.c.ended_by == row.id).values(ended_by=None))
    own = (labels.c.set_by == row.id) & labels.c.ended_by.is_(None)
    connection.execute(update(labels).where(own).values(ended_by=row.id))
    connection.execute(update(label_actions).where(table.id == row.id).values(undone_s=time.time()))
    return _action(connection, connection.execute(select(label_actions).where(table.id == row.id)).one())


def _check_untouched(connection: Connection, action: int) -> None:
    """Refuse to undo what a later action built upon."""
    mine, later = labels.alias(), labels.alias()
    same = (mine.c.tag_id == later.c.tag_id) & (mine.c.sha256 == later.c.sha256)
    newer = later.c.set_by > action
    newer |= (later.c.ended_by > action) & (later.c.set_by <= action)
    dead = select(label_actions.c.id).where(label_actions.c.undone_s.is_not(None))
    alive = later.c.set_by.not_in(dead) & (later.c.ended_by.is_(None) | later.c.ended_by.not_in(dead))
    touched = (mine.c.set_by == action) | (mine.c.ended_by == action)
    query = select(func.max(later.c.set_by), func.max(later.c.ended_by)).select_from(mine.join(later, same))
    found = connection.execute(query.where(touched, newer, alive)).one()
    latest = max((n for n in found if n is not None), default=0)
    if latest > action:
        raise TagError(f"change {latest} built upon change {action}; undo {latest} first")
