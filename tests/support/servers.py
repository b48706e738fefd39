"""Real servers that end with the tests which need them: PostgreSQL of the system, Milvus of its package."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_MILVUS = """
import sys
from milvus import MilvusServer, MilvusServerConfig
server = MilvusServer(MilvusServerConfig())
server.set_base_dir(sys.argv[1])
server.listen_port = 0
server.start()
print(server.listen_port, flush=True)
sys.stdin.read()
server.stop()
"""


def _program(name: str) -> str:
    places = [*glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), shutil.which(name)]
    if places[0] is None:
        pytest.skip("PostgreSQL's server is not installed (on Debian: apt-get install postgresql)")
    return places[0]


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server with nothing in it."""
    pytest.importorskip("psycopg", reason="the extra `cluster` is not installed")
    user = {"user": "postgres"} if os.getuid() == 0 else {}  # the server refuses to run as the superuser
    folder = Path(tempfile.mkdtemp())
    if user:
        shutil.chown(folder, "postgres")
    folder.chmod(0o700)
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": "/", **user}
    settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    try:
        subprocess.run([_program("initdb"), "-D", folder / "data", "-U", "midikin", "-A", "trust"], **quiet)
        control = [_program("pg_ctl"), "-D", folder / "data", "-w"]
        subprocess.run([*control, "-o", settings, "-l", folder / "log", "start"], **quiet)
        try:
            yield f"postgresql://midikin@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def empty_place(server: str) -> str:
    """The address of a place of its own on a PostgreSQL server."""
    import sqlalchemy as sa

    name = f"test_{uuid.uuid4().hex}"
    engine = sa.create_engine(sa.make_url(server).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema(name))
    engine.dispose()
    return f"{server}&options=-csearch_path%3D{name}"


@contextmanager
def milvus() -> Iterator[str]:
    """The address of a Milvus server with nothing in it."""
    pytest.importorskip("pymilvus", reason="the extra `cluster` is not installed")
    pytest.importorskip("milvus", reason="the package with Milvus's server is not installed")
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _MILVUS, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(60)
