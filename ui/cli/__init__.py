"""The command `midikin`: `main` is its entry point, `ui.cli.registry` the table of its commands.

Nothing heavy is imported before a command needs it, so that help and completion come at once.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from .errors import forget_output, one_line_endings, one_line_usage
from .registry import LazyGroup

__all__ = ["app", "main"]


class _Midikin(LazyGroup):
    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with one_line_usage():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        with one_line_endings():
            result = super().invoke(ctx)
            sys.stdout.flush()  # a reader that has gone is noticed here and not at exit
            return result


app = typer.Typer(
    name="midikin",
    cls=_Midikin,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(given: bool) -> None:
    if given:
        from importlib.metadata import version

        print(f"midikin {version('midikin')}")
        raise typer.Exit


@app.callback()
def midikin(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    """Find the kin of a piece of MIDI music.

    Point midikin at folders of MIDI files once, then ask what sounds like a piece. The files themselves are
    only ever read.

    \b
    Examples:
      midikin demo
      midikin add ~/Music/midi
      midikin search theme.mid
      midikin search theme.mid --from 0:30 --to 1:00 --passages
    """


def main() -> None:
    """Run the command line; never returns."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        # A name that the terminal's encoding cannot show is escaped, not an error.
        getattr(sys, name).reconfigure(errors="backslashreplace")
    try:
        os.getcwd()
    except OSError as error:
        sys.exit(f"midikin: the current folder is gone: {error}")
    try:
        try:
            app(prog_name="midikin")
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:  # before or after a command's own work
        sys.exit(130)
    except OSError as error:  # help that cannot be written
        forget_output()
        sys.exit(f"midikin: stopped by the system: {error}")


if __name__ == "__main__":
    main()
