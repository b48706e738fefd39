"""What Streamlit lacks: the frame with its player, rows of pieces, piano rolls, a keyboard, a map.

Each is a module of JavaScript in `frontend`, with `core.js` before it, mounted into the page without an
iframe. It has the colours of `tokens.css` and needs nothing from the network but the routes of `ui.app.api`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from embedder.notes import Notes

from .escaping import clock
from .note_codec import payload

__all__ = [
    "PAGE_STYLE",
    "SYNTH",
    "comparison_rolls",
    "frame",
    "keyboard",
    "map_data",
    "map_points",
    "numbers_of",
    "piece_map",
    "piece_rows",
    "roll_sheet",
]

_FRONTEND = Path(__file__).parent / "frontend"


def _read(*names: str) -> str:
    return "\n".join((_FRONTEND / name).read_text(encoding="utf-8") for name in names)


def _component(name: str, body: str = "", *before: str, code: str = "") -> Any:
    style = [f"{name}.css"] if (_FRONTEND / f"{name}.css").exists() else []
    return st.components.v2.component(
        f"midikin_{name}",
        html=f'<div class="midikin {name}">{body}</div>',
        css=_read("core.css", *style),
        js=code + _read("core.js", *before, f"{name}.js"),
    )


PAGE_STYLE = _read("tokens.css", "page.css")
SYNTH = _read("synth.js")
_frame = _component("frame", "", "synth.js", "player.js", code=f"const SYNTH_SOURCE = {json.dumps(SYNTH)};\n")
_rows = _component("rows")
_sheet = _component("sheet")
_pair = _component(
    "pair",
    '<canvas role="slider" tabindex="0"></canvas><canvas aria-hidden="true"></canvas>'
    '<div class="tools"></div>',
)
_keyboard = _component(
    "keyboard",
    '<div class="keys" role="group" aria-label="Piano keys"></div><p class="status" role="status"></p>'
    '<div class="tools"></div>',
)
_map = _component(
    "map",
    '<div class="paper"><canvas role="application" tabindex="0"></canvas></div>'
    '<div class="float tools" role="toolbar" aria-label="Map tools"></div>'
    '<div class="float key" role="group" aria-label="Colours"></div>'
    '<div class="float tip" role="status" hidden></div>',
)
_points = _component("points")


def _ignore() -> None:
    """Streamlit only keeps a component's values if a callback is given."""


def frame(key: str, data: dict[str, Any], **callbacks: Callable[[], None]) -> Any:
    """Header, player and messages; see `ui.app.frame`."""
    return _frame(key=key, data=data, **{f"on_{name}_change": call for name, call in callbacks.items()})


def piece_rows(key: str, data: dict[str, Any], **callbacks: Callable[[], None]) -> Any:
    """Rows of pieces that play and open.

    Parameters
    ----------
    data : `rows`, a list of {id, title, why, ...} as `ui.app.cards` makes them, and `mode`, "hits",
        "library" or "predictions"
    callbacks : by the names of values that the component sets
    """
    return _rows(key=key, data=data, **{f"on_{name}_change": call for name, call in callbacks.items()})


def roll_sheet(
    key: str,
    notes: Notes,
    *,
    name: str,
    item: str | int,
    head: str = "",
    facts: str = "",
    mode: str = "query",
    chosen: tuple[float, float] | None = None,
    chips: Sequence[dict[str, Any]] = (),
    tempo: Sequence[tuple[float, float]] = (),
    link: int | None = None,
    on_range: Callable[[], None] | None = None,
    on_chip: Callable[[], None] | None = None,
) -> Any:
    """A piece with its play button, its parts and a piano roll.

    Parameters
    ----------
    item : identifies what is played, for play buttons elsewhere on the page: a piece's number or another name
    head, facts : the lines above and below the name
    mode : "query", one line with a small roll; "piece", a large roll to zoom, with parts
    chosen : the chosen range in seconds; dragging over the roll chooses another if `on_range` is given,
        which finds it in the component's state as `range`
    chips : {id, label, kind} with a button to remove each; `on_chip` finds the id as `chip`
    tempo : changes of tempo as (seconds, BPM)
    link : the piece whose page the name leads to
    """
    part = f", {clock(chosen[0])} to {clock(chosen[1])} chosen" if chosen else ""
    alt = f"Piano roll of {name}: {len(notes):,} notes in {clock(notes.end_s)}{part}."
    if on_range:
        alt += " Drag, or press [ and ], to choose a passage."
    data = payload(notes) | {
        "name": name,
        "item": item,
        "head": head,
        "facts": facts,
        "mode": mode,
        "alt": alt,
        "range": chosen,
        "choosing": on_range is not None,
        "chips": list(chips),
        "tempo": [list(change) for change in tempo],
        "link": link,
    }
    return _sheet(
        key=key,
        data=data,
        default={"range": None},
        on_range_change=on_range or _ignore,
        on_chip_change=on_chip or _ignore,
    )


def comparison_rolls(
    key: str,
    first: Notes,
    second: Notes,
    *,
    names: tuple[str, str],
    passages: Sequence[tuple[Sequence[float], Sequence[float]]],
    only_first: Sequence[tuple[float, int]],
    only_second: Sequence[tuple[float, int]],
    alt: str,
) -> Any:
    """Two pieces with their shared passages joined and their differences marked.

    Parameters
    ----------
    passages : the time map of each: seconds of the first, and of the second
    only_first, only_second : onset and pitch of the notes that the other lacks
    """
    data = {
        "a": payload(first),
        "b": payload(second),
        "names": list(names),
        "passages": [{"a": list(here), "b": list(there)} for here, there in passages],
        "only_a": [list(note) for note in only_first],
        "only_b": [list(note) for note in only_second],
        "alt": alt,
    }
    return _pair(key=key, data=data)


def keyboard(key: str, on_played: Callable[[], None]) -> Any:
    """A keyboard to play on; `on_played` finds the notes in the component's state as `played`."""
    return _keyboard(key=key, data={}, on_played_change=on_played)


def piece_map(key: str, points: dict[str, Any], on_opened: Callable[[], None], **shown: Any) -> Any:
    """The map of a library: `points` as `map_points` makes them, and the arguments of `map_data`.

    The state `key` has the piece that was opened as `opened` when `on_opened` is called, and the pieces
    inside the lasso as `chosen`, for `numbers_of`.
    """
    with st.container(height=1, border=False):
        _points(key=f"{key}-points", data=points)
    return _map(
        key=key,
        data=map_data(points, **shown),
        default={"chosen": ""},
        on_chosen_change=_ignore,
        on_opened_change=on_opened,
    )


def map_points(positions: NDArray[Any], numbers: NDArray[Any], names: Sequence[str]) -> dict[str, Any]:
    """The points of a map, for the browser; under a name that is a hash of them.

    Parameters
    ----------
    positions : float [n, 2] in 0..1
    numbers : the pieces
    names : the label of each point
    """
    points = {
        "points": _bytes(np.rint(np.clip(positions, 0, 1) * 65535).astype("<u2")),
        "numbers": _bytes(np.asarray(numbers, dtype="<u4")),
        "names": "\n".join(name.replace("\n", " ") for name in names),
    }
    name = hashlib.sha256("\0".join(points.values()).encode("utf-8", "surrogatepass")).hexdigest()[:20]
    return points | {"name": name}


def map_data(
    points: dict[str, Any],
    *,
    kind_of: NDArray[Any],
    kinds: Sequence[str],
    palette: Sequence[str],
    focus: int | None,
    near: Sequence[int],
    labels: Sequence[tuple[float, float, str]] = (),
    matches: Sequence[int] | None = None,
    path: Sequence[int] = (),
) -> dict[str, Any]:
    """What a map shows of its points.

    Parameters
    ----------
    kind_of : for each piece the index of its kind in `kinds` and of its colour in `palette`
    focus, near : a piece, and those that are joined to it by lines
    labels : names of clusters, the largest first: x, y in 0..1, text
    matches : pieces that are shown, the others faintly; all of them if None
    path : pieces that are joined by a path, in order
    """
    return {
        "of": points["name"],
        "kind_of": _bytes(kind_of.astype(np.uint8)),
        "kinds": list(kinds),
        "palette": list(palette),
        "focus": focus,
        "near": list(near),
        "labels": [list(label) for label in labels],
        "matches": None if matches is None else _bytes(np.asarray(matches, dtype="<u4")),
        "path": list(path),
        "alt": f"Map of {len(kind_of):,} pieces: similar pieces lie close together. Arrows move, plus and "
        "minus zoom, L switches to the lasso, Enter opens the piece in the middle.",
    }


def _bytes(numbers: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode("ascii")


def numbers_of(chosen: object) -> list[int]:
    """Numbers of the pieces that the browser reports as chosen; what it sends is not trusted."""
    if not isinstance(chosen, str) or not chosen:
        return []
    try:
        data = base64.b64decode(chosen, validate=True)
    except ValueError:
        return []
    return [int(number) for number in np.frombuffer(data[: len(data) // 4 * 4], "<u4")]
