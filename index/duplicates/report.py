"""Duplicates as CSV and as a script of commands for the user to review and run.

midikin itself removes nothing. In the script only what the user has decided is a command; what midikin merely
suggests stands as comments.
"""

from __future__ import annotations

import csv
import io
import os
import shlex
from collections.abc import Iterable, Iterator

from ..matching.relations import Link
from .decisions import Verdict
from .duplicates import DuplicateGroup, Duplicates

__all__ = ["COLUMNS", "shell_script", "to_csv"]

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


def to_csv(found: Duplicates) -> str:
    """One line a file, in the order of the groups."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for group in found.groups:
        for member in group.members:
            link = group.best_link(member)
            for number, path in enumerate(member.paths):
                first = member.piece_id == group.keeper and number == 0
                writer.writerow(
                    (
                        group.number,
                        group.kind.value,
                        "yes" if group.settled else "no",
                        member.piece_id,
                        "keep" if first else "",
                        path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
                        _cell(member.title or ""),
                        member.notes,
                        f"{member.end_s - member.start_s:.1f}",
                        "yes" if number else _yes_or_no(link),
                        group.says(member) if number == 0 else "same bytes",
                    )
                )
    return text.getvalue()


def _cell(text: str) -> str:
    """Text from a file, which spreadsheets would compute if it begins like a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _yes_or_no(link: Link | None) -> str:
    if link is None:
        return ""
    return "yes" if link.same_performance else "no"


def shell_script(found: Duplicates) -> bytes:
    """A script for a POSIX shell: commands for what was decided, comments for what is suggested."""
    lines = [
        b"#!/bin/sh",
        b"# Written by midikin, which never runs it. Read every line before you do.",
        b"# Commands stand for pairs decided as duplicates; suggestions stand as comments.",
        b"set -eu",
    ]
    gone = _decided_against(found.groups)
    named: set[str] = set()
    for group in found.groups:
        lines += [b"", f"# group {group.number}, {group.kind.value}: keep piece {group.keeper}".encode()]
        lines += _commands(group, gone, named)
    return b"\n".join(lines) + b"\n"


def _commands(group: DuplicateGroup, gone: set[int], named: set[str]) -> Iterator[bytes]:
    """Lines of a group; `named` holds the files that have a command already, and gets more."""
    for member in group.members:
        for number, path in enumerate(member.paths):
            command = b"rm -- " + os.fsencode(shlex.quote(path))
            spare = number > 0  # further files with the same bytes
            if member.piece_id in gone:
                # A piece may be in several groups, but a script that stops at errors can remove it only once.
                name = member.displays[number].encode()
                yield command if path not in named else b"# (see above: " + name + b")"
                named.add(path)
            elif b"\n" in command or b"\r" in command:
                yield b"# (a file whose name has line breaks: " + member.displays[number].encode() + b")"
            elif spare or (member.piece_id != group.keeper and group.kind.value != "contains"):
                yield b"# " + command
            else:
                yield b"# keep " + os.fsencode(shlex.quote(path))


def _decided_against(groups: Iterable[DuplicateGroup]) -> set[int]:
    """Pieces that decisions call duplicates of one that stays, or of one that is a duplicate itself.

    What a decision keeps stays, and so do pieces that decisions call duplicates of each other in a ring.
    """
    keepers: dict[int, set[int]] = {}
    kept: set[int] = set()
    for one in (link for group in groups for link in group.links):
        pair = {one.link.one, one.link.other}
        if one.verdict is Verdict.DUPLICATE and one.keeper is not None:
            for piece in pair - {one.keeper}:
                keepers.setdefault(piece, set()).add(one.keeper)
        elif one.verdict is Verdict.KEEP:
            kept |= pair
    open_ones = keepers.keys() - kept
    gone: set[int] = set()
    while found := {piece for piece in open_ones - gone if keepers[piece] - (open_ones - gone)}:
        gone |= found
    return gone
