"""The demonstration: scores become notes, files appear once, answers are counted rightly."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedder import read_midi, read_piece
from ui.demo.making import make_files
from ui.demo.works import CHORALE_TUNES, Work, corpus_folder, settings_of, works

pytest.importorskip("music21", reason="the extra demo is not installed")
ROOT = Path(__file__).resolve().parents[2]
Run = Any


def parsed(work: Work) -> Any:
    from music21 import converter

    return converter.parse(
        corpus_folder() / work.source, number=work.number, forceSource=True, storePickle=False
    )


def test_there_are_enough_works_and_each_has_its_own_name() -> None:
    found = works()
    assert len(found) >= 300
    assert len({work.name.casefold() for work in found}) == len(found)
    assert len({(work.source, work.number) for work in found}) == len(found)
    for tune in CHORALE_TUNES:
        settings = settings_of(tune)
        assert len(settings) >= 3
        assert set(settings) <= set(found), tune


@pytest.mark.parametrize("tune", ["O Welt, ich muss dich lassen", "Herzlich tut mich verlangen"])
def test_the_settings_of_a_tune_have_one_melody(tune: str) -> None:
    """The top voices of a set share long runs of intervals; the tunes of different sets do not."""
    melodies = [top_voice(work) for work in settings_of(tune)[:6]]
    others = [top_voice(settings_of(name)[0]) for name in list(CHORALE_TUNES)[2:8]]
    for i, melody in enumerate(melodies):
        within = max(alike(melody, other) for j, other in enumerate(melodies) if j != i)
        assert within > 0.6 > max(alike(melody, other) for other in others)


def top_voice(work: Work) -> list[int]:
    notes = parsed(work).parts[0].flatten().notes
    pitches = [n.pitch.midi for n in notes if n.tie is None or n.tie.type == "start"]
    return [b - a for a, b in pairwise(pitches)][:45]


def alike(a: list[int], b: list[int]) -> float:
    import difflib

    matches = difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    return sum(match.size for match in matches if match.size >= 4) / min(len(a), len(b))


def test_a_score_s_notes_ties_tempi_and_chords() -> None:
    from music21 import chord, harmony, instrument, note, stream, tempo, tie

    from embedder.midi.music21_reader import notes_of_score

    upper, lower = stream.Part(), stream.Part()
    upper.insert(0, tempo.MetronomeMark(number=60))
    upper.insert(4, tempo.MetronomeMark(number=120))
    first, second = note.Note("C5", quarterLength=2), note.Note("C5", quarterLength=1)
    first.tie, second.tie = tie.Tie("start"), tie.Tie("stop")
    upper.insert(0, first)
    upper.insert(2, second)
    upper.insert(3, note.Note("C5", quarterLength=1))  # struck again: not tied
    upper.insert(4, chord.Chord(["E4", "G4"], quarterLength=2))
    upper.insert(0, harmony.ChordSymbol("Cm"))  # names a chord that nobody plays
    lower.insert(0, instrument.Clarinet())  # in B flat: sounds a tone lower than written
    lower.atSoundingPitch = False  # as the readers of scores leave it
    lower.insert(1, note.Note("D3", quarterLength=1))
    lower.insert(2, note.Note("F3").getGrace())
    lower.insert(2, note.Note("D3", quarterLength=1))
    score = stream.Score([upper, lower])
    notes = notes_of_score(score)
    listed = [tuple(map(float, row)) for row in zip(notes.onset, notes.end, notes.pitch, strict=True)]
    assert listed == [
        (0.0, 3.0, 72.0),
        (1.0, 2.0, 48.0),
        (2.0, 3.0, 48.0),
        (2.0, 2.125, 51.0),
        (3.0, 4.0, 72.0),
        (4.0, 5.0, 64.0),
        (4.0, 5.0, 67.0),
    ]


@pytest.mark.parametrize("name", ["bach/bwv846.mid", "corelli/1grave.mid", "verdi/laDonnaEMobile.mid"])
def test_notes_agree_with_music21_s_own_midi_export(name: str, tmp_path: Path) -> None:
    from embedder.midi.music21_reader import notes_of_score

    score = parsed(next(work for work in works() if work.name == name))
    score.write("midi", tmp_path / "exported.mid")
    exported, ours = read_midi(tmp_path / "exported.mid", drums=True), notes_of_score(score)
    export_counts = np.bincount(exported.pitch, minlength=128)
    our_counts = np.bincount(ours.pitch, minlength=128)
    # The export plays repeats and realises ornaments; what is written is among it.
    assert (our_counts <= export_counts).all() or np.abs(our_counts - export_counts).sum() < 0.02 * len(ours)


def test_files_are_made_once_and_missing_ones_later(tmp_path: Path) -> None:
    chosen = settings_of("Wir Christenleut")
    told: list[tuple[int, int]] = []
    assert make_files(chosen, tmp_path, lambda done, total: told.append((done, total))) == 3
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    files = sorted(tmp_path.rglob("*"))
    before = {file: file.stat().st_mtime_ns for file in files if file.is_file()}
    assert [file.name for file in before] == ["bwv110.7.mid", "bwv248.35-3.mid", "bwv40.3.mid"]
    assert all(len(read_piece(file).notes) > 100 and read_piece(file).tempo_bpm is None for file in before)
    first = next(iter(before))
    first.unlink()
    assert make_files(chosen, tmp_path, lambda done, total: None) == 1
    assert {f for f in before if f.stat().st_mtime_ns != before[f]} == {first}
    assert make_files(chosen, tmp_path, lambda done, total: pytest.fail("new") if done < 3 else None) == 0


def test_without_music21_one_line_says_what_to_install(
    midikin: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    errors = midikin("demo", "--folder", tmp_path / "demo", status=1).stderr
    assert errors.splitlines() == [
        "midikin: the demonstration needs the package music21: pip install 'midikin[demo]'"
    ]


@pytest.mark.slow
def test_the_whole_demonstration_twice(tmp_path: Path) -> None:
    """As a user runs it, with the shipped encoder; the second run makes nothing."""
    command = [sys.executable, "-m", "ui.cli", "demo", "--folder", str(tmp_path / "demo")]
    environment = os.environ | {"MIDIKIN_LIBRARY": str(tmp_path / "own")}
    options: dict[str, Any] = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    first = subprocess.run([*command, "--json"], **options, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (first.returncode, first.stderr) == (0, "")
    assert after.ru_utime - before.ru_utime < 300  # two cores have 600 s in the five minutes that it may take
    found = json.loads(first.stdout)["searches"]
    assert [len(search["results"]) for search in found] == [10, 5, 10]
    assert sum(found[0]["expected"]) >= 3  # of 8 among 345: by chance 0.2
    assert any(found[1]["expected"])
    assert sum(found[2]["expected"]) >= 3  # 21 of 331: by chance 0.6
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "demo").rglob("*.mid")}
    assert len(files) >= 300

    second = subprocess.run(command, **options, check=False)
    assert (second.returncode, second.stderr) == (0, "")
    assert {file: file.stat().st_mtime_ns for file in files} == files
    for search in found:
        assert search["verdict"] in " ".join(second.stdout.split())
    assert "What to type next" in second.stdout
    assert not (tmp_path / "own").exists()
