"""The three searches of the demonstration: what is asked, what is known to be right, what came.

What is right is known from the works themselves (which chorales set one tune, where a passage was taken
from, who wrote a string quartet), not from any vector, so that everybody can check the answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .works import CHORALE_TUNES, settings_of

if TYPE_CHECKING:
    from index import Hit, Library, SearchResult

__all__ = ["Answered", "ask", "recall_of_settings"]

TUNE = "O Welt, ich muss dich lassen"
SETTING = f"bach/{TUNE}/bwv244.10.mid"
QUARTET = "mozart/k 458/movement1.mid"
OTHER_QUARTET = "mozart/k 156/movement1.mid"
QUARTETS_NOT_MOZART = ("haydn/", "beethoven/", "schumann/")

# How the second question's file was changed: a little higher, slower and less steady.
SEMITONES, SLOWER, JITTER_S = 2, 1.08, 0.02
PART_S = (60.0, 90.0)


@dataclass(frozen=True)
class Answered:
    """One of the three searches.

    Attributes
    ----------
    question : what is asked, in plain words
    arguments : the command that asks it, without `--library`
    result : the answers
    expected : whether each answer is one of the right ones
    verdict : what was found, counted against what is known
    """

    question: str
    arguments: tuple[str, ...]
    result: SearchResult
    expected: tuple[bool, ...]
    verdict: str

    def to_json(self) -> dict[str, Any]:
        return {
            "question": self.question,
            "arguments": list(self.arguments),
            "expected": list(self.expected),
            "verdict": self.verdict,
            **self.result.to_json(),
        }


def ask(library: Library, music: Path) -> Iterator[Answered]:
    """Ask the three questions of a library of the works below the folder `music`."""
    yield _other_settings(library, music)
    yield _unknown_passage(library, music)
    yield _whose_style(library, music)


def recall_of_settings(library: Library, music: Path, k: int = 10) -> tuple[float, int]:
    """Share of a tune's other settings among the first `k` answers, as a mean over all settings.

    Returns
    -------
    The share, and how many settings were asked for.
    """
    shares = []
    for tune in CHORALE_TUNES:
        files = {str(music / work.name) for work in settings_of(tune) if (music / work.name).exists()}
        for file in sorted(files):
            hits = library.search(file, k).results
            others = files - {file}
            shares.append(len(others & {hit.path for hit in hits}) / len(others))
    return sum(shares) / len(shares), len(shares)


def _other_settings(library: Library, music: Path) -> Answered:
    query = music / SETTING
    settings = {str(music / work.name) for work in settings_of(TUNE)} - {str(query)}
    result = library.search(query, 10)
    expected = tuple(hit.path in settings for hit in result.results)
    return Answered(
        question=f"Bach harmonised the tune '{TUNE}' several times. BWV 244.10 is one of these chorales: "
        "which pieces sound like it?",
        arguments=("search", str(query)),
        result=result,
        expected=expected,
        verdict=f"{sum(expected)} of the {len(settings)} other settings of this tune are among the first "
        f"{len(expected)} answers, of {result.query.pieces} pieces compared.",
    )


def _unknown_passage(library: Library, music: Path) -> Answered:
    query = music.parent / "queries" / "somebody plays.mid"
    if not query.exists():
        _write_variation(music / QUARTET, query)
    start_s, end_s = PART_S
    true_s = (start_s / SLOWER, end_s / SLOWER)
    result = library.search(query, 5, start_s=start_s, end_s=end_s, passages=True)
    source = str(music / QUARTET)
    half_s = 0.5 * (true_s[1] - true_s[0])
    expected = tuple(hit.path == source and _overlap_s(hit, true_s) > half_s for hit in result.results)
    match = next((hit for hit, right in zip(result.results, expected, strict=True) if right), None)
    truth = f"Its half minute was taken from {true_s[0]:.0f} to {true_s[1]:.0f} s of that movement"
    outcome = (
        f"answer {match.rank} names {match.start_s:.0f} to {match.end_s:.0f} s of it."
        if match
        else f"none of the {len(expected)} answers names that passage."
    )
    return Answered(
        question="A file made from the first movement of Mozart's quartet K 458, a tone higher, 8 % slower "
        "and with unsteady timing, of which only half a minute is searched for: where is that from?",
        arguments=("search", str(query), "--from", "1:00", "--to", "1:30", "--passages", "-k", "5"),
        result=result,
        expected=expected,
        verdict=f"{truth}; {outcome}",
    )


def _whose_style(library: Library, music: Path) -> Answered:
    query = music / OTHER_QUARTET
    without = f"path!~{os.path.join(music.name, 'mozart', '')}"
    result = library.search(query, 10, filters=[without])
    quartets = [str(path) for path in music.rglob("*.mid") if _is_quartet(path, music)]
    expected = tuple(hit.path in quartets for hit in result.results)
    return Answered(
        question="What sounds most like the first movement of Mozart's quartet K 156, if Mozart is left out?",
        arguments=("search", str(query), "--where", without),
        result=result,
        expected=expected,
        verdict=f"{sum(expected)} of the first {len(expected)} answers are string quartets by Haydn, "
        f"Beethoven or Schumann, who wrote {len(quartets)} of the {result.query.pieces} pieces compared.",
    )


def _is_quartet(path: Path, music: Path) -> bool:
    return path.relative_to(music).as_posix().startswith(QUARTETS_NOT_MOZART)


def _write_variation(source: Path, target: Path) -> None:
    import numpy as np

    from embedder import read_midi, write_midi

    played = read_midi(source, drums=False).transpose(SEMITONES).stretch(SLOWER)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_midi(played.jitter(JITTER_S, np.random.default_rng(1)).from_zero(), target)


def _overlap_s(hit: Hit, span_s: Sequence[float]) -> float:
    return min(hit.end_s, span_s[1]) - max(hit.start_s, span_s[0])
