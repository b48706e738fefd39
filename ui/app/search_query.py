"""Running a search with examples, and filters between controls and text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .escaping import clock, key_name

if TYPE_CHECKING:
    from embedder.notes import Notes
    from index import FindResult, Hit, Library, SearchResult

    from .query_params import QueryParams

__all__ = ["FilterControls", "filter_label", "run_search"]

_POOL = 400  # results of each example that are merged
_LESS = 0.7  # weight of what results should not be similar to
MAX_BPM, MAX_LENGTH_S = 240, 900
_RANGE = re.compile(r"(tempo|duration)=(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)")


def run_search(library: Library, query: Notes | int, params: QueryParams) -> SearchResult | FindResult:
    """The results of a search.

    With further examples each is searched for, and pieces are ranked by the sum of their cosines with the
    query and the pieces of `params.more`, less those with the pieces of `params.less`. For whole pieces that
    is Rocchio's relevance feedback (J. Rocchio, "Relevance feedback in information retrieval", 1971).
    """
    include_self = params.number is None
    if params.mode == "music":
        return library.find(
            query,
            params.k,
            start_s=params.start_s,
            end_s=params.end_s,
            filters=params.filters,
            include_self=include_self,
        )
    examples = bool(params.more or params.less) and params.mode == "sound"
    result = library.search(
        query,
        max(params.k, _POOL) if examples else params.k,
        start_s=params.start_s,
        end_s=params.end_s,
        passages=params.mode == "passages",
        filters=params.filters,
        include_self=include_self,
    )
    if not examples:
        return result
    hits: dict[int, Hit] = {hit.piece_id: hit for hit in result.results}
    scores = {number: hit.score for number, hit in hits.items()}
    floor = min(scores.values(), default=0.0)
    for weight, numbers in ((1.0, params.more), (-_LESS, params.less)):
        for number in numbers:
            other = library.search(number, _POOL, filters=params.filters, include_self=True).results
            least = min((hit.score for hit in other), default=0.0)
            found = {hit.piece_id: hit.score for hit in other}
            if weight > 0:
                for hit in other:
                    hits.setdefault(hit.piece_id, hit)
            for piece in hits:
                scores[piece] = scores.get(piece, floor) + weight * found.get(piece, least)
    shown = {*params.more, *params.less, params.number}
    total = 1 + len(params.more)
    ranked = sorted((-scores[number] / total, number) for number in hits if number not in shown)
    merged = [
        replace(hits[number], rank=rank, score=max(-1.0, min(1.0, -score)))
        for rank, (score, number) in enumerate(ranked[: params.k], start=1)
    ]
    return replace(result, results=tuple(merged))


@dataclass(frozen=True)
class FilterControls:
    """Filters as the controls of the page show them.

    Attributes
    ----------
    tempo, length_s : ranges; the whole of them is no filter
    key, folder : "" for any
    tags : names of tags, or `name: value`
    text : filters that no control shows, as they are written
    """

    tempo: tuple[int, int] = (0, MAX_BPM)
    length_s: tuple[int, int] = (0, MAX_LENGTH_S)
    key: str = ""
    folder: str = ""
    tags: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    @classmethod
    def from_filters(cls, filters: Iterable[str]) -> FilterControls:
        """Read filters; what does not fit a control stays text."""
        controls = cls()
        for written in filters:
            name, _, value = written.partition("=")
            span = _RANGE.fullmatch(written)
            if span and span[1] == "tempo" and controls.tempo == (0, MAX_BPM):
                controls = replace(
                    controls, tempo=(round(float(span[2])), min(MAX_BPM, round(float(span[3]))))
                )
            elif span and span[1] == "duration" and controls.length_s == (0, MAX_LENGTH_S):
                end = min(MAX_LENGTH_S, round(float(span[3])))
                controls = replace(controls, length_s=(round(float(span[2])), end))
            elif name == "key" and value and not controls.key:
                controls = replace(controls, key=value)
            elif name == "tag" and value:
                controls = replace(controls, tags=(*controls.tags, value))
            elif written.startswith("path~") and not controls.folder:
                controls = replace(controls, folder=written.removeprefix("path~"))
            else:
                controls = replace(controls, text=(*controls.text, written))
        return controls

    def to_filters(self) -> tuple[str, ...]:
        """Filters as `index.Filters` reads them."""
        written = []
        if self.tempo != (0, MAX_BPM):
            high = self.tempo[1] if self.tempo[1] < MAX_BPM else 9999
            written.append(f"tempo={self.tempo[0]}..{high}")
        if self.length_s != (0, MAX_LENGTH_S):
            high = self.length_s[1] if self.length_s[1] < MAX_LENGTH_S else 99999
            written.append(f"duration={self.length_s[0]}..{high}")
        if self.key:
            written.append(f"key={self.key}")
        written += [f"tag={tag}" for tag in self.tags]
        if self.folder:
            written.append(f"path~{self.folder}")
        return (*written, *self.text)


def filter_label(written: str) -> str:
    """A filter in words, for its chip."""
    span = _RANGE.fullmatch(written)
    if span:
        low, high = float(span[2]), float(span[3])
        if span[1] == "tempo":
            if high > MAX_BPM:
                return f"from {low:.0f} BPM"
            return f"{low:.0f} to {high:.0f} BPM" if low else f"up to {high:.0f} BPM"
        if high > MAX_LENGTH_S:
            return f"from {clock(low)}"
        return f"{clock(low)} to {clock(high)}" if low else f"up to {clock(high)}"
    name, _, value = written.partition("=")
    if name == "key" and value:
        return key_name(value)
    if name == "tag" and value:
        return value
    if written.startswith("path~"):
        return f"in {written.removeprefix('path~')}"
    return written
