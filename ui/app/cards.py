"""Results for the rows component: what a piece is, how similar, and what it shares; and the same as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from embedder.core.errors import MidikinError
from embedder.notes import Notes
from index import Found, Hit, Library, Piece

from . import state
from .catalog import catalog
from .components import comparison_rolls
from .escaping import cell, clock, file_name, key_name, plain
from .visitors import remote, shown_error

if TYPE_CHECKING:
    from embedder import Descriptors

__all__ = [
    "comparison",
    "facts",
    "piece_row",
    "result_rows",
    "results_csv",
    "shared_sentence",
    "similarity",
    "title_of",
]

WORDS = ((85, "Very close"), (70, "Close"), (55, "Related"), (0, "Distant"))
# Shares of random pairs of pieces that are less similar, and the percentage shown for that similarity.
_SCALE = ((0.5, 35.0), (0.9, 55.0), (0.99, 70.0), (0.999, 85.0))
_DEFAULT_COSINES = (0.13, 0.33, 0.48, 0.58)  # those quantiles of 84,000 pairs of files of all kinds
_SAMPLE = 600  # pieces whose pairs are measured
_MIN_PIECES = 60
_INTERVALS = (
    "", "a semitone", "a whole tone", "a minor third", "a major third", "a fourth", "a tritone",
)  # fmt: skip
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SURE = 0.5


def title_of(piece: Piece | Hit | Found | int) -> str:
    """What a piece of the library is called on all pages."""
    number = piece if isinstance(piece, int) else piece.id if isinstance(piece, Piece) else piece.piece_id
    named = catalog().title(number)
    return named or ("" if isinstance(piece, int) else piece.title or file_name(piece.display))


def facts(descriptors: Descriptors) -> str:
    """Key, tempo, length and number of notes, in a line."""
    about = [key_name(descriptors.key) + ("" if descriptors.key_confidence >= _SURE else "?")]
    if descriptors.tempo_bpm:
        about.append(f"{descriptors.tempo_bpm:.0f} BPM")
    about.append(clock(descriptors.duration_s))
    notes = descriptors.notes
    return " · ".join([*about, f"{notes:,} note{'' if notes == 1 else 's'}"])


# -- similarity ----------------------------------------------------------------------------------------------


def similarity(score: float) -> tuple[int, str]:
    """A cosine as a percentage and a word.

    The scale is set by the library: "Very close" is closer than 99.9 % of random pairs of its pieces, "Close"
    than 99 %, "Related" than 90 %.
    """
    library = state.library()
    info = library.info()
    cosines = _cosines(str(library.folder), info.encoder or "", info.pieces // 200)
    shown = [percent for _, percent in _SCALE]
    percent = round(float(np.interp(score, [-1.0, *cosines, 1.0], [0.0, *shown, 100.0])))
    return percent, next(word for limit, word in WORDS if percent >= limit)


@st.cache_resource(max_entries=4, show_spinner=False)
def _cosines(folder: str, encoder: str, size: int) -> tuple[float, ...]:
    """Cosines at the shares of `_SCALE` among random pairs of pieces, strictly rising."""
    library = state.library()
    if not _MIN_PIECES <= library.info().pieces <= 20_000:
        return _DEFAULT_COSINES
    _, vectors = library.vectors()
    sample = vectors[np.random.default_rng(0).permutation(len(vectors))[:_SAMPLE]]
    pairs = np.dot(sample, sample.T)[np.triu_indices(len(sample), 1)]
    quantiles = np.quantile(pairs, [share for share, _ in _SCALE])
    rising = np.maximum.accumulate(np.minimum(quantiles, 0.98)) + np.arange(len(_SCALE)) * 1e-3
    return tuple(float(value) for value in rising)


def shared_sentence(query: Descriptors, hit: Descriptors, *, same_notes: bool = False) -> str:
    """What two pieces share and how they differ, from their descriptors alone."""
    if same_notes:
        return "Exactly the same notes in another file"
    parts = [_keys(query, hit), _tempi(query, hit)]
    if query.density and hit.density:
        ratio = hit.density / query.density
        parts.append(
            "as dense" if 0.87 <= ratio <= 1.15 else "twice as dense" if ratio >= 1.9 else "denser"
            if ratio > 1.3 else "half as dense" if ratio <= 0.53 else "sparser" if ratio < 0.77 else ""
        )  # fmt: skip
    if query.polyphony and hit.polyphony and max(query.polyphony, hit.polyphony) < 1.25:
        parts.append("one voice")
    elif query.polyphony and hit.polyphony and abs(np.log(hit.polyphony / query.polyphony)) < 0.1:
        parts.append("equally full chords")
    apart = hit.pitch_mean - query.pitch_mean
    parts.append(
        "same register"
        if abs(apart) <= 2
        else f"{'higher' if apart > 0 else 'lower'} register"
        if abs(apart) >= 5
        else ""
    )
    louder = hit.velocity_mean - query.velocity_mean
    parts.append("louder" if louder > 18 else "softer" if louder < -18 else "")
    sentence = "; ".join([part for part in parts if part][:4])
    return sentence[:1].upper() + sentence[1:] if sentence else "Similar in sound, not in key or tempo"


def _tonic(key: str) -> int:
    name = key.partition(" ")[0]
    return (_SEMITONES[name[0]] + name.count("#") - name[1:].count("b")) % 12


def _keys(query: Descriptors, hit: Descriptors) -> str:
    if min(query.key_confidence, hit.key_confidence) < _SURE:
        return ""
    if query.key == hit.key:
        return "same key"
    modes = [key.rpartition(" ")[2] for key in (query.key, hit.key)]
    steps = (_tonic(hit.key) - _tonic(query.key)) % 12
    if modes[0] == modes[1]:
        return f"{_INTERVALS[steps]} higher" if steps <= 6 else f"{_INTERVALS[12 - steps]} lower"
    if steps == (9 if modes[0] == "major" else 3):
        return "relative key"
    return f"in {modes[1]}" if steps else f"same tonic, in {modes[1]}"


def _tempi(query: Descriptors, hit: Descriptors) -> str:
    first, second = query.tempo_bpm, hit.tempo_bpm
    if not first or not second or first == second == 120:  # 120 is what programs write by default
        return ""
    if abs(second / first - 1) <= 0.02:
        return "same tempo"
    return f"{abs(second - first):.0f} BPM {'faster' if second > first else 'slower'}"


# -- rows ------------------------------------------------------------------------------------------------


def piece_row(number: int, descriptors: Descriptors, display: str) -> dict[str, Any]:
    """The part of a row that is true of a piece by itself."""
    names = catalog()
    return {
        "id": number,
        "title": names.title(number) or file_name(display),
        "path": names.relative(display),
        "key_name": key_name(descriptors.key) if descriptors.key_confidence >= _SURE else "",
        "bpm": f"{descriptors.tempo_bpm:.0f}" if descriptors.tempo_bpm else "",
        "length": clock(descriptors.duration_s),
        "facts": facts(descriptors),
        "number": number,
    }


def result_rows(answers: Sequence[Hit | Found], query: Descriptors) -> list[dict[str, Any]]:
    """Results as rows, one a piece; further passages of a piece are in `spans` of its row."""
    rows: dict[int, dict[str, Any]] = {}
    for answer in answers:
        number = answer.piece_id
        if isinstance(answer, Found):
            percent, word = round(100 * answer.confidence), "Confidence"
            about = state.music(number).descriptors
            why, label = _found_sentence(answer), "the same music"
        else:
            percent, word = similarity(answer.score)
            about = answer.descriptors
            same = any("same notes" in shared for shared in answer.shared)
            why, label = shared_sentence(query, about, same_notes=same), "the passage that matches best"
        span = [answer.start_s, answer.end_s, percent]
        if number in rows:
            rows[number]["spans"].append(span)
            rows[number]["passages"] = len(rows[number]["spans"])
            continue
        whole = answer.end_s - answer.start_s >= about.duration_s - 0.5
        rows[number] = piece_row(number, about, answer.display) | {
            "why": why,
            "word": word,
            "percent": percent,
            "start": answer.start_s,
            "end": answer.end_s,
            "whole": whole,
            "label": label,
            "spans": [span],
            "passages": 1,
            "query_start": answer.query_start_s if isinstance(answer, Found) else 0.0,
        }
    return list(rows.values())


def _found_sentence(answer: Found) -> str:
    """How a piece holds the query."""
    parts = [f"Holds {answer.matched:.0%} of the notes, {clock(answer.start_s)} to {clock(answer.end_s)}"]
    if answer.transposition:
        count = abs(answer.transposition)
        step = f"{count} semitone{'' if count == 1 else 's'}"
        parts.append(f"{step} {'lower' if answer.transposition > 0 else 'higher'}")
    if abs(answer.tempo_ratio - 1) > 0.03:
        slower = answer.tempo_ratio > 1
        change = abs(1 / answer.tempo_ratio - 1)
        parts.append(f"{change:.0%} {'slower' if slower else 'faster'}")
    return "; ".join(parts)


def comparison(library: Library, first: Notes | int, second: int, *, key: str) -> None:
    """Two pieces side by side: A above, B below."""
    try:
        compared = library.compare(first, second)
    except MidikinError as error:
        st.info(shown_error(error))
        return
    shift = compared.comparison.transposition
    summary = compared.says + (f", {shift:+d} semitones" if shift else "")
    if not compared.comparison.one.passages:
        st.info(f"The notes of the two agree nowhere: {plain(summary)}.")
        return
    here, there = len(compared.only_one), len(compared.only_other)
    st.caption(
        f"A above, B below: {plain(summary)}. Bands join what agrees. Red: {here} of A and {there} of "
        f"B have no "
        "counterpart within it."
    )
    comparison_rolls(
        key,
        state.music(first).notes if isinstance(first, int) else first,
        state.music(second).notes,
        names=(title_of(first) if isinstance(first, int) else "the query", title_of(second)),
        passages=[(p.knots_s.tolist(), p.other_knots_s.tolist()) for p in compared.comparison.one.passages],
        only_first=[(note.onset_s, note.pitch) for note in compared.only_one],
        only_second=[(note.onset_s, note.pitch) for note in compared.only_other],
        alt=f"Two piano rolls, A above B: {compared.says}; {len(compared.comparison.one.passages)} passages "
        f"shared, {here + there} differing notes. Space plays A, arrows move.",
    )


def results_csv(answers: Iterable[Hit | Found]) -> str:
    """Results as a table for spreadsheets."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names: list[str] = []
    paths = catalog()
    for answer in answers:
        if isinstance(answer, Found):
            score, shared = answer.confidence, _found_sentence(answer)
        else:
            score, shared = answer.score, "; ".join(answer.shared)
        row = {
            "rank": answer.rank,
            "piece": answer.piece_id,
            "score": f"{score:.4f}",
            "start_s": f"{answer.start_s:.2f}",
            "end_s": f"{answer.end_s:.2f}",
            "title": answer.title,
            "path": paths.relative(answer.display) if remote() else answer.display,
            "shared": shared,
            **asdict(state.music(answer.piece_id).descriptors),
        }
        if not names:
            names = list(row)
            writer.writerow(names)
        writer.writerow([cell(row[name]) for name in names])
    return text.getvalue()
