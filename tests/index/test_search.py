"""Searching: right order, right times, the query left out, filters exact, answers as JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from embedder.core.errors import MidiError, PieceNotFound
from embedder.midi.writing import write_midi
from embedder.notes import Notes
from index import Library
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes


def cosines(library: Library, encoder: FakeEncoder, query: Notes) -> dict[int, float]:
    """The plain answer: cosine with every piece, computed from the notes."""
    vector = encoder.embed([query]).pieces[0]
    return {
        piece.id: float(encoder.embed([library.notes(piece.id)]).pieces[0] @ vector)
        for piece in library.pieces(limit=1000)
    }


def test_whole_pieces_come_in_order_of_their_cosine(library: Library, encoder: FakeEncoder) -> None:
    query = tune(1000)
    plain = cosines(library, encoder, query)
    result = library.search(query, k=12)
    assert [hit.rank for hit in result.results] == list(range(1, 13))
    for hit in result.results:
        assert hit.score == pytest.approx(plain[hit.piece_id], abs=2e-3)
    scores = [hit.score for hit in result.results]
    assert scores == sorted(scores, reverse=True)
    piece = library.piece(result.results[0].piece_id)
    assert (result.results[0].start_s, result.results[0].end_s) == (piece.start_s, piece.end_s)
    assert result.query.pieces == 12


def test_a_piece_of_the_library_needs_no_encoder_and_is_no_answer(library: Library, music: Path) -> None:
    path = music / "part0" / "tune000.mid"
    number = library.pieces(["name=tune000.mid"])[0].id
    with Library.open(library.folder, encoder="no such encoder") as bare:
        for query in (number, path, str(path)):
            result = bare.search(query, k=20)
            assert len(result.results) == 11
            assert number not in {hit.piece_id for hit in result.results}
            assert result.query.piece_id == number
            itself = bare.search(query, include_self=True).results[0]
            assert itself.piece_id == number
            assert itself.score == pytest.approx(1, abs=1e-3)


def test_the_same_bytes_elsewhere_are_the_query_itself(library: Library, music: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mid"
    shutil.copy(music / "part0" / "tune000.mid", copy)
    result = library.search(copy, k=20)
    assert len(result.results) == 11
    assert result.query.path == str(copy)


def test_the_same_notes_in_other_bytes_are_an_answer(library: Library, music: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.mid"
    write_midi(tune(0), other, program=5)
    number = library.pieces(["name=tune000.mid"])[0].id
    best = library.search(other).results[0]
    assert best.piece_id == number
    assert "the very same notes in another file" in best.shared
    assert number not in {hit.piece_id for hit in library.search(library.notes(number), k=20).results}


def test_a_file_that_is_gone_is_still_a_query(library: Library, music: Path) -> None:
    path = music / "part0" / "tune000.mid"
    before = library.search(path)
    path.unlink()
    assert library.search(path) == before


def test_a_changed_file_is_read_anew(library: Library, music: Path) -> None:
    path = music / "part0" / "tune000.mid"
    write_midi(tune(3), path, program=9)
    result = library.search(path)
    assert result.query.piece_id is None
    assert result.results[0].path.endswith("tune003.mid")


def test_part_of_a_piece_finds_the_best_window_of_each(library: Library, encoder: FakeEncoder) -> None:
    query = tune(1000)
    part = query.slice_time(5, 12)
    vector = encoder.embed([part]).pieces[0]
    result = library.search(query, k=12, start_s=5, end_s=12)
    assert len({hit.piece_id for hit in result.results}) == 12
    for hit in result.results:
        embedded = encoder.embed([library.notes(hit.piece_id)])
        scores = embedded.windows @ vector
        assert hit.score == pytest.approx(float(scores.max()), abs=2e-3)
        best = int(np.argmin(np.abs(embedded.start_s - hit.start_s)))
        assert hit.end_s == pytest.approx(embedded.end_s[best])
    assert 5 <= result.query.start_s < 12


def test_a_part_of_a_stored_piece_uses_its_notes(library: Library, music: Path) -> None:
    path = music / "part0" / "tune000.mid"
    before = library.search(path, start_s=2, end_s=9, include_self=True)
    path.unlink()
    assert library.search(path, start_s=2, end_s=9, include_self=True) == before


def test_passages_have_times_inside_their_piece(library: Library) -> None:
    result = library.search(tune(1000), k=20, start_s=2, end_s=20, passages=True)
    assert len(result.results) == 20
    assert result.query.passages
    spans: dict[int, list[tuple[float, float]]] = {}
    for hit in result.results:
        piece = library.piece(hit.piece_id)
        assert piece.start_s <= hit.start_s < hit.end_s <= piece.end_s
        spans.setdefault(hit.piece_id, []).append((hit.start_s, hit.end_s))
    assert max(map(len, spans.values())) <= 3


def test_a_passage_taken_from_a_piece_is_found_there(library: Library) -> None:
    notes = library.notes(5).slice_notes(64, 128)
    best = library.search(notes, passages=True).results[0]
    assert best.piece_id == 5
    assert best.score == pytest.approx(1, abs=1e-3)
    assert best.start_s == pytest.approx(notes.start_s)


@pytest.mark.parametrize("passages", [False, True])
@pytest.mark.parametrize("name", ["tune007.mid", "tune00?.mid", "*"])
def test_a_filter_never_costs_answers(library: Library, name: str, passages: bool) -> None:
    expected = {piece.id for piece in library.pieces([f"name={name}"], limit=1000)}
    result = library.search(tune(1000), k=36, filters=[f"name={name}"], passages=passages)
    assert {hit.piece_id for hit in result.results} == expected
    assert result.query.pieces == len(expected)


def test_nothing_passes_an_impossible_filter(library: Library) -> None:
    assert library.search(1, filters=["notes>1000000"]).results == ()


def test_an_empty_library_answers_with_nothing(tmp_path: Path, encoder: FakeEncoder) -> None:
    with Library.open(tmp_path / "empty", encoder=encoder) as library:
        assert library.search(tune(1)).results == ()
        assert library.info().pieces == 0
        library.maintenance.prepare()


def test_a_search_sees_what_was_added_and_removed_since(library: Library, music: Path) -> None:
    query = tune(2000)
    library.search(query)
    library.search(query, passages=True)
    (path,) = write_tunes(music / "more", 1, first_seed=2000)
    library.add(music, workers=1)
    assert library.search(query, include_self=True).results[0].path == str(path)
    assert library.search(query, passages=True, include_self=True).results[0].path == str(path)
    library.remove(path)
    for passages in (False, True):
        result = library.search(query, k=100, passages=passages)
        assert str(path) not in {hit.path for hit in result.results}


def test_wrong_questions_say_what_is_wrong(library: Library, music: Path, tmp_path: Path) -> None:
    path = music / "part0" / "tune000.mid"
    with pytest.raises(ValueError, match="at least 1"):
        library.search(path, k=0)
    with pytest.raises(ValueError, match="must begin before it ends"):
        library.search(path, start_s=9, end_s=3)
    with pytest.raises(MidiError, match="its notes lie between"):
        library.search(path, start_s=5000)
    with pytest.raises(PieceNotFound):
        library.search(4711)
    with pytest.raises(MidiError):
        library.search(tmp_path / "nothing.mid")
    with pytest.raises(MidiError):
        library.search(tmp_path)
    with pytest.raises(MidiError, match="no notes"):
        library.search(Notes.empty())


def test_results_are_json_with_the_promised_fields(library: Library) -> None:
    answer = json.loads(json.dumps(library.search(1, k=3).to_json()))
    assert set(answer) == {"query", "results"}
    assert len(answer["results"]) == 3
    for hit in answer["results"]:
        assert {"rank", "path", "score", "start_s", "end_s"} <= set(hit)
    for record in (library.info(), library.pieces()[0]):
        json.dumps(record.to_json())


def test_searches_from_several_threads_agree(library: Library, music: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    alone = [library.search(number, passages=True) for number in range(1, 13)]
    write_tunes(music / "more", 3, first_seed=300)
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda n: library.search(n, passages=True), list(range(1, 13)) * 4))
    assert together == alone * 4
