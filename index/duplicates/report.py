"""Groups of duplicates as CSV, as an HTML page, and as a shell script for the user to review and run.

midikin itself removes nothing. In the script only what the user has decided is a command; what is merely
suggested is a comment.
"""

from __future__ import annotations

import csv
import io
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from embedder.core.text import count

from ..matching.classify import Kind
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
)


# -- CSV --------------------------------------------------------------------------------------------


def to_csv(groups: Iterable[DuplicateGroup]) -> str:
    """One row a file, in the order of the groups."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for group in groups:
        for member in group.members:
            link = group.best_link(member)
            for number, path in enumerate(member.paths):
                keep = member.piece_id == group.keeper and number == 0
                writer.writerow(
                    (
                        group.number,
                        group.kind.value,
                        _yes_or_no(group.resolved),
                        member.piece_id,
                        "keep" if keep else "",
                        path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
                        _cell(member.title or ""),
                        member.notes,
                        f"{member.end_s - member.start_s:.1f}",
                        _yes_or_no(number > 0 or (None if link is None else link.link.same_performance)),
                        group.describe(member) if number == 0 else "same bytes",
                    )
                )
    return text.getvalue()


def _cell(text: str) -> str:
    """Text from a file, which a spreadsheet would evaluate if it begins like a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _yes_or_no(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


# -- shell script -----------------------------------------------------------------------------------


def shell_script(groups: Sequence[DuplicateGroup]) -> bytes:
    """A script for a POSIX shell: commands for what was decided, comments for what is suggested."""
    lines = [
        b"#!/bin/sh",
        b"# Written by midikin, which never runs it. Read every line before you do.",
        b"# Commands are for pairs decided to be duplicates; suggestions are comments.",
        b"set -eu",
    ]
    removed = _decided_to_go(groups)
    listed: set[str] = set()
    for group in groups:
        lines += [b"", f"# group {group.number}, {group.kind.value}: keep piece {group.keeper}".encode()]
        lines += _commands(group, removed, listed)
    return b"\n".join(lines) + b"\n"


def _commands(group: DuplicateGroup, removed: set[int], listed: set[str]) -> Iterator[bytes]:
    """Lines of a group; files in `listed` have a command already, and those of the group are added."""
    for member in group.members:
        for number, path in enumerate(member.paths):
            command = b"rm -- " + os.fsencode(shlex.quote(path))
            further = number > 0  # another file with the same bytes
            if member.piece_id in removed:
                # A piece may be in several groups, but a script that stops at errors can remove it only once.
                name = member.displays[number].encode()
                yield command if path not in listed else b"# (see above: " + name + b")"
                listed.add(path)
            elif b"\n" in command or b"\r" in command:
                yield b"# (a file whose name has line breaks: " + member.displays[number].encode() + b")"
            elif further or (member.piece_id != group.keeper and group.kind is not Kind.CONTAINS):
                yield b"# " + command
            else:
                yield b"# keep " + os.fsencode(shlex.quote(path))


def _decided_to_go(groups: Iterable[DuplicateGroup]) -> set[int]:
    """Pieces decided to be duplicates of one that stays, or of one that is such a duplicate itself.

    What a decision keeps stays, and so do pieces that decisions call duplicates of each other in a cycle.
    """
    keepers: dict[int, set[int]] = {}
    kept: set[int] = set()
    for item in (link for group in groups for link in group.links):
        pair = {item.link.one, item.link.other}
        if item.verdict is Verdict.DUPLICATE and item.keeper is not None:
            for piece in pair - {item.keeper}:
                keepers.setdefault(piece, set()).add(item.keeper)
        elif item.verdict is Verdict.KEEP:
            kept |= pair
    candidates = keepers.keys() - kept
    removed: set[int] = set()
    while more := {piece for piece in candidates - removed if keepers[piece] - (candidates - removed)}:
        removed |= more
    return removed


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
    marks = [group.kind.value, "resolved" if group.resolved else "open"]
    if group.large:
        marks.append("unusually large: check its links")
    rows = "\n".join(_row(group, member) for member in group.members)
    by_id = {member.piece_id: member for member in group.members}
    with_keeper = [item for item in group.links if group.keeper in (item.link.one, item.link.other)]
    drawn = (with_keeper or list(group.links))[:_MAX_FIGURES]
    figures = "\n".join(_figure(item, by_id) for item in drawn)
    left = len(group.links) - len(drawn)
    more = f'<p class="why">and {count(left, "more link")}</p>' if left else ""
    return (
        f"<section><h2>Group {group.number}: {escape(', '.join(marks))}</h2>\n"
        f'<p class="why">Keep piece {group.keeper}: {escape(group.reason)}.</p>\n'
        '<table><tr><th>piece</th><th>file</th><th class="n">notes</th><th class="n">length</th></tr>\n'
        f"{rows}\n</table>\n{figures}\n{more}</section>"
    )


def _row(group: DuplicateGroup, member: Member) -> str:
    mark = ' class="keep"' if member.piece_id == group.keeper else ""
    files = "<br>".join(f"<code>{escape(name)}</code>" for name in member.displays)
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
