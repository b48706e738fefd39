"""What is asked on the search page, as a value that is written into the address and read from it again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from embedder.core.errors import MidikinError

__all__ = ["MOST_ANSWERS", "WAYS", "Asked", "BadAddress"]

# What is looked for -> how the page calls it
WAYS = {"sound": "Sounds alike", "passages": "Passages that sound alike", "music": "The same music"}
SOURCES = ("piece", "upload", "played")
MOST_ANSWERS = 100


class BadAddress(MidikinError):
    """The address asks for something that cannot be."""


@dataclass(frozen=True)
class Asked:
    """A question to the library.

    Attributes
    ----------
    source, key : a piece's number, an upload's key or the played notes; "" for no question yet
    start_s, end_s : the part of it that is meant
    way : one of `WAYS`
    filters : as `index.Filters` reads them
    k : how many answers
    """

    source: str = "piece"
    key: str = ""
    start_s: float | None = None
    end_s: float | None = None
    way: str = "sound"
    filters: tuple[str, ...] = ()
    k: int = 10

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
        way = params.get("way", "sound")
        if way not in WAYS:
            raise BadAddress(f"the address asks in a way that does not exist; there are {', '.join(WAYS)}")
        start_s, end_s = (_seconds(params, name) for name in ("from", "to"))
        if start_s is not None and end_s is not None and start_s >= end_s:
            raise BadAddress("the part in the address ends before it begins")
        k = params.get("k", "10")
        if not (k.isascii() and k.isdigit() and 1 <= int(k[:9]) <= MOST_ANSWERS):
            raise BadAddress(f"the address asks for {k[:20]} answers; ask for 1 to {MOST_ANSWERS}")
        filters = tuple(line for line in params.get("where", "").splitlines() if line.strip())
        return cls(source, key, start_s, end_s, way, filters, int(k))

    def to_address(self) -> dict[str, str]:
        """Parameters that `from_address` reads; what is as usual is left out."""
        params = {self.source: self.key} if self.key else {}
        if self.start_s is not None:
            params["from"] = f"{self.start_s:.2f}"
        if self.end_s is not None:
            params["to"] = f"{self.end_s:.2f}"
        if self.way != "sound":
            params["way"] = self.way
        if self.filters:
            params["where"] = "\n".join(self.filters)
        if self.k != 10:
            params["k"] = str(self.k)
        return params

    @property
    def number(self) -> int | None:
        """The piece that is asked about, if it is one of the library."""
        return int(self.key) if self.source == "piece" and self.key else None

    def about(self, source: str, key: str) -> Self:
        """The same question about another piece, as a whole."""
        return replace(self, source=source, key=key, start_s=None, end_s=None)


def _seconds(params: Mapping[str, str], name: str) -> float | None:
    written = params.get(name)
    if not written:
        return None
    try:
        seconds = float(written)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise BadAddress(f"the address says {name}={written[:20]}, which is no time in seconds")
    return seconds
