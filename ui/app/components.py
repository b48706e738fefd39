"""The parts of the pages that Streamlit lacks: a piano roll that plays, a pair of them, a keyboard, a map.

Each is a small module of JavaScript in `frontend`, with `common.js` before it, mounted into the page without
an iframe: it has the colours of the theme and needs nothing from the network.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from embedder.notes import Notes

from .escaping import clock
from .note_codec import to_browser

__all__ = [
    "MAP_BODY",
    "MAP_CODE",
    "MAP_STYLE",
    "POINTS_CODE",
    "keyboard",
    "map_data",
    "map_points",
    "numbers_of",
    "pair_of_rolls",
    "piano_roll",
    "piece_map",
]

_FRONTEND = Path(__file__).parent / "frontend"
_AUDIO = '<audio preload="none"></audio>'
_SLIDER = 'role="slider" tabindex="0"'


def _code(*names: str) -> str:
    return "\n".join((_FRONTEND / name).read_text(encoding="utf-8") for name in names)


def _part(name: str, body: str, *styles: str) -> Any:
    return st.components.v2.component(
        f"midikin_{name}",
        html=f'<div class="midikin {name}">{body}</div>',
        css=_code("common.css", *styles),
        js=_code("common.js", f"{name}.js"),
    )


_roll = _part("roll", f'<canvas {_SLIDER}></canvas><div class="bar"></div>{_AUDIO}')
_pair = _part(
    "pair", f'<canvas {_SLIDER}></canvas><canvas aria-hidden="true"></canvas><div class="bar"></div>{_AUDIO}'
)
_keyboard = _part(
    "keyboard",
    '<div class="keys" role="group" aria-label="Piano keys"></div><p class="said" role="status"></p>'
    f'<div class="bar"></div>{_AUDIO}',
    "keyboard.css",
)
MAP_BODY = (
    '<div class="midikin map"><div class="bar"></div>'
    '<div class="paper"><canvas role="application" tabindex="0"></canvas>'
    '<div class="tip" role="status" hidden></div></div>'
    '<div class="key" role="group" aria-label="Colours"></div></div>'
)
MAP_STYLE = _code("common.css", "map.css")
MAP_CODE = _code("common.js", "map.js")
_map = st.components.v2.component("midikin_map", html=MAP_BODY, css=MAP_STYLE, js=MAP_CODE)
POINTS_CODE = _code("points.js")
_points = st.components.v2.component("midikin_points", html="<div></div>", js=POINTS_CODE)


def piano_roll(
    key: str,
    notes: Notes,
    *,
    name: str,
    span: tuple[float, float] | None = None,
    chosen: tuple[float, float] | None = None,
    choosing: bool = False,
    other: tuple[str, tuple[float, float]] | None = None,
    height: int = 96,
    on_range: Callable[[], None] | None = None,
) -> Any:
    """A piano roll with a play button and a moving cursor.

    Parameters
    ----------
    name : what it is called in its text alternative
    span : the passage in question, which is marked and played first
    chosen : the range that is chosen now; dragging chooses another, if `choosing`
    other : the key of the query's roll on the same page, and its part, to be heard first and then this
    on_range : called when a range is chosen; the state `key` then has it as `range`
    """
    part = f", the passage from {clock(span[0])} to {clock(span[1])} is marked" if span else ""
    alt = (
        f"Piano roll of {name}: {len(notes):,} notes in {clock(notes.end_s)}{part}. Space plays, arrows move."
    )
    if choosing:
        alt += " Drag, or press [ and ], to choose a part."
    data = {
        "notes": to_browser(notes),
        "name": name,
        "alt": alt,
        "span": span,
        "range": chosen,
        "choosing": choosing,
        "own": None if other else key,  # those who play it too find its notes under this name
        "other": other and {"of": other[0], "span": other[1]},
        "height": height,
    }
    return _roll(key=key, data=data, default={"range": None}, on_range_change=on_range or _nothing)


def _nothing() -> None:
    """A component's values are only known to Streamlit if somebody listens."""


def pair_of_rolls(
    key: str,
    one: Notes,
    other: Notes,
    *,
    passages: Sequence[tuple[Sequence[float], Sequence[float]]],
    only_one: Sequence[tuple[float, int]],
    only_other: Sequence[tuple[float, int]],
    alt: str,
) -> Any:
    """Two pieces with their shared passages joined and their differences marked.

    Parameters
    ----------
    passages : the tempo curve of each: moments of the one, and of the other
    only_one, only_other : onset and pitch of the notes that the other lacks
    """
    data = {
        "a": {"notes": to_browser(one)},
        "b": {"notes": to_browser(other)},
        "passages": [{"a": list(here), "b": list(there)} for here, there in passages],
        "only_a": [list(note) for note in only_one],
        "only_b": [list(note) for note in only_other],
        "alt": alt,
    }
    return _pair(key=key, data=data)


def keyboard(key: str, on_played: Callable[[], None]) -> Any:
    """A keyboard to play on; the state `key` has what was played as `played` when `on_played` is called."""
    return _keyboard(key=key, data={}, on_played_change=on_played)


def piece_map(key: str, points: dict[str, Any], on_opened: Callable[[], None], **shown: Any) -> Any:
    """The map of a library: `points` as `map_points` makes them, and what `map_data` is given.

    The state `key` has the piece that was opened as `opened` when `on_opened` is called, and the pieces that
    were drawn around as `chosen`, for `numbers_of`.
    """
    with st.container(height=1, border=False):
        _points(key=f"{key}-points", data=points)
    return _map(
        key=key,
        data=map_data(points, **shown),
        default={"chosen": ""},
        on_chosen_change=_nothing,
        on_opened_change=on_opened,
    )


def map_points(places: np.ndarray, numbers: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """The points of a map, for the browser; under a name that follows from them.

    Parameters
    ----------
    places : float [n, 2] in 0..1
    numbers : the pieces
    names : what a point says when the pointer is over it
    """
    points = {
        "points": _bytes(np.rint(np.clip(places, 0, 1) * 65535).astype("<u2")),
        "numbers": _bytes(np.asarray(numbers, dtype="<u4")),
        "names": "\n".join(name.replace("\n", " ") for name in names),
    }
    name = hashlib.sha256("\0".join(points.values()).encode("utf-8", "surrogatepass")).hexdigest()[:20]
    return points | {"name": name}


def map_data(
    points: dict[str, Any],
    *,
    kind_of: np.ndarray,
    kinds: Sequence[str],
    palette: Sequence[str],
    focus: int | None,
    near: Sequence[int],
    height: int,
) -> dict[str, Any]:
    """What a map shows of its points.

    Parameters
    ----------
    kind_of : for each piece the place of its kind in `kinds` and of its colour in `palette`
    focus, near : a piece, and those that are joined to it by lines
    """
    return {
        "of": points["name"],
        "kind_of": _bytes(kind_of.astype(np.uint8)),
        "kinds": list(kinds),
        "palette": list(palette),
        "focus": focus,
        "near": list(near),
        "height": height,
        "alt": f"Map of {len(kind_of):,} pieces: what sounds alike lies near. Arrows move, plus and minus "
        "zoom, L switches to the lasso, Enter opens the piece in the middle.",
    }


def _bytes(numbers: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode("ascii")


def numbers_of(chosen: object) -> list[int]:
    """Numbers of the pieces that the map says were chosen; whatever a browser sends is only a claim."""
    if not isinstance(chosen, str) or not chosen:
        return []
    try:
        data = base64.b64decode(chosen, validate=True)
    except ValueError:
        return []
    return [int(number) for number in np.frombuffer(data[: len(data) // 4 * 4], "<u4")]
