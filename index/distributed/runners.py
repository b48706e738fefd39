"""Runners: where shards are embedded: in this process, in several, or on the machines of a Ray cluster.

A runner yields the done-record of every shard, in the order in which they are done. What is done already
costs nothing, and a worker that dies costs its shard, which another one takes up.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from embedder.core.errors import LibraryError
from embedder.core.files import sha256_of

from ..library import Library
from ..library_encoder import EncoderLike
from ..storage import DATABASE_NAME, disk_errors
from .shards import Done, Shard, read_done

__all__ = ["Here", "Processes", "Ray", "Runner", "joined", "run_shard"]

_TRIES = 5  # of a shard whose workers die: then it is the shard that kills them
_ENCODERS: dict[str, EncoderLike] = {}  # of this process: a worker keeps its encoder warm


class Runner(Protocol):
    """Somewhere to embed shards."""

    def run(self, shards: Sequence[Shard]) -> Iterator[Done]:
        """The done-records of all shards, each as soon as it is done."""
        ...


def run_shard(shard: Shard, encoder: EncoderLike | None = None) -> Done:
    """Embed the files of a shard and write its result; at once if that is there already.

    Parameters
    ----------
    encoder : the shard's encoder, loaded; a worker loads it once for all its shards otherwise
    """
    done = read_done(shard)
    if done is not None:
        return done
    results = Path(shard.results)
    with disk_errors(results):
        results.mkdir(parents=True, exist_ok=True)
        scratch_folder = tempfile.TemporaryDirectory(dir=results, prefix=f"{shard.name}.")
    with scratch_folder as scratch:
        with Library.open(Path(scratch, "work"), encoder=encoder or _encoder(shard.encoder)) as library:
            report = library.add(shard.files, workers=1)
            copy = library.maintenance.backup(Path(scratch, "copy")) / DATABASE_NAME
        if report.interrupted:
            raise KeyboardInterrupt
        done = Done(
            name=shard.name,
            files=len(shard.files),
            pieces=report.added,
            duplicates=report.duplicates,
            failed=len(shard.files) - report.added - report.duplicates,
            sha256=sha256_of(copy),
            seconds=report.seconds,
        )
        record = Path(scratch, "done.json")
        with disk_errors(results):
            with open(record, "w", encoding="utf-8") as text:
                json.dump(asdict(done), text)
                text.flush()
                os.fsync(text.fileno())
            os.replace(copy, results / f"{shard.name}.db")
            os.replace(record, results / f"{shard.name}.json")
    return done


def _encoder(name: str) -> EncoderLike:
    if name not in _ENCODERS:
        from embedder.encoder import Encoder

        _ENCODERS[name] = Encoder.load(name)
    return _ENCODERS[name]


class Here:
    """In this process, one after the other."""

    def run(self, shards: Sequence[Shard]) -> Iterator[Done]:
        return map(run_shard, shards)


class Processes:
    """In several processes of this machine."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError("it takes at least one worker")
        self._workers = workers

    def run(self, shards: Sequence[Shard]) -> Iterator[Done]:
        left = list(shards)
        for _ in range(_TRIES):
            done: set[str] = set()
            context = multiprocessing.get_context("spawn")  # never fork beside torch and faiss
            try:
                with ProcessPoolExecutor(self._workers, mp_context=context) as pool:
                    for future in as_completed([pool.submit(run_shard, shard) for shard in left]):
                        record = future.result()
                        done.add(record.name)
                        yield record
                return
            except BrokenProcessPool:  # a worker was killed; the pool is of no use any more
                left = [shard for shard in left if shard.name not in done]
        raise _hopeless(left)


class Ray:
    """On the machines of a Ray cluster that `ray.init` has joined.

    Each worker is an actor that keeps its encoder warm; one a GPU, if they are given any. When a machine is
    lost, the workers that are left take up its shards, and new ones join them as soon as there is room again.

    Parameters
    ----------
    workers : how many actors
    cpus, gpus : of each
    """

    def __init__(self, workers: int, *, cpus: float = 1, gpus: float = 0) -> None:
        if workers < 1:
            raise ValueError("it takes at least one worker")
        self._workers = workers
        self._cpus, self._gpus = cpus, gpus

    def run(self, shards: Sequence[Shard]) -> Iterator[Done]:
        waiting: deque[tuple[Shard, int]] = deque()
        for shard in shards:
            done = read_done(shard)
            if done is None:
                waiting.append((shard, 1))
            else:
                yield done
        if waiting:
            team = _Team(self._cpus, self._gpus)
            try:
                team.hire(min(self._workers, len(waiting)))
                yield from team.work(waiting)
            finally:
                team.dismiss()


@contextmanager
def joined(address: str, workers: int, *, gpus: float = 0) -> Iterator[Ray]:
    """The runner of the Ray cluster at an address, or of the one on this machine if that is "auto".

    Raises
    ------
    LibraryError
        If Ray is not installed, or there is no such cluster, or it lets nobody in without its token.
    """
    try:
        import ray
    except ImportError as error:
        raise LibraryError('Ray needs the extra: pip install "midikin[cluster]"') from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = " ".join(str(error).split())[:200]
        raise LibraryError(f"{address}: no Ray cluster could be joined there ({reason})") from error
    try:
        yield Ray(workers, gpus=gpus)
    finally:
        ray.shutdown()


class _Team:
    """Actors of one run: what each is at, and which are free.

    An actor gets its first shard when it has answered, and not before: on a cluster that has lost a machine
    it may wait for room for ever, and its shard must not wait with it.
    """

    def __init__(self, cpus: float, gpus: float) -> None:
        import ray

        self._ray = ray
        remote: Any = ray.remote(num_cpus=cpus, num_gpus=gpus)
        self._actor = remote(_Worker)
        self._coming: dict[Any, Any] = {}
        self._busy: dict[Any, tuple[Any, Shard, int]] = {}
        self._idle: list[Any] = []
        self._failed_starts = 0

    def hire(self, actors: int) -> None:
        """Ask for more actors; they come when there is room for them."""
        for _ in range(actors):
            actor = self._actor.remote()
            self._coming[actor.ready.remote()] = actor

    def work(self, waiting: deque[tuple[Shard, int]]) -> Iterator[Done]:
        """Do all shards, each with the number of the try that comes next."""
        while waiting or self._busy:
            while waiting and self._idle:
                shard, tries = waiting.popleft()
                actor = self._idle.pop()
                self._busy[actor.run.remote(shard)] = actor, shard, tries
            (ready,), _ = self._ray.wait([*self._busy, *self._coming], num_returns=1)
            if ready in self._coming:
                self._welcome(ready)
                continue
            actor, shard, tries = self._busy.pop(ready)
            try:
                record: Done = self._ray.get(ready)
            except self._ray.exceptions.RayActorError:  # its machine or process is gone, the actor with it
                if tries >= _TRIES:
                    raise _hopeless([shard]) from None
                waiting.append((shard, tries + 1))
                self.hire(1)
            else:
                yield record
                self._idle.append(actor)

    def _welcome(self, ready: Any) -> None:
        """Let an actor that has answered work; ask for another if it died on the way."""
        actor = self._coming.pop(ready)
        try:
            self._ray.get(ready)
        except self._ray.exceptions.RayActorError as error:
            self._failed_starts += 1
            if self._failed_starts >= _TRIES:
                reason = " ".join(str(error).split())[:200]
                raise LibraryError(f"no worker could be started on the Ray cluster ({reason})") from error
            self.hire(1)
        else:
            self._failed_starts = 0
            self._idle.append(actor)

    def dismiss(self) -> None:
        """End all actors, also those that are in the middle of something."""
        for actor in (*self._idle, *self._coming.values(), *(actor for actor, _, _ in self._busy.values())):
            self._ray.kill(actor)


class _Worker:
    """A process somewhere, with its encoder."""

    def ready(self) -> None:
        """Answers as soon as the process is there."""

    def run(self, shard: Shard) -> Done:
        return run_shard(shard)


def _hopeless(shards: Sequence[Shard]) -> LibraryError:
    return LibraryError(
        f"{shards[0].name}: its workers died {_TRIES} times; embed its files with `midikin add` to see why"
    )
