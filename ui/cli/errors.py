"""How a command ends: what the user did wrong, or stopped, is one line on stderr and an exit status.

0    done
1    midikin cannot do it: `midikin: REASON` on stderr
2    the command was written wrongly
130  stopped with Ctrl-C
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from embedder.core.errors import MidikinError

__all__ = ["STOPPED", "KeptAndContinues", "complain", "forget_output", "one_line_endings", "usage_errors"]

STOPPED = 130


class KeptAndContinues(KeyboardInterrupt):
    """Ctrl-C during work that keeps what it has done and continues when asked again."""

    def __str__(self) -> str:
        return "stopped; what was added is kept, and the same command continues"


def complain(message: str) -> None:
    """One line on stderr."""
    print(f"midikin: {message}", file=sys.stderr, flush=True)


@contextmanager
def one_line_endings() -> Iterator[None]:
    """Turn the endings that a user can cause into a line and an exit status."""
    try:
        yield
        sys.stdout.flush()
    except MidikinError as error:
        complain(str(error))
        raise typer.Exit(1) from None
    except KeyboardInterrupt as error:
        complain(str(error) or "stopped")
        raise typer.Exit(STOPPED) from None
    except BrokenPipeError:  # whoever read our output has enough
        forget_output()
        raise typer.Exit(1) from None
    except OSError as error:
        forget_output()
        complain(f"stopped by the system: {error}")
        raise typer.Exit(1) from None


def forget_output() -> None:
    """Python would complain at exit when it flushes what is left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def usage_errors(parameter: str) -> Iterator[None]:
    """Report a ValueError as wrong use of a parameter: exit status 2."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=f"'{parameter}'") from None
