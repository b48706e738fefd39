"""The map: the library as a landscape to move in, with a piece, a selection or a path beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import streamlit as st

from embedder.core.text import count
from index import Library, Piece

from .. import state
from ..cards import facts, piece_row, result_rows, similarity, title_of
from ..catalog import catalog
from ..collection_store import collection_form
from ..components import numbers_of, piece_map, piece_rows
from ..escaping import cell, plain
from ..job_status import job_progress
from ..map_colors import Colouring, by_composer, by_folder, by_group, by_key, by_tag, coloured
from ..map_data import MapView, cluster_labels, map_view, path_between, redraw
from ..navigation import go_to, set_title
from ..visitors import remote
from .tag_form import tag_form
from .welcome import empty_library

__all__ = ["moved_page", "page"]

NEIGHBOURS = 8
MAX_LISTED = 200
GROWTH = 3.0  # times as many pieces as the map was computed for: a new one is offered
COLOURS = {
    "folder": "Folder",
    "composer": "Composer",
    "key": "Key",
    "similar": "Similarity",
    "group": "Duplicates",
    "none": "Nothing",
}


def moved_page() -> None:
    """The map's address of earlier versions."""
    go_to("map", **st.query_params.to_dict())
    st.rerun()


def page() -> None:
    """Map."""
    with state.errors_shown():
        library = state.library()
        with st.container(key="sr"):
            st.title("Map")
        if not library.info().pieces:
            empty_library()
            return
        view = map_view()
        if view is None:
            st.write("The map is being computed, once for these pieces.")
            job_progress("map")
            return
        focus = _focus(view)
        set_title("" if focus is None else title_of(focus), "Map")
        chosen = _map(library, view, focus)
        with st.container(key="map-panel", gap="small"):
            _panel(library, view, focus, chosen)


def _focus(view: MapView, name: str = "piece") -> int | None:
    """The piece of the address, if it is on the map."""
    text = st.query_params.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        return None
    return int(text) if int(text) in view else None


def _map(library: Library, view: MapView, focus: int | None) -> list[int]:
    """The map with its controls; the numbers of the pieces inside the lasso."""
    options = COLOURS | {f"tag:{tag.name}": f"Tag: {tag.name}" for tag in library.tags()}
    colour = st.query_params.get("colour", "folder")
    st.session_state["colour"] = colour if colour in options else "folder"
    with st.container(key="map-controls", horizontal=True, vertical_alignment="center", gap="small"):
        text = st.text_input(
            "Search on the map",
            key="map-search",
            placeholder="Search on the map",
            label_visibility="collapsed",
            width=190,
            icon=":material/search:",
            max_chars=200,
        )
        st.selectbox(
            "Colour by",
            options,
            format_func=options.__getitem__,
            key="colour",
            on_change=_recoloured,
            width=170,
            label_visibility="collapsed",
        )
    colour = st.session_state["colour"]
    colours = _colouring(library, view, colour, focus)
    near = [hit.piece_id for hit in library.search(focus, NEIGHBOURS).results] if focus is not None else []
    target = _focus(view, "to")
    path = path_between(library, focus, target) if focus is not None and target is not None else []
    matches = None
    if text.strip():
        matches = [
            view.names.pieces[row].id for row in view.names.find(text, len(view.rows)) if row < len(view.rows)
        ]
    result = piece_map(
        "map",
        view.points,
        _opened,
        kind_of=colours.kind_of,
        kinds=colours.kinds,
        palette=colours.palette,
        focus=focus,
        near=[] if path else near,
        labels=cluster_labels(view, _by_folder(view)),
        matches=matches,
        path=path,
    )
    return [number for number in numbers_of(result.chosen) if number in view]


def _by_folder(view: MapView) -> list[str | None]:
    return by_folder([view.names.pieces[row] for row in view.rows], view.names.root)


def _colouring(library: Library, view: MapView, colour: str, focus: int | None) -> Colouring:
    """Colours; those that only a change of the library changes are computed once."""
    if colour not in ("folder", "composer", "key", "none"):
        return coloured(_words(library, view, colour, focus))
    if colour not in view.colourings:
        view.colourings[colour] = coloured(_words(library, view, colour, focus))
    return view.colourings[colour]


def _words(library: Library, view: MapView, colour: str, focus: int | None) -> Sequence[str | None]:
    pieces = [view.names.pieces[row] for row in view.rows]
    if colour == "folder":
        return by_folder(pieces, view.names.root)
    if colour == "composer":
        return by_composer(pieces)
    if colour == "key":
        return by_key(pieces)
    if colour == "similar" and focus is not None:
        hits = library.search(focus, len(pieces), include_self=True).results
        word = {hit.piece_id: similarity(hit.score)[1] for hit in hits}
        return [word.get(piece.id) for piece in pieces]
    if colour == "group":
        job = state.jobs().last("duplicates")
        if job is not None and job.result is not None:
            return by_group(pieces, job.result)
        st.toast("Duplicates are not known yet: scan for them on the page Duplicates.")
    if colour.startswith("tag:"):
        name = colour.removeprefix("tag:")
        predicted = {one.piece_id: one.value for one in library.probes.predictions(name, limit=len(pieces))}
        return by_tag(pieces, library.tags.labels(name), predicted)
    return [None] * len(pieces)


def _recoloured() -> None:
    st.query_params["colour"] = st.session_state["colour"]


def _opened() -> None:
    number = st.session_state["map"].opened
    if isinstance(number, int | float):
        _move_to(int(number))


def _move_to(number: int) -> None:
    before = st.query_params.get("piece")
    if st.session_state.get("path-from") and before:
        st.session_state.pop("path-from")
        st.query_params["to"] = str(number)
        return
    if before and before != str(number):
        st.session_state.setdefault("walk", []).append(before)
    st.query_params.pop("to", None)
    st.query_params["piece"] = str(number)


def _step_back() -> None:
    st.query_params.pop("to", None)
    st.query_params["piece"] = st.session_state["walk"].pop()


# -- the panel -------------------------------------------------------------------------------------------


def _panel(library: Library, view: MapView, focus: int | None, chosen: list[int]) -> None:
    """What is beside the map: the selection, a path, or a piece."""
    target = _focus(view, "to")
    if chosen:
        _selection(library, view, chosen)
    elif focus is not None and target is not None:
        _path(library, focus, target)
    elif focus is not None:
        _piece(library, focus)
    else:
        st.subheader("Similar pieces lie close together")
        st.caption(
            "Click a point to hear it and see what sounds similar. Draw around pieces with the lasso "
            "to play, tag "
            "or collect them."
        )
        _remarks(view)


def _piece(library: Library, focus: int) -> None:
    piece = library.piece(focus)
    st.subheader(plain(title_of(piece)))
    st.caption(plain(facts(piece.descriptors)))
    with st.container(horizontal=True, gap="small"):
        if st.session_state.get("walk"):
            st.button(
                "Back", icon=":material/arrow_back:", on_click=_step_back, shortcut="Alt+B", type="tertiary"
            )
        st.button(
            "Find similar", on_click=go_to, args=("search",), kwargs={"piece": str(focus)}, type="primary"
        )
        st.button("Open piece", on_click=go_to, args=("piece",), kwargs={"id": str(focus)})
    if st.session_state.get("path-from"):
        st.info("Click the piece that the path leads to.", icon=":material/route:")
    else:
        st.button("Path from here…", icon=":material/route:", on_click=_path_begun, type="tertiary")
    _own_row(piece)
    st.subheader("Nearest")
    rows = result_rows(library.search(focus, NEIGHBOURS).results, piece.descriptors)
    key = "map-near"
    piece_rows(
        key,
        {
            "name": str(focus),
            "mode": "hits",
            "rows": rows,
            "label": "Nearest",
            "plain": True,
            "total": len(rows),
            "asks": True,
            "queue": True,
        },
        similar=lambda: _go_near(key),
    )


def _own_row(piece: Piece) -> None:
    row = piece_row(piece.id, piece.descriptors, piece.display)
    piece_rows(
        "map-own",
        {
            "name": str(piece.id),
            "mode": "library",
            "rows": [row],
            "label": "This piece",
            "plain": True,
            "total": 1,
            "sort": None,
        },
    )


def _go_near(key: str) -> None:
    number = getattr(st.session_state[key], "similar", None)
    if isinstance(number, int | float):
        _move_to(int(number))


def _path_begun() -> None:
    st.session_state["path-from"] = True


def _path(library: Library, first: int, last: int) -> None:
    numbers = path_between(library, first, last)
    st.subheader(f"From {plain(title_of(first))} to {plain(title_of(last))}")
    pieces = [library.piece(number) for number in numbers]
    minutes = sum(piece.descriptors.duration_s for piece in pieces) / 60
    st.caption(f"{count(len(pieces), 'piece')}, each near the one before. About {minutes:.0f} minutes.")
    with st.container(horizontal=True, gap="small"):
        st.button("Reverse", on_click=_reversed, args=(first, last), type="tertiary")
        st.button("Leave the path", on_click=_left, type="tertiary")
    _listed(pieces, key="map-path", name=f"{first}-{last}")
    collection_form(numbers, key="path", name=f"{title_of(first)} to {title_of(last)}"[:60])


def _reversed(first: int, last: int) -> None:
    st.query_params.update({"piece": str(last), "to": str(first)})


def _left() -> None:
    st.query_params.pop("to", None)


def _listed(pieces: Sequence[Piece], *, key: str, name: str) -> None:
    rows = [piece_row(piece.id, piece.descriptors, piece.display) for piece in pieces[:MAX_LISTED]]
    piece_rows(
        key,
        {
            "name": name,
            "mode": "library",
            "rows": rows,
            "label": "Pieces",
            "total": len(pieces),
            "sort": None,
            "queue": True,
        },
    )


def _selection(library: Library, view: MapView, chosen: list[int]) -> None:
    """What is inside the lasso: to look at, to tag, to collect, to export."""
    pieces = [view.names.pieces[row] for number in chosen if (row := view.names.row_of(number)) is not None]
    st.subheader(f"{count(len(pieces), 'piece')} chosen")
    st.download_button(
        "Export",
        _csv(pieces),
        "midikin-chosen.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
        help="All chosen pieces as a table (CSV)",
    )
    tag_form(library, [piece.id for piece in pieces], key="chosen")
    collection_form([piece.id for piece in pieces], key="chosen")
    _listed(pieces, key="map-chosen", name="chosen")
    if len(pieces) > MAX_LISTED:
        st.caption(f"The first {MAX_LISTED:,} of {len(pieces):,}; the table has them all.")


def _remarks(view: MapView) -> None:
    if len(view.rows) > GROWTH * view.drawn_for:
        st.caption(
            f"The map was computed when the library held {count(view.drawn_for, 'piece')}; newer ones "
            f"stand beside "
            "what they are similar to. A new map is clearer, and every piece gets another place."
        )
        st.button("Compute a new map", on_click=redraw, icon=":material/refresh:")


def _csv(pieces: Sequence[Piece]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("piece", "title", "path", "key", "duration_s", "notes"))
    names = catalog()
    for piece in pieces:
        about = piece.descriptors
        path = names.path(piece) if remote() else piece.display
        row = (piece.id, piece.title, path, about.key, f"{about.duration_s:.1f}", about.notes)
        writer.writerow([cell(value) for value in row])
    return text.getvalue()
