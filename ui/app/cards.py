"""Answers as cards: what it is, how near, what it shares, and its sound; and the same as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

import streamlit as st

from embedder.core.errors import MidikinError
from embedder.notes import Notes
from index import Found, Hit, Library, Piece

from . import state
from .components import pair_of_rolls, piano_roll
from .escaping import cell, clock, decimals, file_name, plain

if TYPE_CHECKING:
    from embedder import Descriptors

__all__ = ["Part", "answer_card", "answers_csv", "comparison", "facts", "piece_head", "title_of"]

Part = tuple[float, float]


def title_of(piece: Piece | Hit | Found) -> str:
    """What a piece is called: its title, or the name of its file."""
    return piece.title or file_name(piece.display)


def facts(descriptors: Descriptors) -> str:
    """What can be told about a piece in a line."""
    said = [
        f"{descriptors.key}" + ("" if descriptors.key_confidence >= 0.5 else " (unsure)"),
        clock(descriptors.duration_s),
        f"{descriptors.notes:,} notes",
        decimals(descriptors.density, 1, " a second"),
    ]
    if descriptors.tempo_bpm:
        said.append(decimals(descriptors.tempo_bpm, 0, " beats a minute"))
    return " · ".join(said)


def piece_head(
    title: str,
    display: str,
    number: int | None,
    *,
    badge: str = "",
    rank: int | None = None,
    lines: Iterable[str] = (),
) -> None:
    """Title, badge, path and further lines: one element, for a page shows many and each costs time."""
    first = f"**{f'{rank}. ' if rank else ''}{plain(title)}**"
    if badge:
        first += f" :green-badge[{plain(badge)}]"
    where = plain(display) + (f" · \\#{number}" if number is not None else "")
    small = [where, *map(plain, lines)]
    st.markdown("  \n".join([first, *(f":small[:gray[{line}]]" for line in small)]))


def answer_card(
    library: Library,
    answer: Hit | Found,
    query: tuple[str, Notes, Part],
    *,
    key: str,
    ask: Callable[[int], None],
    ask_label: str = "Ask with this",
    show_on_map: Callable[[int], None] | None = None,
) -> None:
    """One answer, with its sound, and the ways on from it.

    Parameters
    ----------
    query : what was asked about: the key of its roll on this page, its notes, and the part that was meant
    ask, show_on_map : called with the piece's number if the visitor wants to go there
    """
    number = answer.piece_id
    music = state.music(number)
    with st.container(border=True, gap="xsmall", key=f"card-{key}"):
        piece_head(
            title_of(answer),
            answer.display,
            number,
            badge=_score(answer),
            rank=answer.rank,
            lines=(facts(music.descriptors), *_shared(answer)),
        )
        notes = music.notes
        span = (answer.start_s, answer.end_s)
        whole = span[0] <= notes.start_s + 0.01 and span[1] >= notes.end_s - 0.01
        there = (answer.query_start_s, answer.query_end_s) if isinstance(answer, Found) else query[2]
        piano_roll(
            f"roll-{key}",
            notes,
            name=title_of(answer),
            span=None if whole else span,
            other=(query[0], there),
        )
        with st.container(horizontal=True, gap="small"):
            st.button(ask_label, key=f"ask-{key}", on_click=ask, args=(number,), icon=":material/search:")
            if show_on_map:
                st.button(
                    "On the map",
                    key=f"map-{key}",
                    on_click=show_on_map,
                    args=(number,),
                    icon=":material/map:",
                )
            beside = st.toggle("Side by side", key=f"beside-{key}", help="Where the notes of the two agree")
        if beside:
            comparison(library, query[1], number, key=f"pair-{key}")


def _score(answer: Hit | Found) -> str:
    if isinstance(answer, Found):
        return f"{answer.confidence:.0%} sure"
    return f"{answer.score:.3f} alike"


def _shared(answer: Hit | Found) -> list[str]:
    """What the answer shares with the query, in plain words."""
    span = f"{clock(answer.start_s)} to {clock(answer.end_s)}"
    if isinstance(answer, Found):
        said = [f"{span}: holds {answer.matched:.0%} of the notes asked for"]
        if answer.transposition:
            up = "higher" if answer.transposition > 0 else "lower"
            said.append(f"the query sounds {abs(answer.transposition)} semitones {up}")
        if abs(answer.tempo_ratio - 1) > 0.03:
            said.append(f"the query is {answer.tempo_ratio:.2f} times as fast")
        return ["; ".join(said)]
    return [f"Shares: {'; '.join(answer.shared)}"] if answer.shared else []


def comparison(library: Library, one: Notes | int, other: int, *, key: str) -> None:
    """Two pieces side by side: A above, B below."""
    try:
        found = library.compare(one, other)
    except MidikinError as error:
        st.info(plain(error))
        return
    shift = found.comparison.transposition
    says = found.says + (f", {shift:+d} semitones" if shift else "")
    if not found.comparison.one.passages:
        st.info(f"The notes of the two agree nowhere: {plain(says)}.")
        return
    st.caption(
        f"A above, B below: {plain(says)}. Bands join what agrees; {len(found.only_one)} notes of A and "
        f"{len(found.only_other)} of B within it, marked red, have no counterpart."
    )
    pair_of_rolls(
        key,
        library.notes(one) if isinstance(one, int) else one,
        library.notes(other),
        passages=[(p.knots_s.tolist(), p.other_knots_s.tolist()) for p in found.comparison.one.passages],
        only_one=[(note.onset_s, note.pitch) for note in found.only_one],
        only_other=[(note.onset_s, note.pitch) for note in found.only_other],
        alt=f"Two piano rolls, A above B: {found.says}; {len(found.comparison.one.passages)} passages "
        f"shared, {len(found.only_one) + len(found.only_other)} differing notes. Space plays A, arrows move.",
    )


def answers_csv(answers: Iterable[Hit | Found]) -> str:
    """Answers as a table for spreadsheets."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names: list[str] = []
    for answer in answers:
        found = isinstance(answer, Found)
        row = {
            "rank": answer.rank,
            "piece": answer.piece_id,
            "score": f"{answer.confidence if found else answer.score:.4f}",
            "start_s": f"{answer.start_s:.2f}",
            "end_s": f"{answer.end_s:.2f}",
            "title": answer.title,
            "path": answer.display,
            "shared": "; ".join(_shared(answer)),
            **asdict(state.music(answer.piece_id).descriptors),
        }
        if not names:
            names = list(row)
            writer.writerow(names)
        writer.writerow([cell(row[name]) for name in names])
    return text.getvalue()
