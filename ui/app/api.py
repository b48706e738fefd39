"""What the browser fetches beside the pages: notes, names and files, as JSON.

The address of every route begins with a secret that is made when the app starts and only given to pages, so
whoever may not come in does not know it; behind a login, that is everybody who has not logged in.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from urllib.parse import quote

import streamlit as st
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from embedder.core.errors import MidikinError

from . import state
from .catalog import catalog, facts_of
from .note_codec import payload
from .visitors import without_paths

__all__ = ["base_path", "routes"]

MAX_NAMES = 40
_CACHE = {"Cache-Control": "private, max-age=3600"}  # a number is given to one content, once


def base_path() -> str:
    """Where the routes of this process lie, relative to the app's address."""
    return f"midikin-api/{_secret()}"


@st.cache_resource(show_spinner=False)
def _secret() -> str:
    return secrets.token_urlsafe(18)


def routes() -> list[Route]:
    """The routes, for `st.App`."""
    return [
        Route("/midikin-api/{secret}/notes/{number:int}", _guarded(_notes)),
        Route("/midikin-api/{secret}/find", _guarded(_find)),
        Route("/midikin-api/{secret}/file/{number:int}", _guarded(_file)),
    ]


def _guarded(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """The route for those who know the secret, with errors as JSON."""

    @wraps(answer)
    def guarded(request: Request) -> Response:
        if not secrets.compare_digest(request.path_params["secret"], _secret()):
            return JSONResponse({"error": "no such address"}, 404)
        try:
            return answer(request)
        except MidikinError as error:
            return JSONResponse({"error": without_paths(str(error))}, 404)

    return guarded


def _notes(request: Request) -> Response:
    """Notes of a piece, with its title and facts."""
    number = request.path_params["number"]
    library = state.library()
    piece = library.piece(number)
    names = catalog()
    body = payload(state.music(number).notes) | {
        "id": number,
        "title": names.title(number),
        "facts": " · ".join(facts_of(piece)),
        "path": names.path(piece),
    }
    return JSONResponse(body, headers=_CACHE)


def _find(request: Request) -> Response:
    """Pieces by name."""
    names = catalog()
    rows = names.find(request.query_params.get("q", "")[:200], MAX_NAMES)
    pieces = [
        {
            "id": names.pieces[row].id,
            "title": names.titles[row],
            "facts": " · ".join([*filter(None, [names.composers[row]]), *facts_of(names.pieces[row])]),
            "path": names.path(names.pieces[row]),
        }
        for row in rows
    ]
    return JSONResponse({"pieces": pieces})


def _file(request: Request) -> Response:
    """The MIDI file of a piece, or one written from its notes if the file is gone."""
    piece = state.library().piece(request.path_params["number"])
    name = Path(piece.path).name.encode("utf-8", "replace").decode("utf-8")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    if Path(piece.path).is_file():
        return FileResponse(piece.path, media_type="audio/midi", headers=headers)
    return JSONResponse({"error": f"{name} is not where it was when it was added"}, 404)
