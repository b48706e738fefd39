"""Weights from the hub: a server beside the test stands in for it, kills and broken lines included."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from embedder import Encoder, EncoderError
from embedder.aria import download as downloading
from embedder.aria import hub
from embedder.aria.download import download
from tests.support.aria_models import tiny_aria

NAME = "loubb/aria-medium-embedding"
MIB = 2**20


class Hub(ThreadingHTTPServer):
    """What the hub answers about one model, whose file lies on another host than its pages.

    Attributes
    ----------
    hold_after : bytes of a file after which it says nothing more
    break_after : bytes of a file after which it hangs up
    ranges : what was asked for of the file, None for all of it
    """

    daemon_threads = True

    def __init__(self, file: bytes, stated_size: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.file, self.size = file, stated_size or len(file)
        self.etag = hashlib.sha256(file).hexdigest()
        self.hold_after: int | None = None
        self.break_after: int | None = None
        self.knows_ranges = True
        self.ranges: list[str | None] = []
        self.keys_shown: list[str | None] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def file_url(self) -> str:
        return f"http://localhost:{self.server_address[1]}/file"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is nothing to report."""


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *what: Any) -> None:
        """Nothing on the terminal."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, hub_ = self.path.partition("?")[0], self.server
        if path == f"/api/models/{NAME}":
            sibling = {"rfilename": "model.safetensors", "size": hub_.size}
            facts = {"id": NAME, "siblings": [sibling], "cardData": {"license": "apache-2.0"}, "tags": []}
            self._say(200, json.dumps(facts).encode())
        elif path == f"/{NAME}/resolve/main/model.safetensors":
            self.send_response(302)
            for name, value in (
                ("Location", hub_.file_url),
                ("X-Repo-Commit", "0" * 40),
                ("X-Linked-Etag", f'"{hub_.etag}"'),
                ("X-Linked-Size", str(len(hub_.file))),
                ("Content-Length", "0"),
            ):
                self.send_header(name, value)
            self.end_headers()
        elif path == "/file":
            self._send_file()
        else:
            self._say(404, b"{}")

    def _send_file(self) -> None:
        hub_, asked = self.server, self.headers["Range"]
        hub_.ranges.append(asked)
        hub_.keys_shown.append(self.headers["Authorization"])
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and hub_.knows_ranges else 0
        body = hub_.file[first:]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        most = min(m for m in (hub_.hold_after, hub_.break_after, len(body)) if m is not None)
        self.wfile.write(body[:most])
        self.wfile.flush()
        if hub_.hold_after is not None:
            hub_.closing.wait()
        self.close_connection = True

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


Serve = Callable[..., Hub]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Hub] = []

    def start(*what: Any, **how: Any) -> Hub:
        servers.append(Hub(*what, **how))
        threading.Thread(
            target=servers[-1].serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        return servers[-1]

    yield start
    for server in servers:
        stop(server)


def stop(server: Hub) -> None:
    server.closing.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "PAUSE_S", 0.0)


# -- as a user has it: in processes of their own ----------------------------------------------------------


def started(server_url: str, home: Path, name: str = NAME, **settings: str) -> subprocess.Popen[str]:
    """A process that fetches a model; prints its path, or the error."""
    code = (
        "import sys\n"
        "from embedder.aria.hub import fetch\n"
        "from embedder.core.errors import EncoderError\n"
        "try:\n    print(fetch(sys.argv[1]))\n"
        "except EncoderError as error:\n    print(error, file=sys.stderr)\n    sys.exit(1)\n"
    )
    words = [sys.executable, "-c", code, name]
    environment = os.environ | {"HF_ENDPOINT": server_url, "HF_HOME": str(home), "NO_PROXY": "*"} | settings
    environment.pop("HF_HUB_CACHE", None)
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path.cwd()
    )


def test_a_download_that_was_killed_goes_on(tmp_path: Path, serve: Serve) -> None:
    weights = os.urandom(3 * MIB + 5)
    server = serve(weights, stated_size=2_528_000_000)
    server.hold_after = 2 * MIB + 7
    first = started(server.url, tmp_path, HF_TOKEN="hf_secret")
    deadline = time.monotonic() + 60
    while not (parts := list(tmp_path.rglob("*.part"))) or parts[0].stat().st_size < 2 * MIB:
        assert time.monotonic() < deadline
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    first.kill()
    _, said = first.communicate()
    assert said == f"downloading {NAME}: 2.5 GB, licence apache-2.0; if stopped, it goes on later\n"

    server.hold_after = None
    second = started(server.url, tmp_path, HF_TOKEN="hf_secret")
    out, said = second.communicate(timeout=60)
    assert second.returncode == 0, said
    path = Path(out.strip())
    assert path.read_bytes() == weights
    assert path.is_relative_to(tmp_path)
    assert server.ranges == [None, f"bytes={2 * MIB}-"]
    assert server.keys_shown == [None, None]  # the key is for the hub, not for where its files lie
    assert not list(tmp_path.rglob("*.part"))

    stop(server)
    third = started(server.url, tmp_path)
    assert third.communicate(timeout=60) == (out, "")
    fourth = started(server.url, tmp_path, "loubb/aria-other", HF_HUB_OFFLINE="1")
    _, said = fourth.communicate(timeout=60)
    assert fourth.returncode == 1
    assert said == (
        "loubb/aria-other is not on this disk and the hub cannot be reached: "
        "go online, or give the path of a copy of its model.safetensors\n"
    )


# -- the line, the file, the disk -------------------------------------------------------------------------


def fetched(server: Hub, target: Path) -> bytes:
    download(server.file_url, target, size=len(server.file), etag=server.etag)
    return target.read_bytes()


def test_a_line_that_breaks_again_and_again(tmp_path: Path, serve: Serve) -> None:
    server = serve(os.urandom(4 * MIB))
    server.break_after = MIB + 1
    assert fetched(server, tmp_path / "model.safetensors") == server.file
    assert server.ranges[0] is None
    assert len(server.ranges) >= 4
    assert len(set(server.ranges)) == len(server.ranges)  # each time from where it stood


def test_a_server_without_ranges_begins_anew(tmp_path: Path, serve: Serve) -> None:
    server = serve(os.urandom(2 * MIB))
    server.break_after = MIB + 1
    server.knows_ranges = False
    target = tmp_path / "model.safetensors"
    with pytest.raises(httpx.TransportError):
        fetched(server, target)
    server.break_after = None
    assert fetched(server, target) == server.file


def test_what_arrives_damaged_is_refused_and_asked_for_again(tmp_path: Path, serve: Serve) -> None:
    server = serve(os.urandom(MIB))
    sound, server.file = server.file, bytes(MIB)
    target = tmp_path / "model.safetensors"
    with pytest.raises(EncoderError, match="did not arrive as it was sent"):
        fetched(server, target)
    assert not list(tmp_path.glob("*.safetensors*part"))
    server.file = sound
    assert fetched(server, target) == sound


def test_parts_of_another_version_go(tmp_path: Path, serve: Serve) -> None:
    server = serve(os.urandom(MIB))
    (tmp_path / "model.safetensors.0123456789ab.part").write_bytes(b"of another version")
    assert fetched(server, tmp_path / "model.safetensors") == server.file
    assert not list(tmp_path.glob("*.part"))


def test_a_disk_without_room_is_one_line(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(os.urandom(MIB))
    free = SimpleNamespace(free=1000)
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda path: free)  # type: ignore[attr-defined]
    with pytest.raises(OSError, match=r"0\.0 GB are free"):
        fetched(server, tmp_path / "model.safetensors")
    assert server.ranges == []


# -- what `Encoder.load` makes of it ----------------------------------------------------------------------


Answer = Callable[..., Any]


@pytest.fixture
def at_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Answer], None]:
    """An empty disk, and a function in place of the one that asks the hub what it has."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", not_here)
    return lambda info: monkeypatch.setattr(huggingface_hub, "model_info", info)


def not_here(*what: Any, **how: Any) -> Any:
    assert how == {"local_files_only": True}
    raise LocalEntryNotFoundError("not in the cache")


def test_what_the_hub_s_own_client_has_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tiny_aria(tmp_path / "tiny.safetensors", embedding=16)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *what, **how: str(weights))
    assert Encoder.load(NAME, "cpu").dim == 16
    assert capsys.readouterr().err == ""


def test_an_encoder_is_fetched_and_loaded(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, at_the_hub: Callable[[Answer], None]
) -> None:
    server = serve(tiny_aria(tmp_path / "tiny.safetensors", embedding=16).read_bytes())
    at_the_hub(lambda name, **how: huggingface_hub.HfApi(endpoint=server.url).model_info(name, **how))
    address = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    assert Encoder.load(NAME, "cpu").dim == 16


def http_error(status: int) -> HfHubHTTPError:
    request = httpx.Request("GET", "https://example.org")
    return HfHubHTTPError("no", response=httpx.Response(status, request=request))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx.ConnectError("no route"), "the hub cannot be reached: go online, or give the path"),
        (ConnectionError("offline"), "the hub cannot be reached"),
        (LocalEntryNotFoundError("offline"), "the hub cannot be reached"),
        (http_error(404), "there is no such model"),
        (http_error(503), "the hub answers 503"),
        (OSError(28, "No space left on device"), "cannot be stored: .*No space left"),
    ],
)
def test_no_network_is_one_clear_line(
    at_the_hub: Callable[[Answer], None], error: Exception, reason: str
) -> None:
    def refuse(*what: Any, **how: Any) -> Any:
        raise error

    at_the_hub(refuse)
    with pytest.raises(EncoderError, match=reason) as caught:
        Encoder.load(NAME)
    assert str(caught.value).startswith(NAME)
    assert "\n" not in str(caught.value)


def test_a_model_without_the_file_is_refused(at_the_hub: Callable[[Answer], None]) -> None:
    at_the_hub(lambda *what, **how: SimpleNamespace(siblings=[], card_data=None))
    with pytest.raises(EncoderError, match=r"holds no model\.safetensors"):
        Encoder.load(NAME)


@pytest.mark.parametrize("name", ["loubb/aria-", "loubb/aria-a/b", "loubb/aria-../../x"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(EncoderError, match="is no name of a model on the hub"):
        hub.fetch(name)
