"""The public face of the package, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

import embedder
from embedder.core import errors


def test_names_are_sorted_and_there() -> None:
    assert sorted(set(embedder.__all__), key=str.lower) == sorted(embedder.__all__, key=str.lower)
    assert set(errors.__all__) <= set(embedder.__all__)
    assert set(embedder._HOME) == set(embedder.__all__)
    assert dir(embedder) == sorted(embedder.__all__)
    for name in embedder.__all__:
        value = getattr(embedder, name)
        assert value.__name__ == name if callable(value) else value == 50_000
        # A part of that name would take the place of what is exported as soon as it is imported.
        assert find_spec(f"embedder.{name}") is None


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        embedder.nothing  # noqa: B018
    with pytest.raises(ImportError):
        from embedder import nothing  # noqa: F401


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys; import embedder; before = set(sys.modules);"
        "from embedder import read_midi, describe, write_midi;"
        "print(bool(before & {'numpy', 'mido', 'symusic', 'torch'}),"
        "bool(set(sys.modules) & {'mido', 'symusic', 'torch', 'faiss', 'sqlalchemy'}))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]
