"""The page of a piece: its sound, its facts, and what it is similar to, a version of, and tagged as."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from embedder.core.errors import MidikinError
from index import Library, Piece

from .. import state
from ..api import base_path
from ..cards import result_rows, title_of
from ..catalog import catalog
from ..components import piece_rows, roll_sheet
from ..escaping import clock, key_name, plain
from ..map_colors import composer_of
from ..navigation import go_to, set_title
from .review import pairs_of
from .tag_form import tag_form

__all__ = ["page"]

SIMILAR = 4


def page() -> None:
    """A piece of the library."""
    with state.errors_shown():
        library = state.library()
        text = st.query_params.get("id", "")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
        try:
            piece = library.piece(number)
        except MidikinError:
            set_title("No such piece")
            st.title("No such piece")
            st.error(
                f"There is no piece {plain(text[:20] or 'without a number')} in this library. It may "
                f"have been "
                "removed. Search by name.",
                icon=":material/link_off:",
            )
            st.button("Go to Search", type="primary", on_click=go_to, args=("search",))
            return
        _draw(library, piece)


def _draw(library: Library, piece: Piece) -> None:
    title, names, music = title_of(piece), catalog(), state.music(piece.id)
    set_title(title)
    about = piece.descriptors
    with st.container(key="page-piece", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                "Back to search",
                on_click=go_to,
                args=("search",),
                type="tertiary",
                icon=":material/arrow_back:",
            )
            st.caption(plain(names.path(piece)), width="content")
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(gap=None, key="piece-title"):
                st.title(plain(title))
                composer = composer_of(piece)
                if composer:
                    st.caption(plain(composer))
            st.button(
                "Find similar",
                type="primary",
                icon=":material/graphic_eq:",
                on_click=go_to,
                args=("search",),
                kwargs={"piece": str(piece.id)},
            )
            st.button(
                "On the map",
                icon=":material/map:",
                on_click=go_to,
                args=("map",),
                kwargs={"piece": str(piece.id)},
            )
            if Path(piece.path).is_file():
                st.link_button("Download", f"{base_path()}/file/{piece.id}", icon=":material/download:")
        left, right = st.columns([74, 26], gap="medium")
        with left:
            _facts(piece, len(music.notes))
            key = f"piece-{piece.id}"
            chosen = st.session_state.get(f"range-{piece.id}")
            roll_sheet(
                key,
                music.notes,
                name=title,
                item=piece.id,
                mode="piece",
                facts=f"{key_name(about.key)} · {clock(about.duration_s)}",
                chosen=chosen,
                tempo=_tempo(music.notes),
                on_range=lambda: _chosen(key, piece.id),
            )
            if chosen:
                with st.container(horizontal=True, vertical_alignment="center", key="tools-passage"):
                    st.markdown(f"**{clock(chosen[0])} to {clock(chosen[1])} chosen**", width="content")
                    st.button(
                        "Find this passage",
                        icon=":material/graphic_eq:",
                        on_click=go_to,
                        args=("search",),
                        kwargs={
                            "piece": str(piece.id),
                            "from": f"{chosen[0]:.2f}",
                            "to": f"{chosen[1]:.2f}",
                            "way": "passages",
                        },
                    )
        with right:
            _similar(library, piece)
            _versions(piece)
            _tags(library, piece)


def _chosen(key: str, number: int) -> None:
    chosen = st.session_state[key].range
    st.session_state[f"range-{number}"] = None if chosen is None else sorted(float(s) for s in chosen[:2])


def _tempo(notes: object) -> list[tuple[float, float]]:
    """Changes of tempo, where notes have a tempo map."""
    tempo = getattr(notes, "tempo", None)
    second, bpm = getattr(tempo, "second", None), getattr(tempo, "bpm", None)
    if second is None or bpm is None:
        return []
    return [(float(s), float(b)) for s, b in zip(second, bpm, strict=True)][:2000]


def _facts(piece: Piece, notes: int) -> None:
    about = piece.descriptors
    facts = {
        "Key": key_name(about.key) + ("" if about.key_confidence >= 0.5 else " (unsure)"),
        "Tempo": f"{about.tempo_bpm:.0f} BPM" if about.tempo_bpm else "not stated",
        "Length": clock(about.duration_s),
        "Notes": f"{notes:,}",
        "Polyphony": f"{about.polyphony:.1f}",
        "Files": str(len(piece.paths)),
    }
    with st.container(horizontal=True, key="facts", gap="medium"):
        for name, value in facts.items():
            st.markdown(f":small[{name}]  \n**{plain(value)}**", width="content")


def _similar(library: Library, piece: Piece) -> None:
    with st.container(key="sheet-similar", gap="xsmall"):
        st.subheader("Sounds similar")
        hits = library.search(piece.id, SIMILAR).results
        if not hits:
            st.caption("This is the only piece of the library.")
            return
        rows = result_rows(hits, piece.descriptors)
        piece_rows(
            "piece-similar",
            {
                "name": str(piece.id),
                "mode": "hits",
                "rows": rows,
                "label": "Sounds similar",
                "plain": True,
                "total": len(rows),
            },
        )


def _versions(piece: Piece) -> None:
    """What the last scan for duplicates says about this piece."""
    job = state.jobs().last("duplicates")
    with st.container(key="sheet-versions", gap="xsmall"):
        st.subheader("Versions and duplicates")
        if job is None or job.result is None:
            st.caption("The library has not been scanned for duplicates.")
            st.button("Go to Duplicates", on_click=go_to, args=("duplicates",), type="tertiary")
            return
        pairs = [
            pair
            for pair in pairs_of(job.result, state.library().duplicates.decisions())
            if piece.id in (pair.keeper.piece_id, pair.other.piece_id)
        ]
        if not pairs:
            st.caption("There is no other version of this piece.")
        for pair in pairs:
            other = pair.other if pair.keeper.piece_id == piece.id else pair.keeper
            st.button(
                plain(title_of(other.piece_id)),
                key=f"version-{pair.name}",
                on_click=go_to,
                args=("duplicates",),
                kwargs={"pair": pair.name},
                type="tertiary",
                icon=":material/content_copy:",
            )
            st.caption(plain(pair.says) + ("" if pair.decision is None else " · decided"))


def _tags(library: Library, piece: Piece) -> None:
    with st.container(key="sheet-tags", gap="xsmall"):
        st.subheader("Tags")
        labels = [label for label in library.tags.labels(piece=piece.id) if label.start_s is None]
        badges = []
        for label in labels:
            value = label.value if label.value is not None else ("yes" if label.holds else "no")
            badges.append(
                f":green-badge[{plain(label.tag)}: "
                f"{'' if label.holds or label.value is None else 'not '}{plain(value)}]"
            )
        st.markdown(" ".join(badges) if badges else ":gray[No tags yet.]")
        tag_form(library, [piece.id], key=f"piece-{piece.id}")
