"""The ground floor: files replaced whole or not at all, arrays that every package counts on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedder.core.arrays import connected_components, ragged_ranges, unit_rows
from embedder.core.files import atomic_file, atomic_write, printable, replace_with, sha256_of
from embedder.core.table_files import format_table, guarded, unguarded
from embedder.core.text import count, iso_utc, percent, tempo_change


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    atomic_write(path, "one")
    with pytest.raises(RuntimeError):
        write_half(path)
    with pytest.raises(RuntimeError):
        replace_with(path, lambda beside: beside.write_text("th") and raise_error())
    assert path.read_text() == "one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def write_half(path: Path) -> None:
    with atomic_file(path) as file:
        file.write(b"tw")
        raise RuntimeError


def raise_error() -> None:
    raise RuntimeError


def test_a_fixed_name_beside_the_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "a.new").symlink_to(victim)
    atomic_write(tmp_path / "a", b"new", name="a.new")
    assert (victim.read_text(), (tmp_path / "a").read_text()) == ("mine", "new")


def test_hashes_are_those_of_the_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_paths_print_as_one_line() -> None:
    assert printable(b"a\nb\xff") == "a\\nb\\xff"


def test_rows_become_unit_vectors_and_zero_stays_zero() -> None:
    rows = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32))
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]], atol=1e-6)


def test_ragged_ranges_stand_one_behind_another() -> None:
    assert ragged_ranges([5, 0, 9], [2, 0, 3]).tolist() == [5, 6, 9, 10, 11]
    assert ragged_ranges([], []).tolist() == []


def test_components_are_numbered_by_their_first_nodes() -> None:
    assert connected_components(6, [(4, 1), (5, 0), (1, 2)]).tolist() == [0, 1, 1, 2, 1, 0]
    assert connected_components(2, []).tolist() == [0, 1]


def test_nouns_agree_with_their_numbers() -> None:
    assert [count(n, "piece") for n in (0, 1, 2, 1234)] == ["0 pieces", "1 piece", "2 pieces", "1,234 pieces"]
    assert count(2, "copy", "copies") == "2 copies"


def test_shares_and_tempi_in_words() -> None:
    assert (percent(0.49), percent(1)) == ("49 %", "100 %")
    words = [tempo_change(ratio) for ratio in (0.94, 1.25, 2, 1.004)]
    assert words == ["6 % slower", "25 % faster", "100 % faster", None]


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-x", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''@"]
)
def test_text_that_a_spreadsheet_would_run_is_guarded_and_comes_back(text: str) -> None:
    assert guarded(text) == f"'{text}"
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", ["", "plain", "-5", "+0.25", "-1e-05", "-3 %", "'tis", "a=b"])
def test_other_text_and_numbers_are_not_guarded(text: str) -> None:
    assert guarded(text) == unguarded(text) == text


def test_a_table_is_written_as_csv_tsv_or_json() -> None:
    rows = [("=a", 1, None), ("b\udcff", -2.5, True)]
    assert format_table(("x", "y", "z"), rows) == "x,y,z\n'=a,1,\nb\\udcff,-2.5,True\n"
    assert format_table(("x", "y", "z"), rows, "tsv").splitlines()[1] == "'=a\t1\t"
    assert format_table(("x",), [("=a",)], "json") == '[\n  {\n    "x": "=a"\n  }\n]\n'


@pytest.mark.parametrize("seconds", [1e18, -1e18, 1e300, float("nan"), float("inf")])
def test_times_of_no_calendar_are_empty(seconds: float) -> None:
    assert iso_utc(seconds) == ""
    assert iso_utc(0) == "1970-01-01T00:00:00+00:00"
