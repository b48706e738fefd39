"""FAISS indexes on disk: a cache, believed only when its manifest says so.

    NAME.faiss   the index
    NAME.keys    the key of each of its rows, int64
    NAME.json    manifest, written last: sizes and SHA-256 of both, library, encoder, dimension,
                 commit number

FAISS neither writes atomically nor notices a flipped byte when it reads, so every file is written beside
its place, flushed and renamed, and read only if its hash is right. Anything amiss means None: the caller
builds anew from the database.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

import numpy as np

from .paths import display
from .vectors import FaissStore, load_faiss

__all__ = ["Manifest", "load", "read_manifest", "save"]

log = logging.getLogger(__name__)

FORMAT = 1
_CHUNK = 1 << 20
_LOCK_WAIT_S = 5.0


@dataclass(frozen=True)
class Manifest:
    """What a cached index holds and how to recognise it."""

    format: int
    encoder: str
    dim: int
    commit: int
    kind: str
    nprobe: int
    recall: float
    vectors: int
    sizes: dict[str, int]
    sha256: dict[str, str]
    library: str = ""  # its random id; older manifests do not say


def read_manifest(folder: Path, name: str) -> Manifest | None:
    """The manifest of a cached index; None if there is none that this version can read."""
    try:
        manifest = Manifest(**json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return manifest if manifest.format == FORMAT else None


def load(folder: Path, name: str, *, library: str, encoder: str, dim: int) -> tuple[FaissStore, int] | None:
    """The cached index and the commit it stands for; None if there is none that can be used."""
    if not (folder / f"{name}.json").exists():
        return None
    for wait_s in (0.0, _LOCK_WAIT_S):
        if wait_s:
            # Perhaps another process is just between its renames: look again when it is done.
            _await_writer(folder, wait_s)
        manifest = read_manifest(folder, name)
        owner = (library, encoder, dim)
        if manifest is not None and (manifest.library, manifest.encoder, manifest.dim) != owner:
            log.warning(
                "%s: the index %s belongs to another library or encoder and is rebuilt", _shown(folder), name
            )
            return None
        try:
            if manifest is None:
                raise ValueError("its manifest cannot be read")
            return _load(folder, name, manifest), manifest.commit
        except Exception as error:  # FAISS raises whatever its C++ throws; all of it means the same here
            reason = " ".join(str(error).split())[:200]
    log.warning("%s: the index %s is rebuilt from the database (%s)", _shown(folder), name, reason)
    return None


def _load(folder: Path, name: str, manifest: Manifest) -> FaissStore:
    faiss = load_faiss()
    with open(folder / f"{name}.keys", "rb") as file:
        _check(file, "keys", manifest)
        keys = np.frombuffer(file.read(), dtype="<i8").astype(np.int64)
    with open(folder / f"{name}.faiss", "rb") as file:
        _check(file, "faiss", manifest)
        index = faiss.read_index(faiss.BufferedIOReader(faiss.PyCallbackIOReader(file.read), _CHUNK))
    if index.d != manifest.dim:
        raise ValueError("its dimension differs")
    return FaissStore(index, keys, nprobe=manifest.nprobe, recall=manifest.recall)


def _check(file: BufferedReader, part: str, manifest: Manifest) -> None:
    """Compare size and hash of an open file with the manifest, and go back to its start."""
    if os.fstat(file.fileno()).st_size != manifest.sizes[part]:
        raise ValueError(f"the file of its {part} has another length")
    if hashlib.file_digest(file, "sha256").hexdigest() != manifest.sha256[part]:
        raise ValueError(f"the file of its {part} is not what was written")
    file.seek(0)


def save(folder: Path, name: str, store: FaissStore, *, library: str, encoder: str, commit: int) -> bool:
    """Write an index; False if the folder cannot take it or another process is writing. Never an error."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / "index.lock", timeout=0, thread_local=False):
            _save(folder, name, store, library, encoder, commit)
    except Timeout:
        return False
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        log.warning("%s: the index %s could not be saved (%s)", _shown(folder), name, reason)
        return False
    return True


def _save(folder: Path, name: str, store: FaissStore, library: str, encoder: str, commit: int) -> None:
    faiss = load_faiss()
    parts: dict[str, Callable[[_Hashed], Any]] = {
        "keys": lambda out: out(store.keys.astype("<i8").tobytes()),
        "faiss": lambda out: faiss.write_index(
            store.index, faiss.BufferedIOWriter(faiss.PyCallbackIOWriter(out, _CHUNK), _CHUNK)
        ),
    }
    sizes, hashes = {}, {}
    for part, write in parts.items():
        with _replacing(folder / f"{name}.{part}") as file:
            out = _Hashed(file)
            write(out)
            out.check()
        sizes[part], hashes[part] = out.size, out.hash.hexdigest()
    manifest = Manifest(
        format=FORMAT,
        encoder=encoder,
        dim=store.dim,
        commit=commit,
        kind=store.kind,
        nprobe=store.nprobe,
        recall=store.recall,
        vectors=store.count,
        sizes=sizes,
        sha256=hashes,
        library=library,
    )
    with _replacing(folder / f"{name}.json") as file:
        file.write(json.dumps(asdict(manifest), indent=1).encode())


class _Hashed:
    """Writes to a file and hashes on the way. Keeps an error back until FAISS has returned: its C++
    does not carry a Python exception through."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.hash = hashlib.sha256()
        self.size = 0
        self.error: OSError | None = None

    def __call__(self, data: bytes) -> int:
        if self.error is None:
            try:
                self.file.write(data)
            except OSError as error:
                self.error = error
            self.hash.update(data)
            self.size += len(data)
        return len(data)

    def check(self) -> None:
        if self.error is not None:
            raise self.error


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file written beside its place and renamed into it when it is complete on the disk."""
    beside = path.with_name(path.name + ".new")  # one name: what a killed process left is overwritten
    try:
        with open(beside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _await_writer(folder: Path, wait_s: float) -> None:
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / "index.lock", timeout=wait_s, thread_local=False):
            pass
    except (OSError, Timeout):
        return


def _shown(folder: Path) -> str:
    return display(str(folder))
