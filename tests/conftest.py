"""Fixtures for all tests: the real MIDI sets, where they stand beside the repository."""

from __future__ import annotations

import os
import shutil
import signal
import tarfile
import tempfile
from pathlib import Path

# Before numpy and torch are imported: the tests' arrays are small, and beside other busy processes threads
# that wait for each other by spinning take several times as long. Processes that tests start inherit it.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest  # noqa: E402
from filelock import FileLock  # noqa: E402

REPOSITORY = Path(__file__).resolve().parent.parent
ARCHIVES = REPOSITORY.parent / "shared" / "data"
ARIA = REPOSITORY.parent / "shared" / "aria"
CACHE = REPOSITORY / ".cache" / "data"


# A shell that starts the tests in the background has Ctrl-C ignored, and so would commands started here.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with one folder for each set of real MIDI files (maestro, asap, pop909, ...).

    MIDIKIN_TEST_DATA may name a folder where they are unpacked already.
    """
    unpacked = os.environ.get("MIDIKIN_TEST_DATA")
    if unpacked:
        if not Path(unpacked).is_dir():
            pytest.fail(f"MIDIKIN_TEST_DATA names {unpacked}, which is no folder")
        return Path(unpacked)
    archives = sorted(ARCHIVES.glob("*.tar.xz"))
    if not archives:
        pytest.skip("no real MIDI sets in ../shared/data")
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / ".lock"):
        for archive in archives:
            _unpack_once(archive)
    return CACHE


@pytest.fixture(scope="session")
def aria_dir() -> Path:
    """Folder with what Aria's reference code gave (`golden.npz`) and two small models of its kind."""
    if not (ARIA / "golden.npz").is_file():
        pytest.skip("no golden files of Aria in ../shared/aria")
    return ARIA


def _unpack_once(archive: Path) -> None:
    """Unpack beside the target and rename: a set is there as a whole or not at all."""
    name = archive.name.removesuffix(".tar.xz")
    done = CACHE / f".{name}.done"
    stamp = f"{archive.stat().st_size} {archive.stat().st_mtime_ns}"
    if done.exists() and done.read_text() == stamp:
        return
    beside = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=CACHE))
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(beside, filter="data")
        shutil.rmtree(CACHE / name, ignore_errors=True)
        (beside / name).rename(CACHE / name)
        done.write_text(stamp)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the real sets or Aria's golden files carries the mark `data`."""
    for item in items:
        if {"data_dir", "aria_dir"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.data)
