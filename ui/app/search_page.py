"""The page that answers: what sounds like this, and which piece is it from?"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

import streamlit as st

from embedder.core.errors import MidikinError
from embedder.notes import Notes
from index import FIELDS, Found, Hit, Library
from ui.cli.output import count

from . import state
from .cards import Part, answer_card, answers_csv, facts, piece_head, title_of
from .components import keyboard, piano_roll
from .escaping import clock, plain
from .navigation import go_to
from .note_codec import from_address, from_played, to_address
from .query_params import WAYS, Asked
from .uploads import MOST_BYTES, read_upload
from .welcome import welcome

__all__ = ["page"]

SOURCES = {"piece": "A piece of the library", "upload": "A file of mine", "played": "Something I play"}
CHOICES = 40  # pieces offered for a name
LONGEST_TRAIL = 50


def page() -> None:
    """Search."""
    st.title("Search")
    with state.said_plainly():
        library = state.library()
        if not library.info().pieces:
            welcome()
            return
        try:
            asked = Asked.from_address(st.query_params.to_dict())
        except MidikinError as error:
            st.error(plain(error), icon=":material/link_off:")
            st.button("Start over", on_click=st.query_params.clear)
            return
        _way_back()
        if asked.key:
            with st.expander("Ask with something else", icon=":material/search:", expanded=_refused()):
                _source(library, asked)
        else:
            _source(library, asked)
        if asked.key:
            _answer(library, asked)
        else:
            st.info(
                "Choose a piece, drop a file or play something: the answers come here.",
                icon=":material/hearing:",
            )
        state.warm_up(str(library.folder))


# -- the query -------------------------------------------------------------------------------------


def _go(asked: Asked, *, remember: bool = True) -> None:
    """Ask something else; the question before can be come back to."""
    before = st.query_params.to_dict()
    trail = st.session_state.setdefault("trail", [])
    if remember and before and before != asked.to_address():
        trail.append((st.session_state.get("asked_name", "the search before"), before))
        del trail[:-LONGEST_TRAIL]
    st.query_params.from_dict(asked.to_address())


def _way_back() -> None:
    trail = st.session_state.get("trail", [])
    if trail:
        st.button(
            f"Back to {plain(trail[-1][0])}", icon=":material/arrow_back:", on_click=_back, shortcut="Alt+B"
        )


def _back() -> None:
    _, params = st.session_state["trail"].pop()
    st.session_state.pop("source", None)
    st.query_params.from_dict(params)


def _now() -> Asked:
    return Asked.from_address(st.query_params.to_dict())


def _source(library: Library, asked: Asked) -> None:
    """Where the query comes from."""
    st.session_state.setdefault("source", asked.source)
    source = st.segmented_control(
        "Ask with", SOURCES, format_func=SOURCES.__getitem__, key="source", required=True
    )
    if source == "upload":
        dropped = st.file_uploader(
            f"A MIDI file, at most {MOST_BYTES // 2**20} MB; it is read, not kept",
            type=["mid", "midi", "smf", "kar", "rmi"],
            key="dropped",
            max_upload_size=MOST_BYTES // 2**20,
            on_change=_dropped,
        )
        if dropped is not None and "refused" in st.session_state:
            st.error(plain(st.session_state["refused"]), icon=":material/error:")
    elif source == "played":
        keyboard("keyboard", _played)
        if "refused_notes" in st.session_state:
            st.error(plain(st.session_state.pop("refused_notes")))
    else:
        _choose_piece(library)


def _refused() -> bool:
    """Whether what was given last could not be taken: the reason must be seen."""
    return "refused" in st.session_state or "refused_notes" in st.session_state


def _dropped() -> None:
    st.session_state.pop("refused", None)
    dropped = st.session_state["dropped"]
    if dropped is None:
        return
    try:
        key = state.uploads().keep(read_upload(dropped.name, dropped.getvalue()))
    except MidikinError as error:
        st.session_state["refused"] = str(error)
        return
    _go(_now().about("upload", key))


def _played() -> None:
    try:
        notes = from_played(st.session_state["keyboard"].played)
    except MidikinError as error:
        st.session_state["refused_notes"] = str(error)
        return
    _go(_now().about("played", to_address(notes.from_zero())))


def _choose_piece(library: Library) -> None:
    """A name typed, and the pieces that bear it."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed = st.text_input(
            "Part of its name, title or folder, or its number",
            key="typed",
            placeholder="nocturne, #12",
            max_chars=200,
        )
        st.button(
            "Any piece", icon=":material/casino:", on_click=_any_piece, help="Ask with a piece drawn by lot"
        )
    if not typed.strip():
        return
    found = _pieces_called(library, typed.strip())
    if not found:
        st.info(f"No piece is called anything like {plain(typed)}.")
        return
    names = {piece.id: f"{title_of(piece)} — {piece.display} (#{piece.id})" for piece in found}
    st.selectbox(
        f"{len(found)} pieces"
        if len(found) < CHOICES
        else f"The first {CHOICES} pieces; type more of the name",
        [None, *names],
        format_func=lambda number: "Choose one" if number is None else names[number],
        key="picked",
        on_change=_picked,
    )


def _pieces_called(library: Library, typed: str) -> list:
    digits = typed.removeprefix("#")
    if digits.isascii() and digits.isdigit():
        try:
            return [library.piece(int(digits[:18]))]
        except MidikinError:
            if typed.startswith("#"):
                return []
    from index import Filters, Term

    both = [Filters((Term(field, "~", typed),)) for field in ("path", "title")]
    found = {piece.id: piece for filters in both for piece in library.pieces(filters, limit=CHOICES)}
    return list(found.values())[:CHOICES]


def _picked() -> None:
    if st.session_state["picked"] is not None:
        _go(_now().about("piece", str(st.session_state["picked"])))


def _any_piece() -> None:
    numbers = [piece.id for piece in state.library().pieces(limit=1)]
    highest = state.library().info().pieces
    after = random.randrange(max(1, highest)) + numbers[0] - 1
    drawn = state.library().pieces(limit=1, after=after) or state.library().pieces(limit=1)
    _go(_now().about("piece", str(drawn[0].id)))


def _notes_of(library: Library, asked: Asked) -> tuple[Notes, str, str]:
    """Notes, name and a line about the query.

    Raises
    ------
    MidikinError
        If it cannot be had any more.
    """
    if asked.number is not None:
        piece = library.piece(asked.number)
        return (
            state.music(piece.id).notes,
            title_of(piece),
            f"{piece.display} · #{piece.id} · {facts(piece.descriptors)}",
        )
    from embedder import describe

    if asked.source == "upload":
        upload = state.uploads().find(asked.key)
        if upload is None:
            from embedder.core.errors import MidiError

            raise MidiError("the file of this address is no longer held; drop it again")
        told = f"{upload.name} · {facts(describe(upload.notes, upload.tempo_bpm))}"
        return upload.notes, upload.title or upload.name, told
    notes = from_address(asked.key)
    return notes, "what you played", facts(describe(notes))


# -- the answer ------------------------------------------------------------------------------------


def _answer(library: Library, asked: Asked) -> None:
    notes, name, told = _notes_of(library, asked)
    st.session_state["asked_name"] = name
    chosen = _part(asked, notes)
    with st.container(border=True, gap="xsmall", key="query"):
        piece_head(name, told, None, badge="the query")
        roll = f"query-{asked.source}-{asked.key[:40]}"
        piano_roll(
            roll,
            notes,
            name=name,
            chosen=chosen if (asked.start_s, asked.end_s) != (None, None) else None,
            choosing=True,
            height=112,
            on_range=lambda: _range_chosen(roll),
        )
        st.caption("Drag over the roll to ask about a part of it.")
    _controls(asked)
    query = asked.number if asked.number is not None else notes
    part = {"start_s": asked.start_s, "end_s": asked.end_s}
    with st.spinner("Searching …", show_time=False):
        answers: tuple[Hit, ...] | tuple[Found, ...]
        if asked.way == "music":
            found = library.find(
                query, asked.k, **part, filters=asked.filters, include_self=asked.number is None
            )
            answers, pieces = found.results, found.query.pieces
        else:
            result = library.search(
                query,
                asked.k,
                **part,
                passages=asked.way == "passages",
                filters=asked.filters,
                include_self=asked.number is None,
            )
            answers, pieces = result.results, result.query.pieces
    _results(library, asked, answers, (roll, notes, chosen), pieces)


def _part(asked: Asked, notes: Notes) -> Part:
    start = notes.start_s if asked.start_s is None else asked.start_s
    return start, notes.end_s if asked.end_s is None else asked.end_s


def _range_chosen(key: str) -> None:
    chosen = st.session_state[key].range
    if chosen is None:
        start_s = end_s = None
    else:
        start_s, end_s = sorted(max(0.0, float(s)) for s in chosen[:2])
    if start_s is None or start_s < end_s:
        _go(replace(_now(), start_s=start_s, end_s=end_s), remember=False)


def _controls(asked: Asked) -> None:
    """How to look, and among what. What they show comes from the address, and what is changed goes there."""
    st.session_state.update({"way": asked.way, "where": list(asked.filters), "k": asked.k})
    st.segmented_control(
        "Look for", WAYS, format_func=WAYS.__getitem__, key="way", on_change=_changed, required=True
    )
    with st.expander("Filters and number of answers", expanded=bool(asked.filters)):
        examples = [field.example for field in FIELDS]
        st.multiselect(
            "Only pieces with all of these",
            [*asked.filters, *(example for example in examples if example not in asked.filters)],
            key="where",
            accept_new_options=True,
            on_change=_changed,
            placeholder="type one: key=C minor",
            help="Type a condition and press Enter. "
            + "; ".join(f"{plain(f.name)}: {plain(f.help)}" for f in FIELDS),
        )
        st.number_input("Answers", 1, 100, key="k", on_change=_changed, step=10, width=160)


def _changed() -> None:
    state = st.session_state
    asked = replace(_now(), way=state["way"], filters=tuple(state["where"]), k=int(state["k"]))
    _go(asked, remember=False)


def _results(
    library: Library,
    asked: Asked,
    answers: tuple[Hit, ...] | tuple[Found, ...],
    query: tuple[str, Notes, Part],
    pieces: int,
) -> None:
    if not answers:
        if asked.filters and not pieces:
            st.info("No piece meets all of these filters. Take one away.", icon=":material/filter_alt_off:")
        elif asked.way == "music":
            st.info(
                f"This music is not here: none of {count(pieces, 'piece')} holds these notes.",
                icon=":material/search_off:",
            )
        else:
            st.info("The library holds nothing to compare with.", icon=":material/search_off:")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        span = f" for {clock(query[2][0])} to {clock(query[2][1])}" if asked.start_s or asked.end_s else ""
        st.subheader(f"{len(answers)} answers{span}, of {count(pieces, 'piece')}", width="stretch")
        st.download_button(
            "CSV",
            partial(answers_csv, answers),
            "midikin-answers.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="The answers as a table",
        )
    for answer in answers:
        key = f"{asked.source}-{asked.key[:24]}-{asked.way}-{answer.rank}-{answer.piece_id}"
        answer_card(library, answer, query, key=key, ask=_ask_with, show_on_map=_to_map)


def _ask_with(number: int) -> None:
    st.session_state["source"] = "piece"
    _go(_now().about("piece", str(number)))


def _to_map(number: int) -> None:
    go_to("browse", piece=str(number))
