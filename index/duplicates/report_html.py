"""Duplicates as one HTML page that needs nothing else: groups, evidence, and the shared passages drawn."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from .duplicates import DuplicateGroup, DuplicateLink, Duplicates, Member

__all__ = ["to_html"]

_WIDTH, _BAR, _BETWEEN = 720, 14, 34
_DRAWN_LINKS = 12  # a group; a page of thousands of drawings would not open
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color:
#222; } h2 { margin: 2.2rem 0 .3rem; font-size: 1.1rem; } table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .2rem .6rem .2rem 0; } td.n, th.n { text-align: right; } tr.keep {
font-weight: 600; } .why, figcaption { color: #555; } figure { margin: .8rem 0; } svg { width: 100%; height:
auto; } code { overflow-wrap: anywhere; } @media (prefers-color-scheme: dark) { body { background: #16181c;
color: #ddd; } .why, figcaption { color: #aaa; } }
"""


def to_html(found: Duplicates) -> str:
    """The page."""
    body = "\n".join(_group(group) for group in found.groups) or "<p>Nothing occurs twice.</p>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>midikin: duplicates</title>'
        f"<style>{_STYLE}</style></head><body>\n<h1>Duplicates</h1>\n"
        f"<p>{found.pieces:,} pieces, {found.compared:,} pairs compared note by note, "
        f"{len(found.groups):,} groups. No file was touched.</p>\n{body}\n</body></html>\n"
    )


def _group(group: DuplicateGroup) -> str:
    marks = [group.kind.value, "settled" if group.settled else "open"]
    if group.large:
        marks.append("unusually large: look at its links")
    rows = "\n".join(_row(group, member) for member in group.members)
    by_id = {member.piece_id: member for member in group.members}
    with_keeper = [one for one in group.links if group.keeper in (one.link.one, one.link.other)]
    drawn = "\n".join(_figure(one, by_id) for one in (with_keeper or list(group.links))[:_DRAWN_LINKS])
    left = len(group.links) - min(_DRAWN_LINKS, len(with_keeper) or len(group.links))
    more = f'<p class="why">and {left} more links</p>' if left else ""
    return (
        f"<section><h2>Group {group.number}: {escape(', '.join(marks))}</h2>\n"
        f'<p class="why">Keep piece {group.keeper}: {escape(group.why)}.</p>\n'
        '<table><tr><th>piece</th><th>file</th><th class="n">notes</th><th class="n">length</th></tr>\n'
        f"{rows}\n</table>\n{drawn}\n{more}</section>"
    )


def _row(group: DuplicateGroup, member: Member) -> str:
    mark = ' class="keep"' if member.piece_id == group.keeper else ""
    files = "<br>".join(f"<code>{escape(name)}</code>" for name in member.displays)
    length = f"{member.end_s - member.start_s:.0f} s"
    return (
        f"<tr{mark}><td>{member.piece_id}</td><td>{files}</td>"
        f'<td class="n">{member.notes:,}</td><td class="n">{length}</td></tr>'
    )


def _figure(one: DuplicateLink, members: dict[int, Member]) -> str:
    link = one.link
    upper, lower = members[link.one], members[link.other]
    said = f"{link.one} and {link.other}: {link.kind.value} ({link.words}); {link.evidence}"
    if one.verdict is not None:
        said += f"; decided: {one.verdict.value}"
    shapes = "".join(_shapes(one, upper, lower))
    height = 2 * _BAR + _BETWEEN
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(said)}">{shapes}</svg>'
        f"<figcaption>{escape(said)}</figcaption></figure>"
    )


def _shapes(one: DuplicateLink, upper: Member, lower: Member) -> Iterator[str]:
    """Two bars to one scale, and a band for each passage that they share."""
    longest = max(upper.end_s - upper.start_s, lower.end_s - lower.start_s, 1e-6)
    scale = _WIDTH / longest
    floor = _BAR + _BETWEEN
    for top, member in ((0, upper), (floor, lower)):
        width = (member.end_s - member.start_s) * scale
        yield f'<rect x="0" y="{top}" width="{width:.1f}" height="{_BAR}" fill="#8884"/>'
    for span in one.link.evidence.passages:
        a, b = ((t - upper.start_s) * scale for t in (span.start_s, span.end_s))
        c, d = ((t - lower.start_s) * scale for t in (span.other_start_s, span.other_end_s))
        yield (
            f'<polygon points="{a:.1f},0 {b:.1f},0 {b:.1f},{_BAR} {d:.1f},{floor} {d:.1f},{floor + _BAR} '
            f'{c:.1f},{floor + _BAR} {c:.1f},{floor} {a:.1f},{_BAR}" fill="#3a7bd5" fill-opacity=".45"/>'
        )
