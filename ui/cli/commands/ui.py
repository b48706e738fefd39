"""`midikin ui`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ui.cli.options import LibraryOption

__all__ = ["ui"]


def ui(
    library: LibraryOption = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=1, max=65535, help="Port to listen on; 8501 or the next free one if not given."
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="ADDRESS", help="Address to listen on; others can then reach the app."
        ),
    ] = "127.0.0.1",
    music: Annotated[
        list[str] | None,
        typer.Option(
            "--music",
            metavar="DIR",
            help="Folder that may be added from the page; may be given several times. "
            "Any folder of yours if nobody else can reach the app, and none otherwise.",
        ),
    ] = None,
    login: Annotated[
        list[str] | None,
        typer.Option(
            "--login",
            metavar="PATTERN",
            help="Let in only who logs in with an address like this: '*@example.org'; "
            "needs Streamlit's [auth] secrets, see the README.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="HOST",
            help="Name under which browsers reach the app, behind a proxy for instance.",
        ),
    ] = None,
    browser: Annotated[
        bool | None, typer.Option("--browser/--no-browser", help="Open a browser; as usual on a terminal.")
    ] = None,
) -> None:
    """Open the app in a browser: search, listen, walk on a map, review duplicates, tag.

    It is served by this computer to this computer alone, unless --host says otherwise, and needs no internet.

    \b
    Examples:
      midikin ui
      midikin ui --port 8600 --library ~/midikin-library
      midikin ui --host 0.0.0.0 --music /srv/midi --login '*@example.org'
    """
    import subprocess

    from index import Library
    from ui.app.launch import Launch, free_port, is_loopback
    from ui.cli.errors import usage_errors
    from ui.cli.output import remark

    with usage_errors("--port"):
        chosen = free_port(host, port)
    Library.open(library).close()  # what is wrong with it is said here and not on a page
    if not is_loopback(host) and not login:
        remark(
            f"everybody who can reach {host} can use this library; "
            "the README says how to put a login in front"
        )
    launch = Launch(
        host=host,
        port=chosen,
        library=library,
        music=music or (),
        login=login or (),
        hosts=name or (),
        browser=sys.stdout.isatty() if browser is None else browser,
    )
    if os.name == "posix":  # one process, so that whatever ends this command ends the app
        os.execve(sys.executable, launch.command(), launch.environment())
    process = subprocess.Popen(launch.command(), env=launch.environment())
    try:
        status = process.wait()
    except KeyboardInterrupt:  # the terminal sends it to both
        process.wait()
        return
    if status:
        raise typer.Exit(1)
