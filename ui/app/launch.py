"""How the app is started: Streamlit's settings, all given on its command line, and what the pages are told.

Streamlit by itself listens on every address, takes uploads of 200 MB, reports usage to its makers and shows
tracebacks to visitors. None of that is wanted here, whatever a user's own configuration says.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FIRST_PORT", "Launch", "free_port", "is_loopback"]

FIRST_PORT = 8501
_PORTS = 20  # tried from the first, if none is asked for
_UPLOAD_MB = 8  # as ui.app.uploads has it; a test holds the two together
_SCRIPT = Path(__file__).with_name("main.py")

_SETTINGS = {
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    # Else every object is looked at after each run of a page, while its answers wait to be sent.
    "runner.postScriptGC": "false",
    "server.enableCORS": "true",
    "server.enableXsrfProtection": "true",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": str(_UPLOAD_MB),
    "server.runOnSave": "false",
    "server.showEmailPrompt": "false",
    "theme.light.primaryColor": "#0b7a63",
    "theme.dark.primaryColor": "#1b856d",
}


@dataclass(frozen=True)
class Launch:
    """A start of the app.

    Attributes
    ----------
    host, port : where it listens
    library : the library's folder; the default one if None
    music : folders below which visitors may add music; the user alone may add any, others none but these
    login : who may come in, as patterns of mail addresses; everybody who reaches the app if empty
    hosts : further names by which browsers reach it, behind a proxy for instance
    browser : open one
    """

    host: str
    port: int
    library: str | None = None
    music: Sequence[str] = ()
    login: Sequence[str] = ()
    hosts: Sequence[str] = ()
    browser: bool = False

    def command(self) -> list[str]:
        """What is to be run."""
        names = [*(("localhost", "127.0.0.1", "[::1]") if is_loopback(self.host) else ()), *self.hosts]
        settings = _SETTINGS | {
            "server.address": self.host,
            "server.port": str(self.port),
            "server.headless": str(not self.browser).lower(),
        }
        flags = [f"--{name}={value}" for name, value in settings.items()]
        # Browsers that were sent to this machine under a strange name (by DNS rebinding) are turned away.
        flags += [f"--server.allowedHosts={name}" for name in names]
        # Without -P, a module in the current folder would stand for one of ours.
        return [sys.executable, "-P", "-m", "ui.app.server", "run", str(_SCRIPT), *flags]

    def environment(self) -> dict[str, str]:
        """Its environment: what the pages must know of how they were started."""
        told = dict(os.environ)
        if self.library:
            told["MIDIKIN_LIBRARY"] = os.path.abspath(self.library)
        for name in ("MIDIKIN_UI_MUSIC", "MIDIKIN_UI_LOGIN"):
            told.pop(name, None)
        if self.music or not is_loopback(self.host):
            told["MIDIKIN_UI_MUSIC"] = os.pathsep.join(os.path.abspath(folder) for folder in self.music)
        if self.login:
            told["MIDIKIN_UI_LOGIN"] = "\n".join(self.login)
        return told


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def free_port(host: str, wanted: int | None) -> int:
    """The wanted port, or the first that is free.

    Raises
    ------
    ValueError
        If the address cannot be listened on; the message says why.
    """
    ports = [wanted] if wanted is not None else list(range(FIRST_PORT, FIRST_PORT + _PORTS))
    reason = ""
    for port in ports:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(address)
            return port
        except OSError as error:
            reason = f"{host} port {port}: {error.strerror or error}"
    raise ValueError(f"cannot listen on {reason}; give another with --host or --port")
