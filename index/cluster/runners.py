"""Runners: where shards are embedded: in this process, in several, or on the machines of a Ray cluster.

A runner yields the done-record of every shard, in the order in which they are done. What is done already
costs nothing, and a worker that dies costs its shard, which another one takes up.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from embedder.errors import LibraryError

from .shards import Done, Shard, read_done, run_shard

__all__ = ["Here", "Processes", "Ray", "Runner"]

_TRIES = 5  # of a shard whose workers die: then it is the shard that kills them


class Runner(Protocol):
    """Somewhere to embed shards."""

    def run(self, shards: Sequence[Shard]) -> Iterator[Done]:
        """The done-records of all shards, each as soon as it is done."""
        ...


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

    Each worker is an actor that keeps its encoder warm; one a GPU, if they are given any. Ray starts actors
    and their shards again elsewhere when a machine is lost.

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
        import ray

        waiting = []
        for shard in shards:
            done = read_done(shard)
            if done is None:
                waiting.append((shard, 1))
            else:
                yield done
        worker = ray.remote(num_cpus=self._cpus, num_gpus=self._gpus)(_Worker)
        idle = [worker.remote() for _ in range(min(self._workers, len(waiting)))]
        busy: dict[Any, tuple[Any, Shard, int]] = {}
        while waiting or busy:
            while waiting and idle:
                shard, tries = waiting.pop(0)
                actor = idle.pop()
                busy[actor.run.remote(shard)] = actor, shard, tries
            (ready,), _ = ray.wait(list(busy), num_returns=1)
            actor, shard, tries = busy.pop(ready)
            try:
                record: Done = ray.get(ready)
            except ray.exceptions.RayActorError:  # its machine or process is gone, and with it the actor
                if tries >= _TRIES:
                    raise _hopeless([shard]) from None
                waiting.append((shard, tries + 1))
                actor = worker.remote()
            else:
                yield record
            idle.append(actor)


class _Worker:
    """A process somewhere, with its encoder."""

    def run(self, shard: Shard) -> Done:
        return run_shard(shard)


def _hopeless(shards: Sequence[Shard]) -> LibraryError:
    return LibraryError(
        f"{shards[0].name}: its workers died {_TRIES} times; embed its files with `midikin add` to see why"
    )
