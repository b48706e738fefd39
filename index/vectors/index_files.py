"""FAISS indexes on disk: a cache, believed only when its manifest says so.

    NAME.json          manifest, written last: names, sizes and SHA-256 of the other files, library, encoder,
                       dimension, commit number, and what was measured of the index
    NAME-HASH.faiss    the base of the store
    NAME-HASH.keys     the key of each of its rows, int64
    NAME-HASH.tail     what changed since it was written: keys and vectors that came, rows that went

FAISS neither writes atomically nor notices a flipped byte when it reads, so every file is written beside
its place, flushed and renamed, and read only if its hash is right. Files are named by their content: until
the new manifest stands, the old one still speaks of files that are all there, whenever a process is killed.
Large files are hashed again only if they are not exactly the ones that were written, by inode and time of
change; `midikin verify` hashes all. Anything amiss means None: the caller builds anew from the database.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..storage import display
from .faiss_store import FaissStore
from .segments import Part, load_faiss

__all__ = ["Manifest", "check_files", "load", "read_manifest", "save", "size_bytes"]

log = logging.getLogger(__name__)

FORMAT = 2
LARGE_BYTES = 64 << 20  # beyond, a base with cells is mapped, and trusted if its stamp is as it was
_CHUNK = 1 << 20
_LOCK_WAIT_S = 5.0
_PARTS = ("faiss", "keys", "tail")


@dataclass(frozen=True)
class Manifest:
    """What a cached index holds and how to recognise it.

    Attributes
    ----------
    files : name of the file of each part, in the same folder
    stamps : inode and time of change of each file when it was written
    trained_on : vectors that there were when the base was built
    """

    format: int
    library: str
    encoder: str
    dim: int
    commit: int
    setting: str
    kind: str
    effort: int
    recall: float
    trained_on: int
    vectors: int
    files: dict[str, str]
    sizes: dict[str, int]
    sha256: dict[str, str]
    stamps: dict[str, list[int]]


def read_manifest(folder: Path, name: str) -> Manifest | None:
    """The manifest of a cached index; None if there is none that this version can read."""
    try:
        manifest = Manifest(**json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    known = isinstance(manifest.files, dict) and set(manifest.files) == set(_PARTS)
    return manifest if known and manifest.format == FORMAT else None


def size_bytes(folder: Path, name: str) -> int:
    """What a cached index takes on the disk."""
    manifest = read_manifest(folder, name)
    paths = [
        folder / f"{name}.json",
        *((folder / file for file in manifest.files.values()) if manifest else ()),
    ]
    return sum(path.stat().st_size for path in paths if path.is_file())


def load(
    folder: Path, name: str, *, library: str, encoder: str, dim: int, mapped: bool = True
) -> tuple[FaissStore, int] | None:
    """The cached index and the commit it stands for; None if there is none that can be used.

    Parameters
    ----------
    mapped : leave a large base on disk and read it there; otherwise it can be changed
    """
    if not (folder / f"{name}.json").exists():
        return None
    for wait_s in (0.0, _LOCK_WAIT_S):
        if wait_s:
            # Perhaps another process is just putting new files in their place: look again when it is done.
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
            return _load(folder, manifest, mapped), manifest.commit
        except Exception as error:  # FAISS raises whatever its C++ throws; all of it means the same here
            reason = " ".join(str(error).split())[:200]
    log.warning("%s: the index %s is rebuilt from the database (%s)", _shown(folder), name, reason)
    return None


def check_files(folder: Path, name: str) -> str | None:
    """What is wrong with the files of a cached index, every byte of them read; None if nothing is."""
    if not (folder / f"{name}.json").exists():
        return None
    manifest = read_manifest(folder, name)
    if manifest is None:
        return "its manifest cannot be read"
    for part in _PARTS:
        try:
            with open(folder / manifest.files[part], "rb") as file:
                _check(file, part, manifest, trusting=False)
        except (OSError, ValueError) as error:
            return getattr(error, "strerror", None) or str(error)
    return None


def _load(folder: Path, manifest: Manifest, mapped: bool) -> FaissStore:
    with _opened(folder, manifest, "keys") as file:
        keys = np.frombuffer(file.read(), dtype="<i8").astype(np.int64)
    with _opened(folder, manifest, "tail") as file:
        parts = np.load(io.BytesIO(file.read()), allow_pickle=False)
        came, vectors, dead = parts["keys"], parts["vectors"], parts["dead"]
    with _opened(folder, manifest, "faiss") as file:
        mapped = mapped and _can_map(manifest)
        index = _read_index(file, mapped)
    if index.d != manifest.dim:
        raise ValueError("its dimension differs")
    base = Part(index, keys, effort=manifest.effort, dead=dead)
    store = FaissStore(
        base, manifest.setting, recall=manifest.recall, trained_on=manifest.trained_on, mapped=mapped
    )
    store.add(came, vectors.astype(np.float32))
    store.stored = (manifest.files["faiss"], manifest.sha256["faiss"])
    return store


def _can_map(manifest: Manifest) -> bool:
    celled = manifest.setting not in ("exact", "hnsw")  # FAISS maps the lists of cells and nothing else
    return celled and manifest.sizes["faiss"] >= LARGE_BYTES and sys.platform == "linux"


def _read_index(file: BufferedReader, mapped: bool) -> Any:
    """The base, in memory or left on disk."""
    faiss = load_faiss()
    if mapped:
        # By the open file and not by its name, which need not be UTF-8 and may be gone by now.
        return faiss.read_index(f"/proc/self/fd/{file.fileno()}", faiss.IO_FLAG_MMAP)
    reader = faiss.PyCallbackIOReader(file.read)
    return faiss.read_index(faiss.BufferedIOReader(reader, _CHUNK))


@contextmanager
def _opened(folder: Path, manifest: Manifest, part: str) -> Iterator[BufferedReader]:
    with open(folder / manifest.files[part], "rb") as file:
        _check(file, part, manifest, trusting=True)
        yield file


def _check(file: BufferedReader, part: str, manifest: Manifest, *, trusting: bool) -> None:
    """Compare size and hash of an open file with the manifest, and go back to its start."""
    size = os.fstat(file.fileno()).st_size
    if size != manifest.sizes[part]:
        raise ValueError(f"the file of its {part} has another length")
    if trusting and size >= LARGE_BYTES and _stamp(file) == manifest.stamps[part]:
        return
    if hashlib.file_digest(file, "sha256").hexdigest() != manifest.sha256[part]:
        raise ValueError(f"the file of its {part} is not what was written")
    file.seek(0)


def _stamp(file: IO[bytes]) -> list[int]:
    status = os.fstat(file.fileno())
    return [status.st_ino, status.st_mtime_ns]


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
    old = read_manifest(folder, name)
    files, sizes, hashes, stamps = {}, {}, {}, {}
    for part, write in _writers(store).items():
        kept = _kept(folder, part, store, old)
        if old is not None and kept:
            files[part], sizes[part], hashes[part] = old.files[part], old.sizes[part], old.sha256[part]
            stamps[part] = old.stamps[part]
            continue
        beside = folder / f"{name}.{part}.new"  # one name: what a killed process left is overwritten
        with _removed_on_error(beside):
            with open(beside, "wb") as file:
                out = _Hashed(file)
                write(out)
                out.check()
                file.flush()
                os.fsync(file.fileno())
                stamps[part] = _stamp(file)
            sizes[part], hashes[part] = out.size, out.hash.hexdigest()
            files[part] = f"{name}-{hashes[part][:12]}.{part}"
            os.replace(beside, folder / files[part])
    manifest = Manifest(
        format=FORMAT,
        library=library,
        encoder=encoder,
        dim=store.dim,
        commit=commit,
        setting=store.setting,
        kind=store.kind,
        effort=store.base.effort,
        recall=store.recall,
        trained_on=store.trained_on,
        vectors=store.count,
        files=files,
        sizes=sizes,
        sha256=hashes,
        stamps=stamps,
    )
    beside = folder / f"{name}.json.new"
    with _removed_on_error(beside):
        with open(beside, "wb") as file:
            file.write(json.dumps(asdict(manifest), indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, folder / f"{name}.json")
    store.stored = (files["faiss"], hashes["faiss"])
    _forget_others(folder, name, set(files.values()))


def _writers(store: FaissStore) -> dict[str, Callable[[_Hashed], Any]]:
    faiss = load_faiss()

    def tail(out: _Hashed) -> None:
        buffer = io.BytesIO()
        rows = len(store.tail.keys)
        vectors = store.tail.index.reconstruct_n(0, rows) if rows else np.empty((0, store.dim))
        alive = np.ones(rows, dtype=bool)
        alive[store.tail.dead] = False
        came = store.tail.keys[alive]
        np.savez(buffer, keys=came, vectors=vectors[alive].astype("<f2"), dead=store.base.dead)
        out(buffer.getvalue())

    return {
        "keys": lambda out: out(store.base.keys.astype("<i8").tobytes()),
        "faiss": lambda out: faiss.write_index(
            store.base.index, faiss.BufferedIOWriter(faiss.PyCallbackIOWriter(out, _CHUNK), _CHUNK)
        ),
        "tail": tail,
    }


def _kept(folder: Path, part: str, store: FaissStore, old: Manifest | None) -> bool:
    """Whether a part lies on disk already: the base is written once, and the tail often."""
    if old is None or part == "tail":
        return False
    same = store.stored == (old.files["faiss"], old.sha256["faiss"])
    return same and (folder / old.files[part]).is_file()


def _forget_others(folder: Path, name: str, current: set[str]) -> None:
    """Delete the files of earlier manifests, also of the time when they had fixed names."""
    for part in _PARTS:
        for path in (*folder.glob(f"{name}-*.{part}"), folder / f"{name}.{part}"):
            if path.name not in current:
                with contextlib.suppress(OSError):  # another process may hold it open, on some systems
                    path.unlink()


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
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
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
