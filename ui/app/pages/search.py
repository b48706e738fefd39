"""The search page: what sounds similar to this, and which pieces hold the same music?"""

from __future__ import annotations

import random
from dataclasses import replace

import streamlit as st

from embedder import Descriptors, describe
from embedder.core.errors import MidiError, MidikinError
from embedder.core.text import count
from embedder.notes import Notes
from index import FIELDS, FindResult, Library, SearchResult

from .. import state
from ..cards import comparison, facts, result_rows, results_csv, title_of
from ..catalog import catalog
from ..components import keyboard, piece_rows, roll_sheet
from ..escaping import key_name, plain
from ..navigation import go_to, set_title, toast
from ..note_codec import from_address, from_played, to_address
from ..query_params import MAX_EXAMPLES, MAX_RESULTS, MODES, QueryParams
from ..search_query import MAX_BPM, MAX_LENGTH_S, FilterControls, filter_label, run_search
from ..uploads import MAX_BYTES, read_upload
from ..visitors import shown_error
from .welcome import welcome

__all__ = ["moved_page", "page"]

SOURCES = {"piece": "A piece of the library", "upload": "A file of mine", "played": "Something I play"}
MAX_NAMES = 40  # pieces offered for a name
MAX_TRAIL = 50
STEP = 20  # further results on scrolling


def moved_page() -> None:
    """Search by its name: it is the first page, whose address is empty."""
    go_to("search", **st.query_params.to_dict())
    st.rerun()


def page() -> None:
    """Search."""
    with state.errors_shown():
        library = state.library()
        if not library.info().pieces:
            with st.container(key="sr"):
                st.title("Search")
            welcome()
            return
        try:
            params = QueryParams.from_address(st.query_params.to_dict())
        except MidikinError as error:
            st.title("Search")
            st.error(shown_error(error), icon=":material/link_off:")
            st.button("Start over", on_click=st.query_params.clear)
            return
        with st.container(key="page-search", gap="xsmall"):
            if params.key:
                _answer(library, params)
            else:
                _begin()
        state.warm_up(str(library.folder))


# -- the query -----------------------------------------------------------------------------------------------


def _go(params: QueryParams, *, remember: bool = True) -> None:
    """Search for something else; the search before can be gone back to."""
    before = st.query_params.to_dict()
    trail = st.session_state.setdefault("trail", [])
    if remember and before and before != params.to_address():
        trail.append((st.session_state.get("query_name", "the search before"), before))
        del trail[:-MAX_TRAIL]
    st.query_params.from_dict(params.to_address())


def _back() -> None:
    _, params = st.session_state["trail"].pop()
    st.session_state.pop("source", None)
    st.query_params.from_dict(params)


def _now() -> QueryParams:
    return QueryParams.from_address(st.query_params.to_dict())


def _begin() -> None:
    """No query yet: three ways to give one."""
    st.title("Search")
    st.caption(
        "Choose a piece, drop a file or play a tune. midikin shows what sounds similar, nearest first."
    )
    with st.container(key="sheet-source"):
        _source(QueryParams())


def _source(params: QueryParams) -> None:
    """Where the query comes from."""
    st.session_state.setdefault("source", params.source)
    source = st.segmented_control(
        "Search with", SOURCES, format_func=SOURCES.__getitem__, key="source", required=True
    )
    if source == "upload":
        dropped = st.file_uploader(
            f"A MIDI file of at most {MAX_BYTES // 2**20} MB. It is read and not stored.",
            type=["mid", "midi", "smf", "kar", "rmi"],
            key="dropped",
            max_upload_size=MAX_BYTES // 2**20,
            on_change=_dropped,
        )
        if dropped is not None and "rejected" in st.session_state:
            st.error(plain(st.session_state["rejected"]), icon=":material/error:")
    elif source == "played":
        keyboard("keyboard", _played)
        if "rejected_notes" in st.session_state:
            st.error(plain(st.session_state.pop("rejected_notes")))
    else:
        _choose_piece()


def _dropped() -> None:
    st.session_state.pop("rejected", None)
    dropped = st.session_state["dropped"]
    if dropped is None:
        return
    try:
        key = state.uploads().keep(read_upload(dropped.name, dropped.getvalue()))
    except MidikinError as error:
        st.session_state["rejected"] = str(error)
        return
    _go(_now().about("upload", key))


def _played() -> None:
    try:
        notes = from_played(st.session_state["keyboard"].played)
    except MidikinError as error:
        st.session_state["rejected_notes"] = str(error)
        return
    _go(_now().about("played", to_address(notes.from_zero())))


def _choose_piece() -> None:
    """A name typed, and the pieces that bear it."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed = st.text_input(
            "Words of its title, composer, folder or file name, or its number",
            key="typed",
            placeholder="nocturne, #12",
            max_chars=200,
        )
        st.button("Any piece", icon=":material/casino:", on_click=_any_piece, help="A piece chosen at random")
    if not typed.strip():
        return
    names = catalog()
    rows = names.find(typed, MAX_NAMES)
    if not rows:
        st.info(f"No piece is called anything like {plain(typed)}. Try one word of its title.")
        return
    labels = {names.pieces[row].id: f"{names.titles[row]} · {names.path(names.pieces[row])}" for row in rows}
    st.selectbox(
        count(len(rows), "piece")
        if len(rows) < MAX_NAMES
        else f"The first {MAX_NAMES} pieces; type more words",
        [None, *labels],
        format_func=lambda number: "Choose a piece" if number is None else labels[number],
        key="picked",
        on_change=_picked,
    )


def _picked() -> None:
    if st.session_state["picked"] is not None:
        _go(_now().about("piece", str(st.session_state["picked"])))


def _any_piece() -> None:
    params, pieces = _now(), catalog().pieces
    others = [piece.id for piece in pieces if piece.id != params.number] or [pieces[0].id]
    _go(params.about("piece", str(random.choice(others))))


def _query_of(library: Library, params: QueryParams) -> tuple[Notes, str, Descriptors]:
    """Notes, name and descriptors of the query.

    Raises
    ------
    MidikinError
        If it is not available any more.
    """
    if params.number is not None:
        library.piece(params.number)  # says that there is none, also of one that was removed
        music = state.music(params.number)
        return music.notes, title_of(params.number), music.descriptors
    if params.source == "upload":
        upload = state.uploads().find(params.key)
        if upload is None:
            raise MidiError("the file of this address is no longer available; drop it again")
        return upload.notes, upload.title or upload.name, describe(upload.notes, upload.tempo_bpm)
    notes = from_address(params.key)
    return notes, "What you played", describe(notes)


def _query_sheet(params: QueryParams, notes: Notes, name: str, about: Descriptors) -> str | int:
    """The query with its chosen passage and its examples."""
    item: str | int = params.number if params.number is not None else f"{params.source}-{params.key[:40]}"
    key = f"query-{item}"
    chosen = None
    if params.start_s is not None or params.end_s is not None:
        chosen = (params.start_s or 0.0, notes.end_s if params.end_s is None else params.end_s)
    chips = [
        {"id": number, "label": f"{kind} like {title_of(number)}"[:60], "kind": kind}
        for kind, numbers in (("more", params.more), ("less", params.less))
        for number in numbers
    ]
    roll_sheet(
        key,
        notes,
        name=name,
        item=item,
        head="Similar to",
        facts=facts(about),
        chosen=chosen,
        chips=chips,
        link=params.number,
        on_range=lambda: _range_chosen(key),
        on_chip=lambda: _example_removed(key),
    )
    return item


def _range_chosen(key: str) -> None:
    chosen = st.session_state[key].range
    if chosen is None:
        _go(replace(_now(), start_s=None, end_s=None), remember=False)
        return
    start_s, end_s = sorted(max(0.0, float(s)) for s in chosen[:2])
    if start_s < end_s:
        _go(replace(_now(), start_s=start_s, end_s=end_s), remember=False)


def _example_removed(key: str) -> None:
    params, number = _now(), st.session_state[key].chip
    more, less = (tuple(n for n in numbers if n != number) for numbers in (params.more, params.less))
    _go(replace(params, more=more, less=less), remember=False)


# -- the answer ----------------------------------------------------------------------------------------------


def _answer(library: Library, params: QueryParams) -> None:
    notes, name, about = _query_of(library, params)
    st.session_state["query_name"] = name
    set_title(name, "Search")
    with st.container(key="sr"):
        st.title(f"Search: pieces similar to {plain(name)}")
    item = _query_sheet(params, notes, name, about)
    query = params.number if params.number is not None else notes
    result: SearchResult | FindResult | None = None
    problem: Exception | None = None
    try:
        result = run_search(library, query, params)
    except (MidikinError, ValueError) as error:  # a filter that makes no sense leaves the tools on the page
        problem = error
    _tools(library, params, result)
    if problem is not None or result is None:
        st.error(shown_error(problem or ""), icon=":material/edit:")
        return
    if not result.results:
        _nothing(params, result)
        return
    rows = result_rows(result.results, about)
    key = f"rows-{params.source}"
    head = f"{count(len(rows), 'result')}, of {count(result.query.pieces, 'piece')}"
    piece_rows(
        key,
        {
            "name": f"{item}{params.mode}{params.start_s}{params.end_s}",
            "mode": "hits",
            "label": head,
            "rows": rows,
            "queue": True,
            "asks": True,
            "comparable": True,
            "total": result.query.pieces,
            "more": len(result.results) >= params.k and params.k < MAX_RESULTS,
            "query": {
                "key": item,
                "title": name,
                "facts": facts(about),
                "id": params.number,
            },
        },
        similar=lambda: _similar(_sent(key, "similar")),
        example=lambda: _example(_sent(key, "example")),
        compare=lambda: st.session_state.update(compared=_sent(key, "compare")),
        more=_more,
    )
    compared = st.session_state.get("compared")
    if compared is not None and compared in {row["id"] for row in rows}:
        with st.container(key="sheet-compare"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.subheader(f"{plain(name)} beside {plain(title_of(compared))}", width="stretch")
                st.button("Close", icon=":material/close:", on_click=st.session_state.pop, args=("compared",))
            comparison(library, query, compared, key=f"pair-{item}-{compared}")


def _sent(key: str, name: str) -> int | None:
    """A piece that the browser names; it is not trusted."""
    value = getattr(st.session_state[key], name, None)
    return int(value) if isinstance(value, int | float) else None


def _similar(number: int | None) -> None:
    if number is not None:
        st.session_state["source"] = "piece"
        _go(_now().about("piece", str(number)))


def _example(number: int | None) -> None:
    """A piece becomes an example; pressed again, an example of what is not wanted."""
    params = _now()
    if number is None or len(params.more) + len(params.less) >= MAX_EXAMPLES:
        return
    _go(replace(params, more=(*params.more, number), mode="sound"), remember=False)
    toast(f"Results are now also similar to {title_of(number)}.", _not_example, number)


def _not_example(number: int) -> None:
    params = _now()
    _go(replace(params, more=tuple(n for n in params.more if n != number)), remember=False)


def _more() -> None:
    params = _now()
    _go(replace(params, k=min(MAX_RESULTS, params.k + STEP)), remember=False)


def _nothing(params: QueryParams, result: SearchResult | FindResult) -> None:
    pieces = result.query.pieces
    if params.filters and not pieces:
        st.info("No piece meets all of these filters. Remove one of them.", icon=":material/filter_alt_off:")
    elif params.mode == "music":
        st.info(
            f"This music is not here: none of {count(pieces, 'piece')} holds these notes. Sounds "
            f"similar shows "
            "what comes near.",
            icon=":material/search_off:",
        )
    else:
        st.info("The library holds nothing to compare with.", icon=":material/search_off:")


# -- tools ---------------------------------------------------------------------------------------------------


def _tools(library: Library, params: QueryParams, result: SearchResult | FindResult | None) -> None:
    """What to look for, and among what. They show what the address says, and changes go there."""
    st.session_state.update({"mode": params.mode})
    with st.container(horizontal=True, vertical_alignment="center", key="tools-search", gap="small"):
        trail = st.session_state.get("trail", [])
        if trail:
            st.button(
                f"Back to {plain(trail[-1][0][:40])}",
                icon=":material/arrow_back:",
                on_click=_back,
                shortcut="Alt+B",
                type="tertiary",
            )
        st.segmented_control(
            "Search for",
            MODES,
            format_func=MODES.__getitem__,
            key="mode",
            on_change=_mode_changed,
            required=True,
            label_visibility="collapsed",
        )
        label = f"Filters · {len(params.filters)}" if params.filters else "Filters"
        with st.popover(label, icon=":material/tune:", key="filters-open"):
            _filters(library, params)
        for place, written in enumerate(params.filters):
            st.button(
                plain(filter_label(written)),
                key=f"chip-{place}",
                icon=":material/close:",
                type="tertiary",
                help="Remove this filter",
                on_click=_filters_set,
                args=(tuple(other for other in params.filters if other != written),),
            )
        with st.popover("Query", icon=":material/search:", key="query-open"):
            _source(params)
            _examples(params)
        st.space("stretch")
        if result is not None and result.results:
            st.caption(count(result.query.pieces, "piece"), width="content")
            st.download_button(
                "Export",
                lambda: results_csv(result.results),
                "midikin-results.csv",
                "text/csv",
                icon=":material/download:",
                on_click="ignore",
                help="The results as a table (CSV)",
                type="tertiary",
            )


def _mode_changed() -> None:
    _go(replace(_now(), mode=st.session_state["mode"], k=10), remember=False)


def _examples(params: QueryParams) -> None:
    """Further pieces that results should be similar to, or not."""
    st.divider()
    st.text_input(
        "More like, a piece's name or number", key="example-more", on_change=_example_typed, args=("more",)
    )
    st.text_input("Less like", key="example-less", on_change=_example_typed, args=("less",))
    problem = st.session_state.pop("example-problem", None)
    if problem:
        st.error(shown_error(problem))
    del params


def _example_typed(kind: str) -> None:
    typed = st.session_state[f"example-{kind}"].strip()
    st.session_state[f"example-{kind}"] = ""
    if not typed:
        return
    names = catalog()
    rows = names.find(typed, 1)
    if not rows:
        st.session_state["example-problem"] = f"No piece is called anything like {typed}."
        return
    number, params = names.pieces[rows[0]].id, _now()
    if len(params.more) + len(params.less) >= MAX_EXAMPLES:
        st.session_state["example-problem"] = f"There may be {MAX_EXAMPLES} examples at most."
    elif kind == "more":
        _go(replace(params, more=(*params.more, number), mode="sound"), remember=False)
    else:
        _go(replace(params, less=(*params.less, number), mode="sound"), remember=False)


def _filters(library: Library, params: QueryParams) -> None:
    """Filters as controls, and the language of filters for the rest."""
    controls = FilterControls.from_filters(params.filters)
    st.session_state.update(
        {
            "f-tempo": controls.tempo,
            "f-length": tuple(s / 60 for s in controls.length_s),
            "f-key": controls.key or None,
            "f-folder": controls.folder or None,
            "f-tags": list(controls.tags),
            "where": list(controls.text),
        }
    )
    st.slider("Tempo, BPM", 0, MAX_BPM, key="f-tempo", on_change=_filters_changed)
    st.slider("Length, minutes", 0.0, MAX_LENGTH_S / 60, step=0.5, key="f-length", on_change=_filters_changed)
    keys = sorted({piece.descriptors.key for piece in catalog().pieces})
    st.selectbox(
        "Key",
        keys if not controls.key or controls.key in keys else [controls.key, *keys],
        index=None,
        key="f-key",
        format_func=key_name,
        placeholder="Any key",
        on_change=_filters_changed,
    )
    folders = sorted({folder.split("/")[0] for folder in catalog().folders})
    if controls.folder and controls.folder not in folders:
        folders.insert(0, controls.folder)
    st.selectbox(
        "Folder",
        folders,
        index=None,
        key="f-folder",
        placeholder=f"All {count(len(folders), 'folder')}",
        on_change=_filters_changed,
    )
    tags = [
        value if tag.kind != "facet" else f"{tag.name}: {value}"
        for tag in library.tags()
        for value in ([tag.name] if tag.kind != "facet" else [v.value for v in tag.values])
    ]
    if tags or controls.tags:
        st.multiselect(
            "Tags",
            sorted({*tags, *controls.tags}),
            key="f-tags",
            on_change=_filters_changed,
            placeholder="Any",
        )
    st.multiselect(
        "Filters as text",
        [*controls.text, *(field.example for field in FIELDS if field.example not in controls.text)],
        key="where",
        accept_new_options=True,
        on_change=_filters_changed,
        placeholder="Type one: density>5",
        help="Type a condition and press Enter. "
        + "; ".join(f"{plain(f.name)}: {plain(f.help)}" for f in FIELDS),
    )
    st.number_input(
        "Results", 1, MAX_RESULTS, value=params.k, key=f"k-{params.k}", on_change=_count_changed, step=10
    )
    if params.filters:
        st.button("Clear all", on_click=_filters_set, args=((),))


def _filters_changed() -> None:
    chosen = st.session_state
    low, high = chosen["f-length"]
    controls = FilterControls(
        tempo=tuple(chosen["f-tempo"]),
        length_s=(round(60 * low), round(60 * high)),
        key=chosen["f-key"] or "",
        folder=chosen["f-folder"] or "",
        tags=tuple(chosen.get("f-tags", ())),
        text=tuple(chosen["where"]),
    )
    _filters_set(controls.to_filters())


def _filters_set(filters: tuple[str, ...]) -> None:
    _go(replace(_now(), filters=filters, k=10), remember=False)


def _count_changed() -> None:
    params = _now()
    _go(replace(params, k=int(st.session_state[f"k-{params.k}"])), remember=False)
