"""The library page: all pieces as a table, collections, folders, and files that failed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import streamlit as st

from embedder.core.text import count
from index import Failure, Library, LibraryInfo

from .. import state
from ..cards import comparison, piece_row, title_of
from ..catalog import Catalog, catalog
from ..collection_store import Collection, collection_form, collections, m3u, zip_file
from ..components import piece_rows
from ..escaping import cell, plain
from ..navigation import set_title, toast
from ..visitors import remote, without_paths
from .adding import add_form, job_shown
from .tag_form import tag_form
from .welcome import welcome

__all__ = ["page"]

MAX_FAILURES = 1000  # shown; the file to download has them all
STEP = 60  # rows at a time
SORTS = ("title", "composer", "folder", "key_name", "bpm", "length")


def page() -> None:
    """Library."""
    with state.errors_shown():
        library = state.library()
        info = library.info()
        if not info.pieces and not info.failures:
            with st.container(key="sr"):
                st.title("Library")
            welcome()
            return
        set_title("Library")
        with st.container(key="page-library", gap="small"):
            _head(info)
            job_shown()
            view = st.query_params.get("view", "list")
            if view == "folders":
                _folders(library, info)
            else:
                _browse(library)


def _head(info: LibraryInfo) -> None:
    names = catalog()
    folders = len({folder.split("/")[0] for folder in names.folders})
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tools-library"):
        st.title("Library", width="content")
        st.caption(
            f"{count(info.pieces, 'piece')} · {info.hours:,.1f} hours of music · {count(folders, 'folder')}",
            width="content",
        )
        if info.failures:
            st.badge(f"{count(info.failures, 'file')} could not be read", color="orange")
        st.space("stretch")
        inside = st.query_params.get("view") == "folders"
        st.button(
            "Back to the list" if inside else "Folders and backup",
            on_click=_turn,
            args=("" if inside else "folders",),
        )
        if not info.read_only:
            with st.popover("Add music", icon=":material/add:", type="primary", key="add-music"):
                add_form("library")


def _turn(view: str) -> None:
    st.query_params.from_dict({"view": view} if view else {})


# -- the table -----------------------------------------------------------------------------------------------


def _browse(library: Library) -> None:
    names = catalog()
    left, right = st.columns([18, 82], gap="medium")
    with left:
        rows = _facets(names)
    with right:
        _collection_head(names)
        _table(library, names, rows)


def _facets(names: Catalog) -> list[int]:
    """The rows of the catalog that meet the filters at the left, which the address holds."""
    params = st.query_params
    text = st.text_input(
        "Filter the list",
        key="list-filter",
        placeholder="Filter the list",
        label_visibility="collapsed",
        icon=":material/search:",
        max_chars=200,
    )
    rows = names.find(text, len(names.pieces)) if text.strip() else list(range(len(names.pieces)))
    chosen = params.get("collection", "")
    stored = collections().all()
    collection = next((one for one in stored if one.name == chosen), None)
    if collection is not None:
        order = [row for number in collection.pieces if (row := names.row_of(number)) is not None]
        kept = set(rows)
        rows = [row for row in order if row in kept]
    folder, composer = params.get("folder", ""), params.get("composer", "")
    tops = [value.split("/")[0] for value in names.folders]
    with st.container(key="facets", gap=None):
        _facet("Folder", "folder", folder, [tops[row] for row in rows])
        _facet("Composer", "composer", composer, [names.composers[row] or "" for row in rows])
        if stored:
            st.markdown(":small[:gray[**Collections**]]")
            for one in stored:
                label = f"{plain(one.name)} :gray[{len(one.pieces):,}]"
                st.button(
                    f"**{label}**" if one.name == chosen else label,
                    key=f"collection-{one.name}",
                    type="tertiary",
                    on_click=_set,
                    args=("collection", "" if one.name == chosen else one.name),
                    width="stretch",
                )
    return [
        row
        for row in rows
        if (not folder or tops[row] == folder) and (not composer or names.composers[row] == composer)
    ]


def _facet(title: str, name: str, chosen: str, values: Sequence[str]) -> None:
    """Values with their counts, most frequent first."""
    counts: dict[str, int] = {}
    for value in values:
        if value:
            counts[value] = counts.get(value, 0) + 1
    if chosen:
        counts.setdefault(chosen, 0)
    if len(counts) < 2 and not chosen:
        return
    st.markdown(f":small[:gray[**{title}**]]")
    ranked = sorted(counts, key=lambda value: (value != chosen, -counts[value], value))
    for value in ["", *ranked[:8]]:
        label = f"{plain(value) or 'All'} :gray[{counts.get(value, len(values)):,}]"
        st.button(
            f"**{label}**" if value == chosen else label,
            key=f"facet-{name}-{value}",
            type="tertiary",
            on_click=_set,
            args=(name, value),
            width="stretch",
        )
    if len(ranked) > 8:
        st.selectbox(
            f"{len(ranked) - 8} more",
            ranked[8:],
            index=None,
            key=f"more-{name}",
            label_visibility="collapsed",
            placeholder=f"{len(ranked) - 8} more",
            on_change=lambda: _set(name, st.session_state[f"more-{name}"] or ""),
        )


def _set(name: str, value: str) -> None:
    if value:
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)
    st.query_params.pop("n", None)


def _sorting() -> tuple[str, bool] | None:
    """The column of the address, and whether it falls."""
    text = st.query_params.get("sort", "")
    name = text.removeprefix("-")
    return (name, text.startswith("-")) if name in SORTS else None


def _table(library: Library, names: Catalog, rows: list[int]) -> None:
    sorting = _sorting()
    if sorting is None and not st.query_params.get("collection"):
        sorting = ("title", False)
    if sorting is not None:
        rows = sorted(rows, key=lambda row: _sort_key(names, row, sorting[0]), reverse=sorting[1])
    text = st.query_params.get("n", "")
    shown = max(STEP, min(5000, int(text))) if text.isascii() and text.isdigit() and len(text) < 6 else STEP
    if not rows:
        st.info("No piece meets this. Clear the filter at the left.", icon=":material/filter_alt_off:")
        return
    tags = _tags_of(library)
    entries: list[dict[str, Any]] = []
    for row in rows[:shown]:
        piece = names.pieces[row]
        entries.append(
            piece_row(piece.id, piece.descriptors, piece.display)
            | {
                "composer": names.composers[row] or "",
                "folder": names.folders[row],
                "tags": ", ".join(tags.get(piece.id, ())),
            }
        )
    piece_rows(
        "library",
        {
            "name": "library",
            "mode": "library",
            "label": "Pieces of the library",
            "rows": entries,
            "total": len(rows),
            "sort": list(sorting) if sorting else None,
            "more": shown < len(rows),
            "queue": True,
        },
        sort=_sorted_by,
        more=lambda: st.query_params.update({"n": str(shown + STEP)}),
        act=_acted,
    )
    if st.session_state.get("action"):
        _act(library, *st.session_state.pop("action"))


def _sort_key(names: Catalog, row: int, name: str) -> tuple[bool, Any]:
    """Pieces without a value come last."""
    piece = names.pieces[row]
    about = piece.descriptors
    value: Any = {
        "title": names.titles[row].casefold(),
        "composer": names.composers[row],
        "folder": names.folders[row].casefold(),
        "key_name": about.key if about.key_confidence >= 0.5 else None,
        "bpm": about.tempo_bpm,
        "length": about.duration_s,
    }[name]
    return value is None, value if value is not None else 0


def _tags_of(library: Library) -> dict[int, list[str]]:
    """Values of labels by piece."""
    info = library.info()
    return _labelled(str(library.folder), info.commit, sum(tag.labels for tag in library.tags()))


@st.cache_resource(max_entries=2, show_spinner=False)
def _labelled(folder: str, commit: int, labels: int) -> dict[int, list[str]]:
    values: dict[int, list[str]] = {}
    for label in state.library().tags.labels():
        if label.piece_id is not None and label.holds and label.start_s is None:
            values.setdefault(label.piece_id, []).append(label.value or label.tag)
    return values


def _sorted_by() -> None:
    name = getattr(st.session_state["library"], "sort", None)
    if name in SORTS:
        before = _sorting() or ("title", False)
        st.query_params["sort"] = f"-{name}" if before == (name, False) else str(name)


def _acted() -> None:
    """An action on selected pieces; what the browser sends is not trusted."""
    sent = getattr(st.session_state["library"], "act", None)
    if not isinstance(sent, dict) or not isinstance(sent.get("ids"), list):
        return
    known = catalog()
    ids = [int(i) for i in sent["ids"] if isinstance(i, int | float) and known.row_of(int(i)) is not None]
    if ids:
        st.session_state["action"] = (str(sent.get("what")), ids)


def _act(library: Library, what: str, ids: list[int]) -> None:
    if what == "tag":
        _tag_dialog(library, ids)
    elif what == "collect":
        _collect_dialog(ids)
    elif what == "export":
        _export_dialog(ids)
    elif what == "compare" and len(ids) == 2:
        _compare_dialog(library, ids)


@st.dialog("Tag pieces")
def _tag_dialog(library: Library, ids: list[int]) -> None:
    tag_form(library, ids, key="selected")


@st.dialog("Add to a collection")
def _collect_dialog(ids: list[int]) -> None:
    collection_form(ids, key="selected")


@st.dialog("Export pieces")
def _export_dialog(ids: list[int]) -> None:
    _downloads(Collection("selection", tuple(ids)))


@st.dialog("Compare", width="large")
def _compare_dialog(library: Library, ids: list[int]) -> None:
    comparison(library, ids[0], ids[1], key=f"compare-{ids[0]}-{ids[1]}")


def _downloads(collection: Collection) -> None:
    """A collection as a playlist, a table and copies of its files."""
    name = "".join(c if c.isalnum() or c in " -_" else "_" for c in collection.name)[:60] or "collection"
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "Table (CSV)", lambda: _csv(collection), f"{name}.csv", "text/csv", on_click="ignore"
        )
        if not remote():  # a playlist names paths of this computer
            st.download_button("Playlist (M3U)", lambda: m3u(collection), f"{name}.m3u8", on_click="ignore")
        st.download_button(
            "Copies (ZIP)", lambda: zip_file(collection), f"{name}.zip", "application/zip", on_click="ignore"
        )


def _csv(collection: Collection) -> str:
    names = catalog()
    lines = ["piece,title,path,key,bpm,length_s,notes"]
    for number in collection.pieces:
        row = names.row_of(number)
        if row is None:
            continue
        piece = names.pieces[row]
        about = piece.descriptors
        values = (
            number,
            names.titles[row],
            names.path(piece),
            about.key,
            about.tempo_bpm or "",
            f"{about.duration_s:.1f}",
            about.notes,
        )
        lines.append(",".join(_quoted(str(value)) for value in values))
    return "\n".join(lines) + "\n"


def _collection_head(names: Catalog) -> None:
    """The collection of the address: its name, order and exports."""
    collection = collections().get(st.query_params.get("collection", ""))
    if collection is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(plain(collection.name), width="content")
        st.space("stretch")
        with st.popover("Order and remove"):
            order = st.multiselect(
                "Pieces in their order; remove one, or add it again at the end",
                [piece.id for piece in names.pieces],
                default=[number for number in collection.pieces if names.row_of(number) is not None],
                format_func=title_of,
                key=f"order-{collection.name}",
            )
            st.button("Save", type="primary", on_click=_reordered, args=(collection, tuple(order)))
            st.button("Delete this collection", on_click=_reordered, args=(collection, ()))
        with st.popover("Export", icon=":material/download:"):
            _downloads(collection)


def _reordered(collection: Collection, pieces: tuple[int, ...]) -> None:
    with state.errors_shown():
        collections().set(collection.name, pieces)
        done = f"now {count(len(pieces), 'piece')}" if pieces else "deleted"
        toast(f"{collection.name}: {done}.", collections().set, collection.name, collection.pieces)
        if not pieces:
            st.query_params.pop("collection", None)


# -- folders, failures, the library itself -------------------------------------------------------------------


def _folders(library: Library, info: LibraryInfo) -> None:
    with st.container(key="sheet-add", gap="small"):
        st.subheader("Add music")
        if info.read_only:
            st.info("This library can only be read: its folder cannot be written.", icon=":material/lock:")
        else:
            add_form("folders")
    _added_folders(info)
    _failures(library, info.failures)
    _about(info)


def _added_folders(info: LibraryInfo) -> None:
    """Folders of the library, with the pieces that lie in them."""
    names = catalog()
    counts: dict[str, int] = {}
    for folder in names.folders:
        top = folder.split("/")[0]
        counts[top] = counts.get(top, 0) + 1
    with st.container(key="sheet-folders", gap="small"):
        st.subheader("Folders")
        for folder, pieces in sorted(counts.items()):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{plain(folder)}** :gray[{count(pieces, 'piece')}]", width="stretch")
                if not info.read_only and not remote():
                    st.button(
                        "Scan again",
                        key=f"rescan-{folder}",
                        on_click=_rescan,
                        args=(f"{names.root}/{folder}",),
                    )


def _rescan(folder: str) -> None:
    with state.errors_shown():
        state.jobs().start("add", folders=[folder])


def _retry(folders: list[str]) -> None:
    with state.errors_shown():
        state.jobs().start("add", folders=folders, retry_failures=True)


def size(number: float) -> str:
    """A number of bytes for people."""
    if number < 1000:
        return count(round(number), "byte")
    for unit in ("kB", "MB"):
        number /= 1000
        if number < 1000:
            return f"{number:,.1f} {unit}"
    return f"{number / 1000:,.1f} GB"


def _failures(library: Library, number: int) -> None:
    with st.container(key="sheet-failures", gap="small"):
        st.subheader("Files that could not be read")
        if not number:
            st.caption("Every file was read.")
            return
        failures: list[Failure] = library.failures()
        names = catalog()
        files = [names.relative(failure.display) for failure in failures]
        reasons = [without_paths(failure.reason) for failure in failures]
        st.dataframe({"file": files[:MAX_FAILURES], "reason": reasons[:MAX_FAILURES]}, hide_index=True)
        if len(failures) > MAX_FAILURES:
            st.caption(f"The first {MAX_FAILURES:,} of {len(failures):,}.")
        lines = [
            "file,reason",
            *(f"{_quoted(file)},{_quoted(reason)}" for file, reason in zip(files, reasons, strict=True)),
        ]
        with st.container(horizontal=True):
            if not remote() and not state.library().read_only:
                st.button(
                    "Try again",
                    on_click=_retry,
                    args=([failure.path for failure in failures],),
                    icon=":material/refresh:",
                )
            st.download_button(
                "Table (CSV)",
                "\n".join(lines) + "\n",
                "midikin-failures.csv",
                "text/csv",
                on_click="ignore",
                icon=":material/download:",
            )


def _quoted(text: str) -> str:
    return '"' + cell(text).replace('"', '""') + '"'


def _about(info: LibraryInfo) -> None:
    shown = {
        "Pieces": f"{info.pieces:,}",
        "Files": f"{info.paths:,}",
        "Hours of music": f"{info.hours:,.1f}",
        "Notes": f"{info.notes:,}",
        "Failed files": f"{info.failures:,}",
        "On disk": size(info.size_bytes),
    }
    with st.container(key="sheet-about", gap="small"):
        st.subheader("About this library")
        with st.container(horizontal=True):
            for name, value in shown.items():
                st.metric(name, value, width="content")
        about = {"encoder": info.encoder or "none yet", "midikin": version("midikin")}
        if not remote():  # the folder of the server is nothing for remote visitors
            about = {"folder": info.folder, **about}
        about["length of a vector"] = str(info.dim or "none")
        about["version of the tables"] = str(info.schema_version)
        about["state"] = f"commit {info.commit}" + (", can only be read" if info.read_only else "")
        for index in info.indexes:
            current = "" if index.current else ", brought up to date at the next search"
            about[f"index of {index.name}"] = (
                f"{index.kind}, {count(index.vectors, 'vector')}, recall {index.recall:.0%}{current}"
            )
        st.dataframe({"what": list(about), "": list(about.values())}, hide_index=True)
        st.caption("A backup while the app runs: `midikin backup FOLDER`.")
