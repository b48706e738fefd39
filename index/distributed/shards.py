"""Shards: some thousand files each, embedded anywhere, with one immutable result file a shard.

    RESULTS/shard-NAME.db     a library of the shard's files, written beside and renamed when complete
    RESULTS/shard-NAME.json   done-record, written last: what the shard held and the hash of its result

The name of a shard is made from its files and its encoder, and so says whether it is done: whoever runs the
same work again skips it, and a worker that is lost costs the shard that it was at. `runners` embed shards,
`merge` takes results into a library, in any order, each as often as one likes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path

from ..scan import FileStatus, scan
from ..storage import absolute, to_bytes

__all__ = ["Done", "Shard", "done_of", "plan", "read_done"]

FILES = 2000


@dataclass(frozen=True)
class Shard:
    """A part of the work.

    Attributes
    ----------
    results : folder that all workers can write into
    files : absolute paths
    encoder : a name or folder that `Encoder.load` takes
    """

    results: str
    files: tuple[str, ...]
    encoder: str

    @property
    def name(self) -> str:
        listed = b"\0".join([self.encoder.encode(), *map(to_bytes, self.files)])
        return f"shard-{hashlib.sha256(listed).hexdigest()[:16]}"


@dataclass(frozen=True)
class Done:
    """The done-record of a shard. Every file is in exactly one of the counts."""

    name: str
    files: int
    pieces: int
    duplicates: int
    failed: int
    sha256: str
    seconds: float


def plan(
    folders: Iterable[str | os.PathLike[str]],
    results: str | os.PathLike[str],
    encoder: str,
    *,
    files: int = FILES,
    known: Set[str] = frozenset(),
) -> list[Shard]:
    """Divide the files below some folders into shards; the same files give the same shards.

    Parameters
    ----------
    known : files to leave out
    """
    roots = [absolute(folder) for folder in folders]
    paths = {item.path for item in scan(roots) if isinstance(item, FileStatus)}
    found = sorted(paths - known, key=to_bytes)
    where = absolute(results)
    return [Shard(where, tuple(found[i : i + files]), encoder) for i in range(0, len(found), files)]


def read_done(shard: Shard) -> Done | None:
    """The done-record of a shard; None while it is not done."""
    return done_of(Path(shard.results, f"{shard.name}.json"))


def done_of(path: Path) -> Done | None:
    """What a done-record says; None if it or its result is not there."""
    try:
        done = Done(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return done if path.with_suffix(".db").is_file() else None
