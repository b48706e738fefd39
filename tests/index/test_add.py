"""Adding: what is new, changed, moved, duplicated, vanished, broken."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from embedder.core.errors import EncoderMismatch, LibraryError, PieceNotFound
from embedder.midi.reading import read_midi
from embedder.midi.writing import write_midi
from embedder.notation import Part
from embedder.notes import Notes
from index import AddProgress, Library
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes


def paths_of(library: Library) -> set[str]:
    return {path for piece in library.pieces(limit=1000) for path in piece.paths}


def test_adding_a_folder_stores_every_piece(library: Library, music: Path) -> None:
    files = sorted(str(path) for path in music.rglob("*.mid"))
    assert sorted(paths_of(library)) == files
    info = library.info()
    assert (info.pieces, info.paths, info.failures) == (12, 12, 0)
    assert info.encoder == "fake@0123456789ab"
    for piece in library.pieces():
        assert library.notes(piece.id) == read_midi(piece.path)
        assert piece.descriptors.notes == len(library.notes(piece.id))


def test_unchanged_files_are_not_read_again(
    library: Library, music: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedder.midi.pool.read_many", lambda *a, **k: pytest.fail("a file was read"))
    report = library.add(music)
    assert (report.found, report.unchanged, report.added) == (12, 12, 0)
    assert encoder.calls == []


def test_moved_and_renamed_files_keep_their_piece(
    library: Library, music: Path, encoder: FakeEncoder
) -> None:
    before = {piece.paths: piece.id for piece in library.pieces()}
    old = music / "part0" / "tune000.mid"
    new = music / "elsewhere" / "other name.mid"
    new.parent.mkdir()
    old.rename(new)
    (music / "part1").rename(music / "renamed")
    report = library.add(music, workers=1)
    assert (report.moved, report.added, report.duplicates, report.vanished) == (5, 0, 0, ())
    assert encoder.calls == []
    assert {piece.id for piece in library.pieces()} == set(before.values())
    assert library.pieces(["name=other name.mid"])[0].id == before[(str(old),)]
    assert paths_of(library) == {str(path) for path in music.rglob("*.mid")}


def test_byte_identical_files_are_one_piece_with_all_paths(library: Library, music: Path) -> None:
    source = music / "part0" / "tune000.mid"
    for name in ("copy one.mid", "copy two.mid"):
        shutil.copy(source, music / name)
    report = library.add(music, workers=1)
    assert (report.duplicates, report.added) == (2, 0)
    piece = library.pieces(["name=copy one.mid"])[0]
    assert len(piece.paths) == 3
    assert library.info().pieces == 12
    assert library.info().paths == 14


def test_duplicates_within_one_batch_are_embedded_once(tmp_path: Path, encoder: FakeEncoder) -> None:
    first = write_tunes(tmp_path / "music", 1)[0]
    shutil.copy(first, tmp_path / "music" / "again.mid")
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        report = library.add(tmp_path / "music", workers=1)
    assert (report.added, report.duplicates) == (1, 1)
    assert encoder.calls == [1]


def test_a_changed_file_replaces_its_piece(library: Library, music: Path) -> None:
    path = music / "part0" / "tune000.mid"
    old = library.pieces(["name=tune000.mid"])[0]
    write_midi(tune(500), path)
    report = library.add(music, workers=1)
    assert (report.changed, report.added, report.unchanged) == (1, 1, 11)
    new = library.pieces(["name=tune000.mid"])[0]
    assert new.id > old.id
    assert library.info().pieces == 12
    with pytest.raises(PieceNotFound):
        library.piece(old.id)


def test_a_changed_copy_leaves_the_piece_to_the_others(library: Library, music: Path) -> None:
    path, copy = music / "part0" / "tune000.mid", music / "copy.mid"
    shutil.copy(path, copy)
    library.add(music, workers=1)
    write_midi(tune(500), copy)
    report = library.add(music, workers=1)
    assert (report.changed, report.added) == (1, 1)
    assert library.pieces(["name=tune000.mid"])[0].paths == (str(path),)
    assert library.info().pieces == 13


def test_swapped_contents_are_recognised(library: Library, music: Path, encoder: FakeEncoder) -> None:
    one, two = music / "part0" / "tune000.mid", music / "part1" / "tune001.mid"
    ids = {name: library.pieces([f"name={name}"])[0].id for name in (one.name, two.name)}
    one_bytes, two_bytes = one.read_bytes(), two.read_bytes()
    one.write_bytes(two_bytes)
    two.write_bytes(one_bytes)
    os.utime(one, ns=(1, 1))  # of one size: only the time tells
    os.utime(two, ns=(1, 1))
    report = library.add(music, workers=1)
    assert (report.changed, report.added) == (2, 0)
    assert encoder.calls == []
    assert library.pieces([f"name={one.name}"])[0].id == ids[two.name]


def test_a_touched_file_is_read_but_not_embedded(library: Library, music: Path, encoder: FakeEncoder) -> None:
    os.utime(music / "part0" / "tune000.mid", ns=(5, 5))
    report = library.add(music, workers=1)
    assert (report.unchanged, report.added, report.changed) == (12, 0, 0)
    assert encoder.calls == []
    assert library.add(music, workers=1).unchanged == 12


def test_vanished_files_are_listed_and_removed_on_request(library: Library, music: Path) -> None:
    gone = [music / "part0" / "tune000.mid", music / "part1" / "tune001.mid"]
    for path in gone:
        path.unlink()
    report = library.add(music, workers=1)
    assert report.vanished == tuple(sorted(map(str, gone)))
    assert not report.pruned
    assert library.info().paths == 12
    assert library.add(music / "part0", workers=1).vanished == (str(gone[0]),)
    report = library.add(music, prune=True, workers=1)
    assert report.pruned
    assert (library.info().paths, library.info().pieces) == (10, 10)
    assert library.add(music, workers=1).vanished == ()


def test_a_folder_that_vanished_whole_is_listed(library: Library, music: Path) -> None:
    music.rename(music.with_name("unmounted"))
    report = library.add(music, workers=1)
    assert len(report.vanished) == 12
    assert report.failed == 0
    assert library.info().failures == 0


def test_a_mistyped_folder_is_an_error(library: Library, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="no such file or folder"):
        library.add(tmp_path / "musik")


def test_failures_are_kept_and_retried_when_the_file_changes(library: Library, music: Path) -> None:
    broken = music / "broken.mid"
    broken.write_bytes(b"no music at all")
    report = library.add(music, workers=1)
    assert (report.failed, report.known_failures) == (1, 0)
    (failure,) = library.failures()
    assert failure.path == str(broken)
    assert failure.reason
    report = library.add(music, workers=1)
    assert (report.failed, report.known_failures) == (0, 1)
    assert library.add(music, workers=1, retry_failures=True).failed == 1
    write_midi(tune(77), broken)
    report = library.add(music, workers=1)
    assert (report.added, report.failed, report.known_failures) == (1, 0, 0)
    assert library.failures() == []


def test_a_failure_is_forgotten_with_its_file(library: Library, music: Path) -> None:
    broken = music / "broken.mid"
    broken.write_bytes(b"no music at all")
    library.add(music, workers=1)
    broken.unlink()
    library.add(music, workers=1)
    assert library.failures() == []


def test_a_file_that_breaks_loses_its_piece(library: Library, music: Path) -> None:
    (music / "part0" / "tune000.mid").write_bytes(b"spoilt")
    report = library.add(music, workers=1)
    assert report.failed == 1
    assert library.info().pieces == 11
    assert library.pieces(["name=tune000.mid"]) == []


def test_a_file_without_notes_is_a_failure(library: Library, music: Path) -> None:
    import mido

    empty = mido.MidiFile()
    empty.add_track("silence")
    empty.save(music / "silence.mid")
    assert library.add(music, workers=1).failed == 1
    assert "notes" in library.failures()[0].reason


def test_single_files_are_tried_whatever_their_name(library: Library, tmp_path: Path) -> None:
    odd = tmp_path / "music in disguise.dat"
    write_midi(tune(88), odd)
    assert library.add(tmp_path / "music", workers=1).found == 12
    assert library.add([odd, odd], workers=1).added == 1
    assert library.pieces(["name=music in disguise.dat"])


def test_all_suffixes_are_found(tmp_path: Path, encoder: FakeEncoder) -> None:
    names = ("a.mid", "b.MIDI", "c.Kar", "d.rmi", "e.SMF", "f.txt", "g.mid.bak")
    (tmp_path / "music").mkdir()
    for seed, name in enumerate(names):
        write_midi(tune(seed), tmp_path / "music" / name)
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        assert library.add(tmp_path / "music", workers=1).added == 5


def test_a_piece_that_the_encoder_cannot_take_spares_its_neighbours(
    tmp_path: Path, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Partly(FakeEncoder):
        def embed(self, pieces):  # type: ignore[no-untyped-def]
            embedded = super().embed(pieces)
            for i, notes in enumerate(pieces):
                if len(notes) == 99:
                    embedded.pieces[i] = np.nan
            return embedded

    write_midi(tune(3, notes=99), music / "unlucky.mid")
    with Library.open(tmp_path / "library", encoder=Partly()) as library:
        report = library.add(music, workers=1)
        assert (report.added, report.failed) == (12, 1)
        assert library.failures()[0].path.endswith("unlucky.mid")


def test_progress_reaches_its_total(tmp_path: Path, music: Path, encoder: FakeEncoder) -> None:
    told: list[AddProgress] = []
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        library.add(music, told.append, workers=1)
    assert [state.phase for state in told] == sorted((s.phase for s in told), reverse=True)
    assert (told[-1].files_done, told[-1].files_total) == (12, 12)
    assert told[-1].notes_done == 12 * 150


def test_ctrl_c_leaves_a_good_library_and_the_same_call_continues(
    tmp_path: Path, music: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.add.BATCH_FILES", 3)

    def stop(state: AddProgress) -> None:
        if state.phase == "adding" and state.files_done >= 6:
            raise KeyboardInterrupt

    with Library.open(tmp_path / "library", encoder=encoder) as library:
        report = library.add(music, stop, workers=1)
        assert report.interrupted
        assert (report.added, library.info().pieces) == (6, 6)
        report = library.add(music, workers=1)
        assert not report.interrupted
        assert (report.unchanged, report.added) == (6, 6)


def test_another_encoder_is_refused(library: Library, music: Path) -> None:
    other = FakeEncoder(id="other@000000000000")
    with pytest.raises(EncoderMismatch, match="fake@0123456789ab"):
        Library.open(library.folder, encoder=other)
    library.remove(music)
    with Library.open(library.folder, encoder=other) as empty:
        assert empty.add(music, workers=1).added == 12
        assert empty.info().encoder == other.id


def test_removing_by_number_file_and_folder_touches_no_file(library: Library, music: Path) -> None:
    files = sorted(music.rglob("*.mid"))
    report = library.remove([library.pieces()[0].id, files[-1], music / "part1"])
    assert (report.paths, report.pieces) == (6, 6)
    assert library.info().pieces == 6
    assert sorted(music.rglob("*.mid")) == files
    for unknown in (999, music / "nothing", music.with_name("mus")):
        with pytest.raises(PieceNotFound, match=r"not in the library|no piece of the library"):
            library.remove([library.pieces()[0].id, unknown])
    assert library.info().pieces == 6


def test_removing_one_of_several_paths_keeps_the_piece(library: Library, music: Path) -> None:
    copy = music / "copy.mid"
    shutil.copy(music / "part0" / "tune000.mid", copy)
    library.add(music, workers=1)
    assert library.remove(copy).to_json() == {"paths": 1, "pieces": 0}
    assert library.info().pieces == 12


def test_removing_vanished_everywhere(library: Library, music: Path) -> None:
    (music / "part2" / "tune002.mid").unlink()
    assert library.remove(vanished=True).paths == 1
    assert library.info().pieces == 11


def test_numbers_of_removed_pieces_are_not_used_again(library: Library, music: Path) -> None:
    last = library.pieces()[-1].id
    library.remove(music)
    library.add(music, workers=1)
    assert library.pieces()[0].id > last


def test_pieces_come_in_pages(library: Library) -> None:
    pages, after = [], 0
    while page := library.pieces(limit=5, after=after):
        pages.append([piece.id for piece in page])
        after = page[-1].id
    assert [len(page) for page in pages] == [5, 5, 2]
    numbers = [number for page in pages for number in page]
    assert numbers == sorted(numbers)


def test_an_add_counts_notes_as_the_library_does(library: Library, tmp_path: Path) -> None:
    one = tune(700)
    fields = (np.tile(getattr(one, name), 2) for name in ("onset", "duration", "pitch", "velocity"))
    parts = (Part("Flute", 0, 73), Part("Flute too", 1, 73))
    write_midi(Notes(*fields, np.repeat([0, 1], len(one)), parts), tmp_path / "doubled.mid")
    before = library.info().notes
    report = library.add(tmp_path / "doubled.mid", workers=1)
    assert report.notes == library.info().notes - before == len(one)
