"""Groups of duplicates as CSV, as an HTML page, and as a shell script for the user to review and run.

midikin itself removes nothing. In the script only what the user has decided is a command; what is merely
suggested is a comment. Relatives, the versions of a work, have neither.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from embedder.core.table_files import format_table
from embedder.core.text import count

from ..matching import Relation
from .decisions import Verdict
from .records import DuplicateGroup, DuplicateLink, Member

__all__ = ["COLUMNS", "shell_script", "to_csv", "to_html"]

COLUMNS = (
    "group",
    "kind",
    "settled",
    "piece",
    "suggestion",
    "path",
    "title",
    "notes",
    "duration_s",
    "same_performance",
    "evidence",
    "relation",
    "file",
)


# -- CSV --------------------------------------------------------------------------------------------


def to_csv(groups: Iterable[DuplicateGroup]) -> str:
    """One row a file, in the order of the groups."""
    return format_table(
        COLUMNS,
        (
            _row_of_file(group, member, number)
            for group in groups
            for member in group.members
            for number in range(len(member.files))
        ),
    )


def _row_of_file(group: DuplicateGroup, member: Member, number: int) -> tuple[str | int, ...]:
    file, link = member.files[number], group.best_link(member)
    same = number > 0 or (None if link is None else link.link.same_performance)
    return (
        group.number,
        group.kind.value,
        _yes_or_no(group.resolved),
        member.piece_id,
        "keep" if member.piece_id == group.keeper and number == 0 else "",
        file.path,
        member.title or "",
        member.notes,
        f"{member.end_s - member.start_s:.1f}",
        _yes_or_no(same),
        group.describe(member) if number == 0 else "same bytes",
        group.relation.value,
        file.remark or "present",
    )


def _yes_or_no(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


# -- shell script -----------------------------------------------------------------------------------

_HEAD = b"""#!/bin/sh
# Written by midikin, which never runs it. Read every line before you do.
# Commands are for pairs decided to be duplicates; suggestions are comments.
set -eu
"""
_SPARE = r"""
hash_of() {
    if command -v sha256sum >/dev/null; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi | cut -c 1-64
}

# spare HASH FILE KEEPER_HASH KEEPER: HOW a file that another one makes dispensable. Nothing is done unless
# both are there, hold what they held when this was written, and are two files.
spare() {
    if [ ! -f "$2" ] || [ -L "$2" ]; then echo "skipped, it is no file any more: $2" >&2
    elif [ "$(hash_of "$2")" != "$1" ]; then echo "skipped, it has changed: $2" >&2
    elif [ ! -f "$4" ]; then echo "skipped, the file to keep is missing: $4" >&2
    elif [ "$(hash_of "$4")" != "$3" ]; then echo "skipped, the file to keep has changed: $4" >&2
    elif [ "$2" -ef "$4" ]; then echo "skipped, it is the file to keep: $2" >&2
    else
        ACTION
    fi
}
"""
_REMOVE = 'rm -- "$2"'
_MOVE = (
    'if [ -e "$folder$2" ]; then echo "skipped, there is one already: $folder$2" >&2; return; fi\n'
    '        mkdir -p -- "$(dirname -- "$folder$2")"\n'
    '        mv -- "$2" "$folder$2"'
)


def shell_script(groups: Sequence[DuplicateGroup], move_to: str | None = None) -> bytes:
    """A script for a POSIX shell: commands for what was decided, comments for what is suggested.

    Relatives are left out. A file has a command or a suggestion only if it is present and another one, that
    stays, is.

    Parameters
    ----------
    groups : as they are on disk now
    move_to : folder that files are moved to; they are removed if it is not given
    """
    duplicates = [group for group in groups if group.relation is Relation.DUPLICATES]
    members = {member.piece_id: member for group in groups for member in group.members}
    stays = _keepers_of_decided(groups)
    kept = _decided_to_stay(groups)
    listed: set[str] = set()
    lines: list[bytes] = []
    decided_elsewhere = [
        members[piece] for piece in sorted(stays) if not any(_holds(group, piece) for group in duplicates)
    ]
    for group in duplicates:
        title = f"# group {group.number}, {group.kind.value}: "
        title += "no file to keep" if group.keeper is None else f"keep piece {group.keeper}, {group.reason}"
        lines += [b"", title.encode()]
        for member in group.members:
            keeper = members.get(stays.get(member.piece_id, -1), group.keeper_member)
            if member.piece_id in kept:
                keeper = member
            lines += _member_lines(member, keeper, member.piece_id in stays, listed)
    if decided_elsewhere:
        lines += [b"", b"# decided, and in no group of duplicates"]
        for member in decided_elsewhere:
            lines += _member_lines(member, members[stays[member.piece_id]], True, listed)
    if not listed:
        return _HEAD + b"\n".join(lines) + b"\n"
    how, action = ("remove", _REMOVE) if move_to is None else ("move away", _MOVE)
    spare = _SPARE.replace("HOW", how).replace("ACTION", action).encode()
    folder = b"" if move_to is None else b"folder=" + os.fsencode(shlex.quote(move_to)) + b"\n"
    return _HEAD + folder + spare + b"\n".join(lines) + b"\n"


def _holds(group: DuplicateGroup, piece: int) -> bool:
    return any(member.piece_id == piece for member in group.members)


def _member_lines(member: Member, keeper: Member | None, decided: bool, listed: set[str]) -> Iterator[bytes]:
    """Lines for the files of a member; those that get a command or a suggestion are added to `listed`."""
    stays = keeper.present[0] if keeper is not None and keeper.present else None
    for file in member.files:
        name = file.display.encode()
        if file.remark:
            yield b"# (" + file.remark.encode() + b": " + name + b")"
        elif stays is None or keeper is None or file == stays:
            yield b"# keep " + name
        elif file.path in listed:
            # A piece may be in several groups, but its file can go only once.
            yield b"# (see above: " + name + b")"
        else:
            quoted = (os.fsencode(shlex.quote(path)) for path in (file.path, stays.path))
            hashes = (member.sha256.encode(), keeper.sha256.encode())
            command = b"spare %b %b %b %b" % (hashes[0], next(quoted), hashes[1], next(quoted))
            if decided:
                yield command
            elif b"\n" in command or b"\r" in command:
                yield b"# (a file whose name has line breaks: " + name + b")"
                continue
            else:
                yield b"# " + command
            listed.add(file.path)


def _decided_to_stay(groups: Iterable[DuplicateGroup]) -> set[int]:
    links = (link for group in groups for link in group.links)
    kept = (link.link for link in links if link.verdict is Verdict.KEEP)
    return {piece for link in kept for piece in (link.one, link.other)}


def _keepers_of_decided(groups: Sequence[DuplicateGroup]) -> dict[int, int]:
    """For each piece that was decided to be a duplicate, the piece that stays for it.

    A keeper may be a duplicate of another itself; the one at the end of such a chain stays. What a decision
    keeps stays, and so do pieces that decisions call duplicates of each other in a cycle.
    """
    keepers: dict[int, set[int]] = {}
    for item in (link for group in groups for link in group.links):
        if item.verdict is Verdict.DUPLICATE and item.keeper is not None:
            for piece in {item.link.one, item.link.other} - {item.keeper}:
                keepers.setdefault(piece, set()).add(item.keeper)
    candidates = keepers.keys() - _decided_to_stay(groups)
    stays: dict[int, int] = {}
    more = True
    while more:
        more = False
        for piece in sorted(candidates - stays.keys()):
            certain = sorted(k for k in keepers[piece] if k not in candidates or k in stays)
            if certain:
                stays[piece] = stays.get(certain[0], certain[0])
                more = True
    return stays


# -- HTML -------------------------------------------------------------------------------------------

_WIDTH, _BAR, _BETWEEN = 720, 14, 34
_MAX_FIGURES = 12  # a group; a page of thousands of drawings would not open
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color:
#222; } h2 { margin: 2.2rem 0 .3rem; font-size: 1.1rem; } table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .2rem .6rem .2rem 0; } td.n, th.n { text-align: right; } tr.keep {
font-weight: 600; } .why, figcaption { color: #555; } figure { margin: .8rem 0; } svg { width: 100%; height:
auto; } code { overflow-wrap: anywhere; } @media (prefers-color-scheme: dark) { body { background: #16181c;
color: #ddd; } .why, figcaption { color: #aaa; } }
"""


def to_html(groups: Sequence[DuplicateGroup], pieces: int, compared: int) -> str:
    """A page that needs nothing else: groups, evidence, and the shared passages drawn.

    Parameters
    ----------
    pieces : how many pieces were searched
    compared : how many pairs were compared
    """
    body = "\n".join(_section(group) for group in groups) or "<p>Nothing occurs twice.</p>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>midikin: duplicates</title>'
        f"<style>{_STYLE}</style></head><body>\n<h1>Duplicates</h1>\n"
        f"<p>{count(pieces, 'piece')}, {count(compared, 'pair')} compared note by note, "
        f"{count(len(groups), 'group')}. No file was touched.</p>\n{body}\n</body></html>\n"
    )


def _section(group: DuplicateGroup) -> str:
    marks = [group.relation.value, group.kind.value, "resolved" if group.resolved else "open"]
    if group.large:
        marks.append("unusually large: check its links")
    rows = "\n".join(_row(group, member) for member in group.members)
    by_id = {member.piece_id: member for member in group.members}
    centre = group.members[0].piece_id
    with_keeper = [item for item in group.links if centre in (item.link.one, item.link.other)]
    drawn = (with_keeper or list(group.links))[:_MAX_FIGURES]
    figures = "\n".join(_figure(item, by_id) for item in drawn)
    left = len(group.links) - len(drawn)
    more = f'<p class="why">and {count(left, "more link")}</p>' if left else ""
    return (
        f"<section><h2>Group {group.number}: {escape(', '.join(marks))}</h2>\n"
        f'<p class="why">{escape(_advice(group))}.</p>\n'
        '<table><tr><th>piece</th><th>file</th><th class="n">notes</th><th class="n">length</th></tr>\n'
        f"{rows}\n</table>\n{figures}\n{more}</section>"
    )


def _advice(group: DuplicateGroup) -> str:
    if group.relation is Relation.RELATIVES:
        return "Versions of one work: all of them stay"
    if group.keeper is None:
        return f"Nothing is suggested: {group.reason}"
    return f"Keep piece {group.keeper}: {group.reason}"


def _row(group: DuplicateGroup, member: Member) -> str:
    mark = ' class="keep"' if member.piece_id == group.keeper else ""
    files = "<br>".join(
        f"<code>{escape(file.display)}</code>" + (f" ({escape(file.remark)})" if file.remark else "")
        for file in member.files
    )
    length = f"{member.end_s - member.start_s:.0f} s"
    return (
        f"<tr{mark}><td>{member.piece_id}</td><td>{files}</td>"
        f'<td class="n">{member.notes:,}</td><td class="n">{length}</td></tr>'
    )


def _figure(item: DuplicateLink, members: dict[int, Member]) -> str:
    link = item.link
    caption = f"{link.one} and {link.other}: {link.kind.value} ({link.label}); {link.evidence}"
    if item.verdict is not None:
        caption += f"; decided: {item.verdict.value}"
    shapes = "".join(_shapes(item, members[link.one], members[link.other]))
    height = 2 * _BAR + _BETWEEN
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(caption)}">{shapes}'
        f"</svg><figcaption>{escape(caption)}</figcaption></figure>"
    )


def _shapes(item: DuplicateLink, upper: Member, lower: Member) -> Iterator[str]:
    """Two bars to one scale, and a band for each passage that they share."""
    longest = max(upper.end_s - upper.start_s, lower.end_s - lower.start_s, 1e-6)
    scale = _WIDTH / longest
    floor = _BAR + _BETWEEN
    for top, member in ((0, upper), (floor, lower)):
        width = (member.end_s - member.start_s) * scale
        yield f'<rect x="0" y="{top}" width="{width:.1f}" height="{_BAR}" fill="#8884"/>'
    for span in item.link.evidence.passages:
        a, b = ((t - upper.start_s) * scale for t in (span.start_s, span.end_s))
        c, d = ((t - lower.start_s) * scale for t in (span.other_start_s, span.other_end_s))
        yield (
            f'<polygon points="{a:.1f},0 {b:.1f},0 {b:.1f},{_BAR} {d:.1f},{floor} {d:.1f},{floor + _BAR} '
            f'{c:.1f},{floor + _BAR} {c:.1f},{floor} {a:.1f},{_BAR}" fill="#3a7bd5" fill-opacity=".45"/>'
        )
