"""Plans on disk: what there is to embed, in the folder that its results go to.

    RESULTS/shard-NAME.plan   the files and the encoder of one shard, as JSON

Whoever can read the folder can take up the work: no machine needs to know of another. A plan grows: what is
planned already keeps its shard, and so its result, when files have come since.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from embedder.core.errors import LibraryError
from embedder.core.files import atomic_write

from ..storage import absolute, disk_errors, display
from .shards import FILES, Done, Shard, done_of, plan

__all__ = ["Progress", "extend_plan", "left_to_do", "progress"]


@dataclass(frozen=True)
class Progress:
    """How far the work in a folder is.

    Attributes
    ----------
    shards, done : planned, and done of these
    files, pieces, duplicates, failed : of the shards that are done
    seconds : of one worker, that they took together
    """

    shards: int
    done: int
    files: int = 0
    pieces: int = 0
    duplicates: int = 0
    failed: int = 0
    seconds: float = 0.0


def extend_plan(
    folders: Iterable[str | os.PathLike[str]],
    results: str | os.PathLike[str],
    encoder: str,
    *,
    files: int = FILES,
) -> list[Shard]:
    """Divide the files below some folders, as far as they are not planned yet; the new shards.

    Parameters
    ----------
    encoder : a name or folder that `Encoder.load` takes, on every machine that works
    files : of one shard, at most

    Raises
    ------
    LibraryError
        If the results that are planned or done there are by another encoder.
    DiskFull, LibraryReadOnly
    """
    folder = Path(absolute(results))
    encoder = absolute(encoder) if os.path.isdir(encoder) else encoder
    planned = [_read(path) for path in _plans(folder)]
    others = {shard.encoder for shard in planned} - {encoder}
    if others:
        raise LibraryError(
            f"{display(str(folder))}: planned for {min(others)}; take another folder for {encoder}"
        )
    known = {file for shard in planned for file in shard.files}
    found = plan(folders, folder, encoder, files=files, known=known)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for shard in found:
            _write(folder, shard)
    return found


def left_to_do(results: str | os.PathLike[str], part: tuple[int, int] = (1, 1)) -> list[Shard]:
    """Planned shards that are not done.

    Parameters
    ----------
    part : (i, n) for the i-th of n machines that share the work without speaking to each other, i from 1

    Raises
    ------
    LibraryError
        If nothing is planned there.
    """
    paths = _all_plans(Path(absolute(results)))
    mine = paths[part[0] - 1 :: part[1]]
    return [_read(path) for path in mine if done_of(path.with_suffix(".json")) is None]


def progress(results: str | os.PathLike[str]) -> Progress:
    """How far the work in a folder is.

    Raises
    ------
    LibraryError
        If nothing is planned there.
    """
    paths = _all_plans(Path(absolute(results)))
    records: list[Done] = [done for path in paths if (done := done_of(path.with_suffix(".json"))) is not None]
    return Progress(
        shards=len(paths),
        done=len(records),
        files=sum(done.files for done in records),
        pieces=sum(done.pieces for done in records),
        duplicates=sum(done.duplicates for done in records),
        failed=sum(done.failed for done in records),
        seconds=sum(done.seconds for done in records),
    )


def _plans(folder: Path) -> list[Path]:
    return sorted(folder.glob("shard-*.plan"))


def _all_plans(folder: Path) -> list[Path]:
    paths = _plans(folder)
    if not paths:
        raise LibraryError(f"{display(str(folder))}: nothing is planned here; `midikin shards plan` does it")
    return paths


def _read(path: Path) -> Shard:
    """A plan as it was written; results lie beside it, wherever this machine has that folder."""
    try:
        read = json.loads(path.read_text(encoding="ascii"))
        shard = Shard(str(path.parent), tuple(map(str, read["files"])), str(read["encoder"]))
    except (OSError, ValueError, KeyError, TypeError):
        shard = None
    if shard is None or shard.name != path.stem:
        raise LibraryError(f"{display(str(path))}: is not what was written; delete it and plan again")
    return shard


def _write(folder: Path, shard: Shard) -> None:
    """Pure ASCII, whatever the names of files hold; beside, then renamed."""
    text = json.dumps({"encoder": shard.encoder, "files": shard.files})
    atomic_write(folder / f"{shard.name}.plan", text)
