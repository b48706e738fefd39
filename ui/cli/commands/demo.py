"""`midikin demo`."""

from __future__ import annotations

import shlex
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import JsonOption

if TYPE_CHECKING:
    from index import Library
    from ui.demo.questions import Answered

__all__ = ["demo"]


def demo(
    folder: Annotated[
        str | None,
        typer.Option(
            "--folder",
            metavar="DIR",
            help="Where the music goes; a folder of your own user data if not given.",
        ),
    ] = None,
    library: Annotated[
        str | None,
        typer.Option(
            "--library",
            metavar="DIR",
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
        raise typer.BadParameter("an empty name stands for no folder")
    home = Path(folder).expanduser().absolute() if folder else _default_folder()
    music = home / "music"
    where = Path(library).expanduser().absolute() if library else home / "library"
    _make(music)
    with Library.open(where) as opened:
        _add(opened, music)
        if json:
            from ui.demo.questions import ask

            answers = [answered.to_json() for answered in ask(opened, music)]
            print_json({"music": str(music), "library": str(where), "searches": answers})
        else:
            _show(opened, music)


def _default_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("midikin", appauthor=False)) / "demo"


def _make(music: Path) -> None:
    """The MIDI files, those that are missing."""
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


def _add(library: Library, music: Path) -> None:
    from ui.cli.errors import KeptAndContinues
    from ui.cli.progress import add_progress

    with add_progress() as progress:
        report = library.add(music, progress)
    if report.interrupted:
        raise KeptAndContinues


def _show(library: Library, music: Path) -> None:
    from ui.demo.questions import ask, recall_of_settings
    from ui.demo.works import CHORALE_TUNES

    info = library.info()
    _say(
        f"{info.pieces} pieces, {info.hours:.1f} hours of music, in the library {library.folder}\n"
        f"made from the MIDI files in {music}"
    )
    for number, answered in enumerate(ask(library, music), start=1):
        _show_answers(number, answered, library, music)
    share, settings = recall_of_settings(library, music)
    _say(
        f"The first question, asked of each of the {settings} settings of {len(CHORALE_TUNES)} tunes: on "
        f"average {share:.0%} of the other settings of its tune are among the first ten answers."
    )
    query = shlex.quote(str(music / "joplin" / "maple_leaf_rag.mid"))
    where = shlex.quote(str(library.folder))
    print("What to type next:\n")
    print(f"  midikin search {query} --library {where}")
    print(f"  midikin info --library {where}")
    print("  midikin add ~/Music          your own MIDI files, into a library of your own")
    print("  midikin search SONG.mid      what sounds like one of them")
    print("  midikin search --help        parts, passages, filters")


def _show_answers(number: int, answered: Answered, library: Library, music: Path) -> None:
    """A question, the command that asks it, the answers with the right ones marked, and the count."""
    from ui.cli.output import clock

    _say(f"{number}. {answered.question}")
    print(f"  $ midikin {shlex.join(answered.arguments)} --library {shlex.quote(str(library.folder))}\n")
    for hit, right in zip(answered.result.results, answered.expected, strict=True):
        name = Path(hit.path).relative_to(music) if Path(hit.path).is_relative_to(music) else hit.display
        span = f"{clock(hit.start_s)}-{clock(hit.end_s)}"
        print(f"  {'*' if right else ' '} {hit.rank:2}  {hit.score:.3f}  {span:>11}  {name}")
    print()
    _say(f"(* known to be right)  {answered.verdict}")


def _say(text: str) -> None:
    for line in text.splitlines():
        print(textwrap.fill(line, 100, break_long_words=False, break_on_hyphens=False))
    print()
