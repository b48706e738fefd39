"""The query of the search page as a value that is written into the address and read from it again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from embedder.core.errors import MidikinError

__all__ = ["MAX_RESULTS", "MODES", "BadAddress", "QueryParams"]

# Value in the address -> label
MODES = {"sound": "Sounds similar", "passages": "Similar passages", "music": "Same music"}
SOURCES = ("piece", "upload", "played")
MAX_RESULTS = 100
MAX_EXAMPLES = 8


class BadAddress(MidikinError):
    """The address asks for something that cannot be."""


@dataclass(frozen=True)
class QueryParams:
    """A query to the library.

    Attributes
    ----------
    source, key : a piece's number, an upload's key or the played notes; "" for no query yet
    start_s, end_s : the passage of it that is meant
    mode : one of `MODES`; `way` in the address
    filters : as `index.Filters` reads them
    k : how many results
    more, less : further pieces that results should, or should not, be similar to
    """

    source: str = "piece"
    key: str = ""
    start_s: float | None = None
    end_s: float | None = None
    mode: str = "sound"
    filters: tuple[str, ...] = ()
    k: int = 10
    more: tuple[int, ...] = ()
    less: tuple[int, ...] = ()

    @classmethod
    def from_address(cls, params: Mapping[str, str]) -> Self:
        """Read the parameters of an address.

        Raises
        ------
        BadAddress
            If one makes no sense; the message says which.
        """
        source = next((name for name in SOURCES if params.get(name)), "piece")
        key = params.get(source, "")
        if source == "piece" and key and not (key.isascii() and key.isdigit() and len(key) < 19):
            raise BadAddress("the address names no piece: a piece is a number, like piece=12")
        mode = params.get("way", "sound")
        if mode not in MODES:
            raise BadAddress(
                f"the address has way={mode[:20]}, which is no kind of search; there are {', '.join(MODES)}"
            )
        start_s, end_s = (_seconds(params, name) for name in ("from", "to"))
        if start_s is not None and end_s is not None and start_s >= end_s:
            raise BadAddress("the passage in the address ends before it begins")
        k = params.get("k", "10")
        if not (k.isascii() and k.isdigit() and 1 <= int(k[:9]) <= MAX_RESULTS):
            raise BadAddress(f"the address asks for {k[:20]} results; ask for 1 to {MAX_RESULTS}")
        filters = tuple(line for line in params.get("where", "").splitlines() if line.strip())
        more, less = (_pieces(params, name) for name in ("more", "less"))
        return cls(source, key, start_s, end_s, mode, filters, int(k), more, less)

    def to_address(self) -> dict[str, str]:
        """Parameters that `from_address` reads; defaults are left out."""
        params = {self.source: self.key} if self.key else {}
        if self.start_s is not None:
            params["from"] = f"{self.start_s:.2f}"
        if self.end_s is not None:
            params["to"] = f"{self.end_s:.2f}"
        if self.mode != "sound":
            params["way"] = self.mode
        if self.filters:
            params["where"] = "\n".join(self.filters)
        if self.k != 10:
            params["k"] = str(self.k)
        for name, pieces in (("more", self.more), ("less", self.less)):
            if pieces:
                params[name] = ",".join(map(str, pieces))
        return params

    @property
    def number(self) -> int | None:
        """The piece of the library that is the query, if it is one."""
        return int(self.key) if self.source == "piece" and self.key else None

    def about(self, source: str, key: str) -> Self:
        """The same search for another piece, as a whole, from the first results on."""
        return replace(self, source=source, key=key, start_s=None, end_s=None, k=10, more=(), less=())


def _seconds(params: Mapping[str, str], name: str) -> float | None:
    text = params.get(name)
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise BadAddress(f"the address says {name}={text[:20]}, which is no time in seconds")
    return seconds


def _pieces(params: Mapping[str, str], name: str) -> tuple[int, ...]:
    words = [word for word in params.get(name, "").split(",") if word]
    if not all(word.isascii() and word.isdigit() and len(word) < 19 for word in words):
        raise BadAddress(f"the address says {name}={params[name][:20]}, which are no numbers of pieces")
    return tuple(dict.fromkeys(map(int, words)))[:MAX_EXAMPLES]
