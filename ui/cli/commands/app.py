"""`midikin ui` and `midikin demo`: the app in a browser, and a library of real music to try it on."""

from __future__ import annotations

import os
import shlex
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import JsonOption, LibraryOption

if TYPE_CHECKING:
    from index import Library
    from ui.demo.questions import Answered

__all__ = ["demo", "ui"]


def ui(
    library: LibraryOption = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="NUMBER",
            min=1,
            max=65535,
            help="Port to listen on; 8501 or the next free one if not given.",
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
            metavar="FOLDER",
            help="Folder that may be added from the page; may be repeated. "
            "Any folder of yours if nobody else can reach the app, and none otherwise.",
        ),
    ] = None,
    login: Annotated[
        list[str] | None,
        typer.Option(
            "--login",
            metavar="PATTERN",
            help="Let in only who logs in with an address like this: '*@example.org'; "
            "needs Streamlit's [auth] secrets, see ui/README.md.",
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
        bool | None,
        typer.Option("--browser/--no-browser", help="Open a browser; if not given, only on a terminal."),
    ] = None,
) -> None:
    """Open the app: search, listen, map, duplicates, tags.

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
    Library.open(library).close()  # an error is reported here and not on a page
    if not is_loopback(host) and not login:
        remark(
            f"everybody who can reach {host} can use this library; "
            "ui/README.md describes how to put a login in front"
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


# -- demo ---------------------------------------------------------------------------------------------


def demo(
    folder: Annotated[
        str | None,
        typer.Option(
            "--folder",
            metavar="FOLDER",
            help="Where the music goes; a folder of your own user data if not given.",
        ),
    ] = None,
    library: Annotated[
        str | None,
        typer.Option(
            "--library",
            metavar="FOLDER",
            help="Where the demonstration's library goes; beside its music if not given. "
            "Your own library is not touched.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a library of real music and try three searches on it.

    The music comes with the package music21 (pip install 'midikin[demo]'): Bach, Mozart, Palestrina, folk
    songs and others, over 300 pieces. The first time it is converted, which takes a minute or two; stop it
    with Ctrl-C whenever you like, the same command continues.

    \b
    Examples:
      midikin demo
      midikin demo --folder ~/midikin-demo
    """
    from index import Library
    from ui.cli.output import print_json

    if folder == "":
        raise typer.BadParameter("an empty name stands for no folder", param_hint="'--folder'")
    home = Path(folder).expanduser().absolute() if folder else _default_folder()
    music = home / "music"
    library_folder = Path(library).expanduser().absolute() if library else home / "library"
    _make_music(music)
    with Library.open(library_folder) as opened:
        _add_music(opened, music)
        if json:
            from ui.demo.questions import ask

            answers = [answered.to_json() for answered in ask(opened, music)]
            print_json({"music": str(music), "library": str(library_folder), "searches": answers})
        else:
            _print_demo(opened, music)


def _default_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("midikin", appauthor=False)) / "demo"


def _make_music(music: Path) -> None:
    """Convert the works that are not there yet."""
    from ui.cli.errors import KeptAndContinues
    from ui.cli.progress import progress_bar
    from ui.demo.making import make_files
    from ui.demo.works import works

    try:
        with progress_bar() as bar:
            task = bar.add_task("converting music21's scores", total=None, rate="")
            make_files(works(), music, lambda done, total: bar.update(task, completed=done, total=total))
    except KeyboardInterrupt:
        raise KeptAndContinues from None


def _add_music(library: Library, music: Path) -> None:
    from ui.cli.errors import KeptAndContinues
    from ui.cli.progress import add_progress

    with add_progress() as progress:
        report = library.add(music, progress)
    if report.interrupted:
        raise KeptAndContinues


def _print_demo(library: Library, music: Path) -> None:
    from ui.demo.questions import ask, recall_of_settings
    from ui.demo.works import CHORALE_TUNES

    info = library.info()
    _print_paragraph(
        f"{info.pieces} pieces, {info.hours:.1f} hours of music, in the library {library.folder}\n"
        f"made from the MIDI files in {music}"
    )
    for number, answered in enumerate(ask(library, music), start=1):
        _print_answers(number, answered, library, music)
    share, settings = recall_of_settings(library, music)
    _print_paragraph(
        f"The first question, asked of each of the {settings} settings of {len(CHORALE_TUNES)} tunes: on "
        f"average {share:.0%} of the other settings of its tune are among the first ten answers."
    )
    query = shlex.quote(str(music / "joplin" / "maple_leaf_rag.mid"))
    folder = shlex.quote(str(library.folder))
    print("What to type next:\n")
    print(f"  midikin search {query} --library {folder}")
    print(f"  midikin ui --library {folder}")
    print("  midikin add ~/Music          your own MIDI files, into a library of your own")
    print("  midikin search SONG.mid      what sounds like one of them")
    print("  midikin search --help        parts, passages, filters")


def _print_answers(number: int, answered: Answered, library: Library, music: Path) -> None:
    """A question, the command that asks it, the answers with the right ones marked, and the count."""
    from ui.cli.output import clock

    _print_paragraph(f"{number}. {answered.question}")
    folder = shlex.quote(str(library.folder))
    print(f"  $ midikin {shlex.join(answered.arguments)} --library {folder}\n")
    for hit, right in zip(answered.result.results, answered.expected, strict=True):
        name = Path(hit.path).relative_to(music) if Path(hit.path).is_relative_to(music) else hit.display
        span = f"{clock(hit.start_s)}-{clock(hit.end_s)}"
        print(f"  {'*' if right else ' '} {hit.rank:2}  {hit.score:.3f}  {span:>11}  {name}")
    print()
    _print_paragraph(f"(* known to be right)  {answered.verdict}")


def _print_paragraph(text: str) -> None:
    for line in text.splitlines():
        print(textwrap.fill(line, 100, break_long_words=False, break_on_hyphens=False))
    print()
