"""Labels: applying edits, undoing them, and the labels that are active.

Every change is one numbered action, applied as a whole or not at all. A label that is replaced or removed
keeps its row, with the number of the action that ended it, so an action is undone by ending what it set and
reviving what it ended. An action cannot be undone before a later one that changed the same labels.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Row, func, insert, select, update

from embedder.core.errors import TagError
from embedder.core.files import shortened

from ..arguments import check_part, whole
from ..resolve import Contents
from ..storage import chunks, display, from_bytes, schema
from .records import FACET, FREE, LabelAction, LabelEdit, LabelReport, checked_name
from .schema import label_actions, labels, tags

__all__ = [
    "active_labels",
    "apply_edits",
    "find_tag",
    "labelled_tags",
    "list_actions",
    "rename_tag",
    "undo_action",
]

Location = tuple[str, float | None, float | None]  # hash of the content, and the time range in it


@dataclass(frozen=True)
class _Resolved:
    """A label edit for one content."""

    tag: str
    value: str
    is_facet: bool
    holds: bool | None
    location: Location

    @property
    def text(self) -> str:
        name = f"{shortened(self.tag)}: {shortened(self.value)}" if self.is_facet else shortened(self.tag)
        return name if self.holds else f"not {name}"


@dataclass
class _Change:
    """Rows to insert and to end, and the counts of the report."""

    new: list[_Resolved] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    replaced: int = 0
    unchanged: int = 0
    removed: int = 0


def apply_edits(
    connection: Connection, edits: Iterable[LabelEdit], *, source: str, what: str = ""
) -> LabelReport:
    """Apply label edits inside the open transaction, as one action.

    Parameters
    ----------
    source : where the labels come from, see `Label`
    what : description for the history; made from the edits if empty

    Raises
    ------
    PieceNotFound
        If a target is not in the library.
    TagError
        If a name is invalid, a tag is of the other kind, or edits contradict each other.
    """
    resolved = _resolve(connection, edits)
    _check_contradictions(connection, resolved)
    tag_ids = _tag_ids(connection, resolved)
    change = _change_for(connection, resolved, tag_ids)
    if not change.new and not change.ended:
        return LabelReport(None, 0, 0, change.unchanged, 0)
    action = _new_action(connection, what or _describe(resolved), source)
    for ids in chunks(change.ended):
        connection.execute(update(labels).where(labels.c.id.in_(ids)).values(ended_by=action))
    if change.new:
        connection.execute(
            insert(labels),
            [
                {
                    "tag_id": tag_ids[edit.tag],
                    "sha256": edit.location[0],
                    "value": edit.value,
                    "holds": int(bool(edit.holds)),
                    "start_s": edit.location[1],
                    "end_s": edit.location[2],
                    "set_by": action,
                }
                for edit in change.new
            ],
        )
    return LabelReport(
        action=action,
        set=len(change.new) - change.replaced,
        replaced=change.replaced,
        unchanged=change.unchanged,
        removed=change.removed,
    )


def _resolve(connection: Connection, edits: Iterable[LabelEdit]) -> list[_Resolved]:
    """Edits with their targets resolved to contents, each once."""
    contents = Contents(connection)
    edits = list(edits)
    contents.load(int(edit.target) for edit in edits if isinstance(edit.target, int))
    names: dict[tuple[str, str], str] = {}
    resolved: dict[_Resolved, None] = {}

    def name(text: str, what: str) -> str:
        if (text, what) not in names:
            names[text, what] = checked_name(text, what)
        return names[text, what]

    for edit in edits:
        tag = name(edit.tag, "tag")
        value = "" if edit.value is None else name(edit.value, "value")
        is_facet = edit.value is not None
        if edit.holds is None and not is_facet:
            is_facet = _kind(connection, tag) == FACET
        check_part(edit.start_s, edit.end_s)
        pieces = contents.of(edit.target)
        if edit.start_s is not None or edit.end_s is not None:
            _check_range(connection, edit, pieces)
        for _, sha256 in pieces:
            location = (sha256, edit.start_s, edit.end_s)
            resolved[_Resolved(tag, value, is_facet, edit.holds, location)] = None
    return list(resolved)


def _check_range(connection: Connection, edit: LabelEdit, pieces: Sequence[tuple[int, str]]) -> None:
    """A time range needs both ends and a single piece whose notes it overlaps."""
    if edit.start_s is None or edit.end_s is None:
        raise TagError("a time range needs a start and an end; give both")
    if len(pieces) != 1:
        raise TagError("a time range can be labelled in one piece at a time; name one piece")
    piece_id = pieces[0][0]
    columns = schema.pieces.c
    row = connection.execute(select(columns.start_s, columns.end_s).where(columns.id == piece_id)).one()
    if edit.end_s <= row.start_s or edit.start_s >= row.end_s:
        raise TagError(
            f"piece {piece_id} sounds from {row.start_s:.1f} to {row.end_s:.1f} s; give a range within that"
        )


def _kind(connection: Connection, tag: str) -> str | None:
    return connection.execute(select(tags.c.kind).where(tags.c.name == tag)).scalar()


def _check_contradictions(connection: Connection, resolved: Sequence[_Resolved]) -> None:
    """Refuse edits of one content that exclude each other."""
    earlier: dict[tuple[object, ...], _Resolved] = {}
    conflicts: list[tuple[_Resolved, _Resolved]] = []
    for edit in resolved:
        # A facet has one value, and each of its values either holds or does not; so does a free tag.
        keys: list[tuple[object, ...]] = [(edit.tag, edit.value, edit.location)]
        if edit.is_facet and edit.holds:
            keys.append((edit.tag, edit.location))
        for key in keys:
            other = earlier.setdefault(key, edit)
            if other is not edit and (other.holds, other.value) != (edit.holds, edit.value):
                conflicts.append((other, edit))
                break
    if conflicts:
        first, second = conflicts[0]
        more = f" (and {len(conflicts) - 1:,} more)" if len(conflicts) > 1 else ""
        raise TagError(
            f"{_name_of(connection, first.location[0])}: labelled both {first.text} and {second.text}{more}; "
            "keep one of them, nothing was changed"
        )


def _name_of(connection: Connection, sha256: str) -> str:
    """A file with a content, for a message."""
    joined = schema.paths.join(schema.pieces, schema.paths.c.piece_id == schema.pieces.c.id)
    query = select(schema.paths.c.path).select_from(joined).where(schema.pieces.c.sha256 == sha256)
    path = connection.execute(query.limit(1)).scalar()
    return f"content {sha256[:12]}" if path is None else display(from_bytes(path))


def _tag_ids(connection: Connection, resolved: Sequence[_Resolved]) -> dict[str, int]:
    """Ids of the tags by name; new tags are created.

    Raises
    ------
    TagError
        If a tag is used both as a facet and as a free tag, or one to be removed does not exist.
    """
    is_facet: dict[str, bool] = {}
    to_create: set[str] = set()
    for edit in resolved:
        if is_facet.setdefault(edit.tag, edit.is_facet) != edit.is_facet:
            raise TagError(f"{shortened(edit.tag)}: used both with a value and without; use one form")
        if edit.holds is not None:
            to_create.add(edit.tag)
    ids: dict[str, int] = {}
    for name, facet in is_facet.items():
        row = connection.execute(select(tags).where(tags.c.name == name)).first()
        if row is None:
            if name not in to_create:
                raise unknown_tag(name)
            added = insert(tags).values(name=name, kind=FACET if facet else FREE)
            key = connection.execute(added).inserted_primary_key
            assert key is not None
            ids[name] = int(key[0])
            continue
        if (row.kind == FACET) != facet:
            kind = (
                "a facet: name a value too"
                if row.kind == FACET
                else "a free tag, yes or no: it has no values"
            )
            raise TagError(f"{shortened(name)} is {kind}")
        ids[name] = row.id
    return ids


def unknown_tag(name: str) -> TagError:
    return TagError(f"no tag {shortened(name)}; `midikin tags` lists them")


def find_tag(connection: Connection, name: str) -> Row[tuple[int, str, str]]:
    """The row of a tag.

    Raises
    ------
    TagError
        If there is none of that name.
    """
    checked = checked_name(name)
    row = connection.execute(select(tags).where(tags.c.name == checked)).first()
    if row is None:
        raise unknown_tag(checked)
    return row


def rename_tag(connection: Connection, name: str, new: str) -> None:
    """Rename a tag; its labels, probe and predictions stay with it.

    Raises
    ------
    TagError
        If there is no such tag, or another one has the new name.
    """
    row, new_name = find_tag(connection, name), checked_name(new)
    other = connection.execute(select(tags.c.id).where(tags.c.name == new_name)).scalar()
    if other not in (None, row.id):
        raise TagError(f"{shortened(new_name)}: there is a tag of this name already; choose another")
    connection.execute(update(tags).where(tags.c.id == row.id).values(name=new_name))


def active_labels(connection: Connection, tag_id: int) -> Sequence[Row[tuple[object, ...]]]:
    """Labels of a tag that were neither replaced nor removed, oldest first."""
    query = select(labels).where(labels.c.tag_id == tag_id, labels.c.ended_by.is_(None))
    return connection.execute(query.order_by(labels.c.id)).all()


def labelled_tags(connection: Connection) -> list[Row[tuple[int, str, str]]]:
    """Tags with active labels, by name."""
    own = select(labels.c.id).where(labels.c.tag_id == tags.c.id, labels.c.ended_by.is_(None))
    return list(connection.execute(select(tags).where(own.exists()).order_by(tags.c.name)).all())


def _change_for(connection: Connection, resolved: Sequence[_Resolved], tag_ids: Mapping[str, int]) -> _Change:
    """What edits change about the active labels."""
    at_location: dict[tuple[str, Location], list[tuple[int, str, bool]]] = {}
    of_content: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for tag, tag_id in tag_ids.items():
        for row in active_labels(connection, tag_id):
            location = (row.sha256, row.start_s, row.end_s)
            at_location.setdefault((tag, location), []).append((row.id, row.value, bool(row.holds)))
            of_content.setdefault((tag, row.sha256), []).append((row.id, row.value))
    change = _Change()
    removed: set[int] = set()
    replaced: set[int] = set()
    for edit in resolved:
        if edit.holds is None:
            existing = of_content.get((edit.tag, edit.location[0]), ())
            removed.update(label_id for label_id, value in existing if edit.value in ("", value))
            continue
        active = at_location.get((edit.tag, edit.location), [])
        if any((value, holds) == (edit.value, edit.holds) for _, value, holds in active):
            change.unchanged += 1
            continue
        conflicting = {label_id for label_id, value, holds in active if _conflicts(edit, value, holds)}
        replaced |= conflicting
        change.new.append(edit)
        change.replaced += bool(conflicting)
    change.removed = len(removed)
    change.ended = sorted(replaced | removed)
    return change


def _conflicts(edit: _Resolved, value: str, holds: bool) -> bool:
    """Whether an active label excludes a new one of the same location."""
    if value == edit.value:
        return holds != edit.holds
    return bool(edit.holds) and holds


def _describe(resolved: Sequence[_Resolved]) -> str:
    """One line for the history."""
    first = resolved[0]
    verb = "remove" if first.holds is None else "label"
    name = f"{shortened(first.tag)}: {shortened(first.value)}" if first.value else shortened(first.tag)
    text = name if first.holds in (None, True) else f"not {name}"
    others = len({(edit.tag, edit.value, edit.holds) for edit in resolved}) - 1
    return f"{verb} {text}" + (f" and {others:,} more" if others else "")


def _new_action(connection: Connection, what: str, source: str) -> int:
    row = insert(label_actions).values(what=what, source=source, done_s=time.time())
    key = connection.execute(row).inserted_primary_key
    assert key is not None
    return int(key[0])


# -- history ----------------------------------------------------------------------------------------


def list_actions(connection: Connection, limit: int) -> list[LabelAction]:
    """The latest actions, newest first."""
    query = select(label_actions).order_by(label_actions.c.id.desc()).limit(whole(limit, "the limit"))
    return [_action_record(connection, row) for row in connection.execute(query).all()]


def _action_record(connection: Connection, row: Row[tuple[object, ...]]) -> LabelAction:
    count = select(func.count()).select_from(labels)
    touched = count.where((labels.c.set_by == row.id) | (labels.c.ended_by == row.id))
    return LabelAction(
        number=row.id,
        what=row.what,
        source=row.source,
        labels=int(connection.execute(touched).scalar_one()),
        done_s=row.done_s,
        undone_s=row.undone_s,
    )


def undo_action(connection: Connection, number: int | None) -> LabelAction:
    """Undo an action: the last one that was not undone yet, or the one of a number.

    Raises
    ------
    TagError
        If there is none, or a later action changed the same labels.
    """
    columns = label_actions.c
    undoable = select(label_actions).where(columns.undone_s.is_(None))
    if number is None:
        row = connection.execute(undoable.order_by(columns.id.desc()).limit(1)).first()
        if row is None:
            raise TagError("nothing to undo: there is no change of labels that was not undone already")
    else:
        number = whole(number, "the number of a change", least=1)
        row = connection.execute(undoable.where(columns.id == number)).first()
        if row is None:
            raise TagError(f"no change {number} to undo; `midikin tags history` lists them")
    _check_no_later_change(connection, row.id)
    connection.execute(update(labels).where(labels.c.ended_by == row.id).values(ended_by=None))
    own = (labels.c.set_by == row.id) & labels.c.ended_by.is_(None)
    connection.execute(update(labels).where(own).values(ended_by=row.id))
    connection.execute(update(label_actions).where(columns.id == row.id).values(undone_s=time.time()))
    updated = connection.execute(select(label_actions).where(columns.id == row.id)).one()
    return _action_record(connection, updated)


def _check_no_later_change(connection: Connection, action: int) -> None:
    """Refuse to undo an action whose labels a later action changed."""
    own, later = labels.alias(), labels.alias()
    same_content = (own.c.tag_id == later.c.tag_id) & (own.c.sha256 == later.c.sha256)
    changed_later = later.c.set_by > action
    changed_later |= (later.c.ended_by > action) & (later.c.set_by <= action)
    undone = select(label_actions.c.id).where(label_actions.c.undone_s.is_not(None))
    not_undone = later.c.set_by.not_in(undone) & (
        later.c.ended_by.is_(None) | later.c.ended_by.not_in(undone)
    )
    touched = (own.c.set_by == action) | (own.c.ended_by == action)
    joined = own.join(later, same_content)
    query = select(func.max(later.c.set_by), func.max(later.c.ended_by)).select_from(joined)
    actions = connection.execute(query.where(touched, changed_later, not_undone)).one()
    latest = max((number for number in actions if number is not None), default=0)
    if latest > action:
        raise TagError(f"change {latest} changed the same labels as change {action}; undo {latest} first")
