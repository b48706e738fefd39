"""The page to walk on: a map of the library, what is near, and what was drawn around."""

from __future__ import annotations

import csv
import io

import streamlit as st

from index import Library, Piece

from . import state
from .cards import answer_card, facts, piece_head, title_of
from .components import numbers_of, piano_roll, piece_map
from .escaping import cell, clock
from .job_status import followed
from .map_colors import Colouring, by_composer, by_folder, by_group, by_key, by_tag, coloured
from .map_data import Outline, draw_anew, outline
from .navigation import go_to
from .tagging import tag_form
from .welcome import empty_here

__all__ = ["page"]

NEIGHBOURS = 8
LISTED = 500
GROWN = 3.0  # times as many pieces as the map was drawn for: it is offered anew
WAYS = {"folder": "Folder", "composer": "Composer", "key": "Key", "group": "Copies", "none": "Nothing"}


def page() -> None:
    """Browse."""
    st.title("Browse")
    with state.said_plainly():
        library = state.library()
        if not library.info().pieces:
            empty_here()
            return
        seen = outline()
        if seen is None:
            st.write("The map is being drawn, once for these pieces.")
            followed("map")
            return
        left, right = st.columns([5, 3], gap="medium")
        with left:
            focus = _focus(seen)
            chosen = _map(library, seen, focus)
            _remarks(seen)
        with right:
            if focus is None:
                st.info("Click a point to hear it and see what sounds like it.", icon=":material/ads_click:")
            else:
                _near(library, focus)
        if chosen:
            _chosen(library, [seen.pieces[place] for place in chosen])


def _focus(seen: Outline) -> int | None:
    """The piece of the address, if the library holds it."""
    written = st.query_params.get("piece", "")
    if not (written.isascii() and written.isdigit() and len(written) < 19):
        return None
    return int(written) if seen.place_of(int(written)) is not None else None


def _map(library: Library, seen: Outline, focus: int | None) -> list[int]:
    """The map and how it is coloured; the places of what was drawn around."""
    tags = {f"tag:{tag.name}": f"Tag: {tag.name}" for tag in library.tags()}
    ways = WAYS | tags
    way = st.query_params.get("colour", "folder")
    st.session_state["colour"] = way if way in ways else "folder"
    st.selectbox(
        "Colour by", ways, format_func=ways.__getitem__, key="colour", on_change=_recoloured, width=280
    )
    way = st.session_state["colour"]
    found = _colouring(library, seen, way)
    near = [hit.piece_id for hit in library.search(focus, NEIGHBOURS).results] if focus is not None else []
    result = piece_map(
        "map",
        seen.points,
        _opened,
        kind_of=found.kind_of,
        kinds=found.kinds,
        palette=found.palette,
        focus=focus,
        near=near,
        height=560,
    )
    places = (seen.place_of(number) for number in numbers_of(result.chosen))
    return [place for place in places if place is not None]


def _colouring(library: Library, seen: Outline, way: str) -> Colouring:
    """Colours; those that only a change of the library changes are found once."""
    if way not in ("folder", "composer", "key", "none"):
        return coloured(_words(library, seen, way))
    if way not in seen.colourings:
        seen.colourings[way] = coloured(_words(library, seen, way))
    return seen.colourings[way]


def _words(library: Library, seen: Outline, way: str) -> list[str | None]:
    if way == "folder":
        return by_folder(seen.pieces, seen.root)
    if way == "composer":
        return by_composer(seen.pieces)
    if way == "key":
        return by_key(seen.pieces)
    if way == "group":
        job = state.jobs().last("duplicates")
        if job is None or job.result is None:
            st.info("Copies are not known yet: look for them on the page of duplicates.")
            return [None] * len(seen.pieces)
        return by_group(seen.pieces, job.result)
    if way.startswith("tag:"):
        name = way.removeprefix("tag:")
        predicted = {
            one.piece_id: one.value for one in library.probes.predictions(name, limit=len(seen.pieces))
        }
        return by_tag(seen.pieces, library.tags.labels(name), predicted)
    return [None] * len(seen.pieces)


def _recoloured() -> None:
    st.query_params["colour"] = st.session_state["colour"]


def _opened() -> None:
    number = st.session_state["map"].opened
    if isinstance(number, int | float):
        _walk_to(int(number))


def _walk_to(number: int) -> None:
    before = st.query_params.get("piece")
    if before and before != str(number):
        st.session_state.setdefault("walk", []).append(before)
    st.query_params["piece"] = str(number)


def _step_back() -> None:
    st.query_params["piece"] = st.session_state["walk"].pop()


def _near(library: Library, focus: int) -> None:
    """The piece in focus, its sound, and what sounds like it."""
    piece = library.piece(focus)
    notes = state.music(focus).notes
    with st.container(horizontal=True):
        if st.session_state.get("walk"):
            st.button("Back", icon=":material/arrow_back:", on_click=_step_back, shortcut="Alt+B")
        st.button("Search with this", icon=":material/search:", on_click=_search, args=(focus,))
    with st.container(border=True, gap="xsmall", height=620):
        piece_head(title_of(piece), piece.display, piece.id, lines=[facts(piece.descriptors)])
        piano_roll(f"focus-{focus}", notes, name=title_of(piece))
        st.subheader("Nearest")
        for hit in library.search(focus, NEIGHBOURS).results:
            answer_card(
                library,
                hit,
                (f"focus-{focus}", notes, (notes.start_s, notes.end_s)),
                key=f"near-{focus}-{hit.piece_id}",
                ask=_walk_to,
                ask_label="Walk there",
            )


def _search(number: int) -> None:
    go_to("search", piece=str(number))


def _remarks(seen: Outline) -> None:
    if len(seen.pieces) > GROWN * seen.drawn_for:
        st.caption(
            f"The map was drawn when the library held {seen.drawn_for:,} pieces; newer ones stand beside "
            "what they sound like. Drawn anew it is clearer, and every piece gets another place."
        )
        st.button("Draw the map anew", on_click=draw_anew, icon=":material/refresh:")


def _chosen(library: Library, pieces: list[Piece]) -> None:
    """What was drawn around: to look at, to tag, to take away."""
    with st.container(border=True, gap="xsmall"):
        st.subheader(f"{len(pieces):,} pieces chosen")
        table = {
            "number": [piece.id for piece in pieces[:LISTED]],
            "title": [piece.title or "" for piece in pieces[:LISTED]],
            "file": [piece.display for piece in pieces[:LISTED]],
            "key": [piece.descriptors.key for piece in pieces[:LISTED]],
            "length": [clock(piece.descriptors.duration_s) for piece in pieces[:LISTED]],
        }
        st.dataframe(table, hide_index=True, height=min(420, 60 + 35 * len(pieces)))
        if len(pieces) > LISTED:
            st.caption(f"The first {LISTED:,}; the file to download has them all.")
        st.download_button(
            "CSV",
            _csv(pieces),
            "midikin-chosen.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="All chosen pieces as a table",
        )
        tag_form(library, [piece.id for piece in pieces], key="chosen")


def _csv(pieces: list[Piece]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("piece", "title", "path", "key", "duration_s", "notes"))
    for piece in pieces:
        about = piece.descriptors
        row = (piece.id, piece.title, piece.display, about.key, f"{about.duration_s:.1f}", about.notes)
        writer.writerow([cell(value) for value in row])
    return text.getvalue()
