"""The prepared corpus: notes come back, and damage is told."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from embedder import CorpusError
from tests.train.conftest import random_piece
from train.corpus import Corpus, write_corpus


def test_notes_come_back_as_they_went_in(corpus: Corpus) -> None:
    assert len(corpus) == 12
    assert corpus.sizes.tolist() == [300] * 12
    assert corpus.notes(5) == random_piece(5).stretch(1.5).from_zero()


def test_splits(corpus: Corpus) -> None:
    assert corpus.indices("validation").tolist() == [9, 10, 11]
    assert len(corpus.indices()) == 12


@pytest.mark.parametrize("file", ["offsets.npy", "pitch.npy", "pieces.jsonl"])
def test_a_damaged_corpus_is_told(corpus: Corpus, tmp_path: Path, file: str) -> None:
    copy = Path(shutil.copytree(corpus.folder, tmp_path / "copy"))
    (copy / file).write_bytes(b"x" * 50)
    with pytest.raises(CorpusError, match="not a prepared corpus"):
        Corpus(copy)
    (copy / file).unlink()
    with pytest.raises(CorpusError):
        Corpus(copy)


def test_arrays_of_different_length_are_told(corpus: Corpus, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(corpus.folder, tmp_path / "copy"))
    np.save(copy / "velocity.npy", np.ones(7, dtype=np.uint8))
    with pytest.raises(CorpusError, match="prepare the corpus again"):
        Corpus(copy)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("offsets", np.array([5, 6])),
        ("offsets", np.array([0.0, 6.0])),
        ("offsets", np.zeros((2, 2), np.int64)),
        ("offsets", np.int64(3)),
        ("offsets", np.array([], np.int64)),
        ("pitch", np.array(["a"])),
        ("onset", np.zeros((3, 2), np.uint32)),
    ],
)
def test_arrays_of_another_kind_are_told(
    corpus: Corpus, tmp_path: Path, name: str, array: NDArray[np.generic]
) -> None:
    shutil.copytree(corpus.folder, tmp_path / "c")
    np.save(tmp_path / "c" / f"{name}.npy", array)
    with pytest.raises(CorpusError, match="prepare the corpus again"):
        Corpus(tmp_path / "c")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive"])
def test_what_is_no_array_is_told(corpus: Corpus, tmp_path: Path, content: bytes) -> None:
    shutil.copytree(corpus.folder, tmp_path / "c")
    for name in ("offsets", "onset"):
        (tmp_path / "c" / f"{name}.npy").write_bytes(content)
        with pytest.raises(CorpusError, match="not a prepared corpus"):
            Corpus(tmp_path / "c")


def test_an_empty_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no piece"):
        write_corpus(tmp_path, [], {})
