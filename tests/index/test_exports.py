"""The public surface: sorted, complete, and light to import."""

from __future__ import annotations

import subprocess
import sys

import index


def test_every_public_name_can_be_used() -> None:
    assert len(set(index.__all__)) == len(index.__all__)
    for name in index.__all__:
        assert getattr(index, name) is not None
    assert dir(index) == sorted(index.__all__)


def test_importing_costs_next_to_nothing() -> None:
    heavy = ("numpy", "torch", "faiss", "sqlalchemy", "symusic")
    code = f"import sys, index; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_a_search_by_piece_loads_neither_torch_nor_a_reader(library: index.Library) -> None:
    code = (
        "import sys; from index import Library\n"
        f"with Library.open({str(library.folder)!r}) as library:\n"
        "    assert library.search(1).results and library.info().pieces\n"
        "print([m for m in ('torch', 'symusic', 'mido') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
