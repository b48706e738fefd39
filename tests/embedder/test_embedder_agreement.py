"""Both readers agree, note for note, on every real file."""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from embedder import read_midi
from embedder.midi.container import unwrap
from embedder.midi.fallback_reader import read_with_mido
from embedder.midi.symusic_reader import Refused, read_with_symusic
from embedder.midi.ticks import Selection, assemble

FILES = 7_520  # in all sets


def compare(path: str) -> str:
    """How one file fares, with and without its pedal; mido is slow, so it parses the file once for both."""
    data = unwrap(Path(path).read_bytes())
    (patient,) = read_with_mido(data, most_notes=10**7, deadline_s=300)
    answer = "agree"
    for selection in (Selection(drums=True), Selection(drums=True, sustain=True)):
        expected = assemble(patient, selection, 1e6)
        try:
            score = read_with_symusic(data, sustain=selection.sustain, most_notes=10**7)
        except Refused:
            answer = "left to mido"
            if read_midi(path, drums=True, sustain=selection.sustain) != expected.notes:
                return f"differs when left to mido: {path}"
            continue
        fast = assemble(score, selection, 1e6)
        if fast.notes != expected.notes or fast.beats != expected.beats:
            return f"differs: {path}"
    return answer


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_both_readers_agree_on_every_file(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = sorted(str(path) for path in data_dir.glob("*/**/*") if path.suffix in (".mid", ".midi"))
    assert len(paths) == FILES
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        answers = Counter(processes.map(compare, paths, chunksize=40))
    with capsys.disabled():
        print(f"\n{len(paths)} files: {dict(answers.most_common(5))}", file=sys.stderr)
    assert set(answers) == {"agree", "left to mido"}
    assert answers["agree"] > 0.95 * FILES
