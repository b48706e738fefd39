"""A library embedded anew: the old vectors serve to the end, and nothing that is done is done twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from embedder.core.errors import EncoderMismatch, LibraryBusy
from embedder.notes import Notes
from index import Library, ReembedProgress, verify_library
from tests.support.fake_encoder import FakeEmbedded, FakeEncoder, tune, write_tunes


class Stopped(KeyboardInterrupt):
    """Ctrl-C in the middle."""


class Newer(FakeEncoder):
    """Another encoder with longer vectors, that can be stopped after some pieces."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__(id="newer@0123456789ab", dim=48)
        self.stop_after = stop_after

    def embed(self, pieces: Sequence[Notes]) -> FakeEmbedded:
        if self.stop_after is not None and sum(self.calls) >= self.stop_after:
            raise Stopped
        return super().embed(pieces)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.reembed.BATCH_NOTES", 400)


@pytest.fixture
def fresh(tmp_path: Path, music: Path) -> Iterator[Library]:
    """What a library is that was made with the newer encoder from the start."""
    with Library.open(tmp_path / "fresh", encoder=Newer()) as library:
        library.add(music, workers=1)
        yield library


def same_answers(one: Library, other: Library) -> bool:
    return all(
        one.search(tune(900), k=50, passages=passages) == other.search(tune(900), k=50, passages=passages)
        for passages in (False, True)
    )


def test_all_vectors_change_at_once(library: Library, fresh: Library, music: Path) -> None:
    states: list[ReembedProgress] = []
    before = library.search(1, k=50)

    def look(state: ReembedProgress) -> None:
        states.append(state)
        with Library.open(library.folder, encoder=FakeEncoder()) as reader:
            assert reader.search(1, k=50) == before

    report = library.maintenance.reembed(Newer(), look)
    assert (report.embedded, report.switched, report.interrupted) == (12, True, False)
    assert [state.done for state in states] == [3, 6, 9, 12]
    assert same_answers(library, fresh)
    info = library.info()
    assert (info.encoder, info.dim, info.windows) == (Newer().id, 48, fresh.info().windows)
    assert verify_library(library.folder).sound
    assert library.add(music, workers=1).unchanged == 12
    with pytest.raises(EncoderMismatch, match="midikin reembed"):
        Library.open(library.folder, encoder=FakeEncoder())


def test_what_is_stopped_goes_on(library: Library, fresh: Library, encoder: FakeEncoder) -> None:
    report = library.maintenance.reembed(Newer(stop_after=6))
    assert (report.embedded, report.switched, report.interrupted) == (6, False, True)
    assert library.info().encoder == encoder.id
    again = Newer()
    assert library.maintenance.reembed(again).embedded == 6
    assert sum(again.calls) == 6
    assert same_answers(library, fresh)
    assert not library.maintenance.reembed(again).switched  # there is nothing left to do


def test_pieces_that_come_and_go_meanwhile(library: Library, fresh: Library, music: Path) -> None:
    library.maintenance.reembed(Newer(stop_after=6))
    write_tunes(music / "more", 2, first_seed=70)
    library.add(music, workers=1)
    gone = music / "part0" / "tune000.mid"
    library.remove(gone)

    def late(state: ReembedProgress) -> None:
        if state.done == state.total == 13:
            with Library.open(library.folder, encoder=FakeEncoder()) as other:
                write_tunes(music / "late", 1, first_seed=90)
                other.add(music / "late", workers=1)

    report = library.maintenance.reembed(Newer(), late)
    assert report.switched
    assert library.info().pieces == 14
    fresh.add(music, workers=1)
    fresh.remove(gone)
    mine, theirs = (lib.search(tune(900), k=50).results for lib in (library, fresh))
    assert {(hit.path, round(hit.score, 5)) for hit in mine} == {
        (hit.path, round(hit.score, 5)) for hit in theirs
    }


@pytest.mark.parametrize("meanwhile", [False, True])
def test_pieces_that_are_read_again_meanwhile_are_embedded_from_their_new_notes(
    library: Library, fresh: Library, music: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: bool
) -> None:
    library.close()
    with closing(sqlite3.connect(library.folder / "midikin.db")) as connection, connection:
        wrong = "(SELECT packed FROM notes WHERE piece_id = 9)"
        connection.execute(f"UPDATE notes SET packed = {wrong}, crc = NULL WHERE piece_id < 5")
        connection.execute("UPDATE pieces SET reading = 0 WHERE id < 5")
    with Library.open(library.folder, encoder=FakeEncoder()) as adding:
        newer = Newer(None if meanwhile else 6)
        if meanwhile:  # between reading the notes of the first pieces and storing their vectors
            embed = newer.embed

            def late(pieces: Sequence[Notes]) -> FakeEmbedded:
                if not newer.calls:
                    assert adding.add(music, workers=1).reread == 4
                return embed(pieces)

            monkeypatch.setattr(newer, "embed", late)
            assert adding.maintenance.reembed(newer).switched
        else:
            assert adding.maintenance.reembed(newer).interrupted
            assert adding.add(music, workers=1).reread == 4
            assert adding.maintenance.reembed(Newer()).switched
    with Library.open(library.folder, encoder=Newer()) as after:
        assert same_answers(after, fresh)
        assert verify_library(after.folder).sound


def test_another_encoder_than_the_one_begun_with_starts_anew(library: Library) -> None:
    other = Newer(stop_after=6)
    other.id = "third@0123456789ab"
    library.maintenance.reembed(other)
    newer = Newer()
    assert library.maintenance.reembed(newer).embedded == 12
    with sqlite3.connect(library.folder / "midikin.db") as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        facts = {row[0] for row in connection.execute("SELECT name FROM meta")}
    connection.close()
    assert not {name for name in names | facts if name.startswith("next_")}


def test_a_second_process_is_refused(library: Library) -> None:
    with FileLock(library.folder / "reembed.lock"), pytest.raises(LibraryBusy, match="embedding"):
        library.maintenance.reembed(Newer())


def test_a_long_running_reader_changes_with_the_library(
    library: Library, fresh: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = [FakeEncoder()]
    monkeypatch.setattr("embedder.encoder.Encoder.load", lambda *name, **device: loaded[0])
    with Library.open(library.folder) as reader:
        assert same_answers(reader, library)
        library.maintenance.reembed(Newer())
        loaded[0] = Newer()
        assert same_answers(reader, fresh)


def test_an_encoder_that_has_been_replaced_is_refused_whenever_it_is_needed(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its vectors are of the encoder that came with an older midikin; what comes now is another."""
    monkeypatch.setattr("embedder.encoder.Encoder.load", lambda *name, **device: Newer())
    with Library.open(library.folder) as opened:
        for _ in range(2):
            with pytest.raises(EncoderMismatch, match="midikin reembed"):
                opened.search(tune(900))
        assert opened.search(1).results
