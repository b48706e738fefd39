"""How the app is started: Streamlit's settings, all given on its command line, and the pages' environment.

Streamlit by itself listens on every address, takes uploads of 200 MB, reports usage to its makers and shows
tracebacks to visitors. The settings here override that, whatever a user's own configuration says.
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
_UPLOAD_MB = 8  # equal to ui.app.uploads.MAX_BYTES, which a test checks
_SCRIPT = Path(__file__).with_name("asgi.py")

_SETTINGS = {
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    # Otherwise a full garbage collection delays the end of each run of a page.
    "runner.postScriptGC": "false",
    "server.enableCORS": "true",
    "server.enableXsrfProtection": "true",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": str(_UPLOAD_MB),
    "server.runOnSave": "false",
    "server.showEmailPrompt": "false",
}


# The tokens that Streamlit's own widgets need; all others are in frontend/tokens.css.
_THEMES = {
    "light": {
        "primaryColor": "#0B6B57",
        "backgroundColor": "#F4F6F5",
        "secondaryBackgroundColor": "#FFFFFF",
        "textColor": "#14201D",
        "borderColor": "#C3CEC9",
        "linkColor": "#0B6B57",
        "grayTextColor": "#52615C",
    },
    "dark": {
        "primaryColor": "#5CCFB0",
        "backgroundColor": "#0E1413",
        "secondaryBackgroundColor": "#151D1B",
        "textColor": "#E8EFEC",
        "borderColor": "#3C4B46",
        "linkColor": "#5CCFB0",
        "grayTextColor": "#A3B3AD",
    },
}
_SETTINGS |= {
    f"theme.{name}.{key}": value for name, tokens in _THEMES.items() for key, value in tokens.items()
}
_SETTINGS |= {
    "theme.baseFontSize": "14",
    "theme.baseRadius": "9px",
    "theme.buttonRadius": "9px",
    "theme.headingFont": "Source Serif",
    "theme.showWidgetBorder": "true",
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

    @property
    def remote(self) -> bool:
        """Whether others than the user of this computer may reach it: directly or through a proxy."""
        return bool(not is_loopback(self.host) or self.hosts or self.login or self.music)

    def command(self) -> list[str]:
        """The command line of the app's process."""
        names = [*(("localhost", "127.0.0.1", "[::1]") if is_loopback(self.host) else ()), *self.hosts]
        settings = _SETTINGS | {
            "server.address": self.host,
            "server.port": str(self.port),
            "server.headless": str(not self.browser).lower(),
        }
        flags = [f"--{name}={value}" for name, value in settings.items()]
        # Requests under other host names (DNS rebinding) are rejected.
        flags += [f"--server.allowedHosts={name}" for name in names]
        # Without -P, a module in the current folder would shadow one of ours.
        return [sys.executable, "-P", "-m", "ui.app.server", "run", str(_SCRIPT), *flags]

    def environment(self) -> dict[str, str]:
        """The environment of the app's process, from which the pages read how they were started."""
        environment = dict(os.environ)
        if self.library:
            environment["MIDIKIN_LIBRARY"] = os.path.abspath(self.library)
        for name in ("MIDIKIN_UI_MUSIC", "MIDIKIN_UI_LOGIN"):
            environment.pop(name, None)
        if self.remote:
            environment["MIDIKIN_UI_MUSIC"] = os.pathsep.join(
                os.path.abspath(folder) for folder in self.music
            )
        if self.login:
            environment["MIDIKIN_UI_LOGIN"] = "\n".join(self.login)
        return environment


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def free_port(host: str, port: int | None) -> int:
    """The given port, or the first that is free.

    Raises
    ------
    ValueError
        If the address cannot be listened on; the message says why.
    """
    ports = [port] if port is not None else list(range(FIRST_PORT, FIRST_PORT + _PORTS))
    reason = ""
    for candidate in ports:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, candidate, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(address)
            return candidate
        except OSError as error:
            reason = f"{host} port {candidate}: {error.strerror or error}"
    raise ValueError(f"cannot listen on {reason}; give another with --host or --port")
