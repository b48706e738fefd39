"""Collections: named, ordered lists of pieces, kept in a JSON file beside the library; and their exports."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st

from embedder.core.errors import LibraryError
from embedder.core.files import atomic_write
from ui.cli.output import count

from . import state
from .catalog import catalog
from .navigation import toast
from .visitors import shown_error

__all__ = [
    "COLLECTIONS_FILE",
    "Collection",
    "Collections",
    "collection_form",
    "collections",
    "m3u",
    "zip_file",
]

COLLECTIONS_FILE = "collections.json"
MAX_NAME = 80


@dataclass(frozen=True)
class Collection:
    """A named list of pieces, in order."""

    name: str
    pieces: tuple[int, ...]


class Collections:
    """The collections of a library. Thread-safe; each change is on disk before the call returns."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / COLLECTIONS_FILE
        self._lock = threading.Lock()

    def all(self) -> list[Collection]:
        """All collections, by name.

        Raises
        ------
        LibraryError
            If the file is damaged; it is left as it is.
        """
        try:
            data: Any = json.loads(self._path.read_text(encoding="utf-8"))
            found = [
                Collection(str(one["name"]), tuple(map(int, one["pieces"]))) for one in data["collections"]
            ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LibraryError(f"{COLLECTIONS_FILE} cannot be read: {error}") from error
        return sorted(found, key=lambda one: one.name.casefold())

    def get(self, name: str) -> Collection | None:
        """The collection of a name."""
        return next((one for one in self.all() if one.name == name), None)

    def add(self, name: str, pieces: Sequence[int]) -> int:
        """Append pieces to a collection, which is made if there is none; how many it did not hold.

        Raises
        ------
        LibraryError
            If the name is empty or too long.
        """
        name = " ".join(name.split())
        if not 0 < len(name) <= MAX_NAME:
            raise LibraryError(f"a collection needs a name of 1 to {MAX_NAME} characters")
        with self._lock:
            known = {one.name: one for one in self.all()}
            before = known.get(name, Collection(name, ()))
            new = [number for number in dict.fromkeys(pieces) if number not in before.pieces]
            known[name] = replace(before, pieces=(*before.pieces, *new))
            self._write(known)
        return len(new)

    def set(self, name: str, pieces: Sequence[int]) -> None:
        """Replace the pieces of a collection; with none it goes."""
        with self._lock:
            known = {one.name: one for one in self.all()}
            if pieces:
                known[name] = Collection(name, tuple(dict.fromkeys(pieces)))
            else:
                known.pop(name, None)
            self._write(known)

    def _write(self, known: dict[str, Collection]) -> None:
        data = {"collections": [{"name": one.name, "pieces": list(one.pieces)} for one in known.values()]}
        atomic_write(self._path, json.dumps(data, ensure_ascii=False, indent=1))


def collections() -> Collections:
    """The collections of the library of this app."""
    return _collections(str(state.library().folder))


@st.cache_resource(show_spinner=False)
def _collections(folder: str) -> Collections:
    return Collections(Path(folder))


def collection_form(numbers: Sequence[int], *, key: str, name: str = "") -> None:
    """Add pieces to a collection that exists or is new."""
    names = [one.name for one in collections().all()]
    with st.form(f"collect-{key}", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            f"Add {count(len(numbers), 'piece')} to a collection",
            list(dict.fromkeys([*([name] if name else []), *names])),
            index=0 if name else None,
            accept_new_options=True,
            key=f"collection-{key}",
            placeholder="Name of a collection",
        )
        pressed = st.form_submit_button(
            "Add", icon=":material/add:", on_click=_added, args=(key, tuple(numbers))
        )
    problem = st.session_state.pop(f"collection-problem-{key}", None)
    if problem:
        st.error(shown_error(problem))
    elif pressed:
        st.rerun()  # also out of a dialog, whose callback alone would not draw the frame


def _added(key: str, numbers: tuple[int, ...]) -> None:
    name = " ".join((st.session_state[f"collection-{key}"] or "").split())
    try:
        before = collections().get(name)
        new = collections().add(name, numbers)
    except LibraryError as error:
        st.session_state[f"collection-problem-{key}"] = str(error)
        return
    toast(f"{name}: {count(new, 'piece')} added.", collections().set, name, before.pieces if before else ())


def m3u(collection: Collection) -> str:
    """A playlist of the files of a collection (extended M3U)."""
    names = catalog()
    lines = ["#EXTM3U"]
    for number in collection.pieces:
        row = names.row_of(number)
        if row is not None:
            piece = names.pieces[row]
            title = " ".join(names.titles[row].split())
            lines += [f"#EXTINF:{round(piece.descriptors.duration_s)},{title}", piece.display]
    return "\n".join(lines) + "\n"


def zip_file(collection: Collection) -> bytes:
    """Copies of the files of a collection, numbered in its order; files that are gone are left out."""
    names = catalog()
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, number in enumerate(collection.pieces, start=1):
            row = names.row_of(number)
            if row is None or not Path(names.pieces[row].path).is_file():
                continue
            name = Path(names.pieces[row].display).name
            archive.write(names.pieces[row].path, f"{place:03d} {name}")
    return data.getvalue()
