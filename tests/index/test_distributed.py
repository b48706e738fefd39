"""Shards and where they run: every file is accounted for once, whatever dies on the way."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from embedder.core.errors import EncoderMismatch, LibraryError
from embedder.core.files import sha256_of
from embedder.midi.writing import write_midi
from index import Library, verify_library
from index.distributed.runners import Here, Processes, joined, run_shard
from index.distributed.shards import Shard, plan, read_done
from tests.support.fake_encoder import FakeEncoder, tune, write_tunes

SMALL = "midikin-small"


@pytest.fixture
def mixed(music: Path) -> Path:
    """Twelve tunes, a copy and two files that cannot be read."""
    (music / "copy.mid").write_bytes((music / "part0" / "tune000.mid").read_bytes())
    (music / "broken.mid").write_bytes(b"broken")
    (music / "empty.mid").write_bytes(b"")
    return music


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEncoder:
    encoder = FakeEncoder()
    monkeypatch.setattr("embedder.encoder.Encoder.load", lambda *name, **device: encoder)
    monkeypatch.setattr("index.distributed.runners._ENCODERS", {})
    return encoder


@pytest.fixture
def shards(mixed: Path, tmp_path: Path) -> list[Shard]:
    return plan([mixed], tmp_path / "results", SMALL, files=4)


def answers(library: Library) -> dict[str, float]:
    found = library.search(tune(900), k=100, passages=True).results
    return {hit.path: round(hit.score, 5) for hit in found}


def test_shards_give_what_an_add_gives(
    shards: list[Shard], mixed: Path, tmp_path: Path, fake: FakeEncoder
) -> None:
    records = list(Here().run(shards))
    assert [record.files for record in records] == [4, 4, 4, 3]
    assert all(record.pieces + record.duplicates + record.failed == record.files for record in records)
    with Library.open(tmp_path / "merged") as merged, Library.open(tmp_path / "added") as added:
        report = merged.maintenance.merge(tmp_path / "results")
        assert (report.pieces, report.paths, report.failures) == (12, 13, 2)
        added.add(mixed, workers=1)
        assert answers(merged) == answers(added)
        assert [f.path for f in merged.failures()] == [f.path for f in added.failures()]
        before = merged.info()
        again = merged.maintenance.merge(tmp_path / "results")
        assert (again.pieces, merged.info().commit) == (0, before.commit)
        assert merged.add(mixed, workers=1).unchanged == 13
        assert {hit.path for hit in merged.find(mixed / "copy.mid", include_self=True).results}


def as_format_2(shard: Shard) -> None:
    """Take from a result what library format 3 has added."""
    result = Path(shard.results, f"{shard.name}.db")
    columns = {
        "pieces": "reading parts doubled_parts drum_notes instruments meter tempo_estimated composer "
        "partly_read",
        "paths": "changed_ns inode",
        "piece_vectors": "crc",
        "windows": "crc",
        "notes": "crc",
    }
    with closing(sqlite3.connect(result)) as connection, connection:
        for name in ("title", "parts", "drum_notes"):
            connection.execute(f"DROP INDEX IF EXISTS ix_pieces_{name}")
        for table, names in columns.items():
            for name in names.split():
                connection.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
        connection.execute("UPDATE meta SET value = '2' WHERE name = 'schema_version'")
    record = result.with_suffix(".json")
    facts = json.loads(record.read_text())
    record.write_text(json.dumps(facts | {"sha256": sha256_of(result)}))


def test_results_of_an_earlier_format_are_taken_in_and_read_again_by_the_next_add(
    shards: list[Shard], mixed: Path, tmp_path: Path, fake: FakeEncoder
) -> None:
    list(Here().run(shards))
    as_format_2(shards[0])
    with Library.open(tmp_path / "merged") as merged, Library.open(tmp_path / "added") as added:
        assert merged.maintenance.merge(tmp_path / "results").pieces == 12
        assert verify_library(merged.folder).sound
        report = merged.add(mixed, workers=1)
        assert report.reread > 0
        assert report.reread + report.unchanged == 13
        added.add(mixed, workers=1)
        assert answers(merged) == answers(added)
        described = [{p.path: p.descriptors for p in library.pieces()} for library in (merged, added)]
        assert described[0] == described[1]


def test_a_file_that_changed_before_a_result_is_taken_in_leaves_no_piece_without_a_file(
    mixed: Path, tmp_path: Path, fake: FakeEncoder
) -> None:
    with Library.open(tmp_path / "library") as library:
        library.add(mixed, workers=1)
        path = sorted((mixed / "part0").iterdir())[-1]
        write_midi(tune(700), path)
        list(Here().run(plan([mixed], tmp_path / "results", SMALL, files=20)))
        assert library.maintenance.merge(tmp_path / "results").pieces == 1
        assert len(library.pieces()) == 12
        assert library.search(tune(700), 1, include_self=True).results[0].path == str(path)
        assert verify_library(library.folder).sound


def test_what_is_done_is_not_done_again(shards: list[Shard], fake: FakeEncoder) -> None:
    first = list(Here().run(shards))
    fake.calls.clear()
    assert list(Here().run(shards)) == first
    assert fake.calls == []
    Path(shards[1].results, f"{shards[1].name}.json").write_text('{"half')
    assert list(Here().run(shards))[1].pieces == first[1].pieces
    assert sum(fake.calls) == first[1].pieces
    assert sorted(path.suffix for path in Path(shards[0].results).iterdir()) == [".db"] * 4 + [".json"] * 4


def test_other_files_and_other_encoders_are_other_shards(mixed: Path, tmp_path: Path) -> None:
    one = plan([mixed], tmp_path, SMALL, files=5)
    assert [shard.name for shard in one] == [shard.name for shard in plan([mixed], tmp_path, SMALL, files=5)]
    assert not {shard.name for shard in one} & {s.name for s in plan([mixed], tmp_path, "other", files=5)}
    assert sum(len(shard.files) for shard in one) == 15


def test_results_that_are_not_what_was_written_stay_out(
    shards: list[Shard], tmp_path: Path, fake: FakeEncoder
) -> None:
    list(Here().run(shards))
    other = FakeEncoder(id="other@0123456789ab")
    with Library.open(tmp_path / "other", encoder=other) as library:
        write_tunes(tmp_path / "few", 1, first_seed=80)
        library.add(tmp_path / "few", workers=1)
        with pytest.raises(EncoderMismatch):
            library.maintenance.merge(tmp_path / "results")
    with Library.open(tmp_path / "merged") as merged:
        with pytest.raises(LibraryError, match="no results"):
            merged.maintenance.merge(tmp_path / "nowhere")
        result = Path(shards[2].results, f"{shards[2].name}.db")
        result.write_bytes(result.read_bytes()[:-1] + b"?")
        with pytest.raises(LibraryError, match="not what was written"):
            merged.maintenance.merge(tmp_path / "results")


def at_work(results: Path) -> list[str]:
    """Folders of shards that workers are at, or were at when they died."""
    return [path.name for path in results.glob("shard-*.*") if path.is_dir()]


@pytest.mark.slow
def test_a_process_that_dies_costs_its_shard(shards: list[Shard], tmp_path: Path) -> None:
    def kill_one() -> None:
        import psutil

        while True:
            for child in psutil.Process().children():
                if "spawn_main" in " ".join(child.cmdline()) and list(tmp_path.glob("results/shard*.db")):
                    os.kill(child.pid, signal.SIGKILL)
                    return
            time.sleep(0.02)

    thread = threading.Thread(target=kill_one, daemon=True)
    thread.start()
    records = list(Processes(1).run(shards))
    thread.join(10)
    assert not thread.is_alive(), "no worker was killed"
    assert sorted(record.name for record in records) == sorted(shard.name for shard in shards)
    with Library.open(tmp_path / "merged") as merged:
        assert merged.maintenance.merge(tmp_path / "results").pieces == 12


@pytest.fixture
def two_machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """A Ray cluster of two nodes on this machine, one processor each, that asks for a token."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")  # before Ray is imported, which reads them then
    monkeypatch.setenv("RAY_AUTH_TOKEN", "5" * 64)
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=small | {"include_dashboard": False})
    try:
        second = cluster.add_node(**small)
        yield cluster, second
    finally:
        cluster.shutdown()


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")
def test_a_machine_that_is_lost_costs_its_shard(
    two_machines: tuple[Any, Any], mixed: Path, tmp_path: Path
) -> None:
    cluster, second = two_machines
    shards = plan([mixed], tmp_path / "results", SMALL, files=3)

    def lose_one() -> None:
        while len(at_work(tmp_path / "results")) < 2:
            time.sleep(0.02)
        cluster.remove_node(second, allow_graceful=False)

    thread = threading.Thread(target=lose_one, daemon=True)
    thread.start()
    with joined(cluster.address, 2) as runner:
        names = [record.name for record in runner.run(shards)]
    thread.join(10)
    assert not thread.is_alive(), "no machine was lost"
    assert sorted(names) == sorted(shard.name for shard in shards)
    assert len(at_work(tmp_path / "results")) == 1, "no worker died in the middle"
    with Library.open(tmp_path / "merged") as merged, Library.open(tmp_path / "added") as added:
        assert merged.maintenance.merge(tmp_path / "results").pieces == 12
        added.add(mixed, workers=1)
        assert answers(merged) == answers(added)
    assert not at_work(tmp_path / "results"), "what was left behind is swept up"


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_is_not_there_is_one_line() -> None:
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    with pytest.raises(LibraryError, match="no Ray cluster could be joined") as caught, joined("auto", 1):
        pass
    assert "\n" not in str(caught.value)


def test_a_shard_says_what_it_held(shards: list[Shard], fake: FakeEncoder) -> None:
    done = run_shard(shards[0])
    assert read_done(shards[0]) == done
    record = json.loads(Path(shards[0].results, f"{shards[0].name}.json").read_text())
    assert record["sha256"] == done.sha256
    assert read_done(shards[1]) is None
    with pytest.raises(ValueError, match="one worker"):
        Processes(0)
