"""How a command ends: what the user did wrong, or stopped, is one line on stderr and an exit status.

0    done
1    midikin cannot do it: `midikin: REASON` on stderr
2    the command was written wrongly
130  stopped with Ctrl-C
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from embedder.core.errors import MidikinError

__all__ = [
    "STOPPED",
    "KeptAndContinues",
    "complain",
    "forget_output",
    "one_line_endings",
    "one_line_usage",
    "usage_errors",
]

STOPPED = 130
# Typer brings its own copy of click or uses the one that is installed; this is the error of either.
_UsageError: type[Any] = typer.BadParameter.__bases__[0]

# What the framework says of a wrong command, and what a person understands.
_IN_WORDS = (
    (r"(Invalid value)(?: for (?P<at>.+?))?: (?P<why>.*)", r"\g<at>: \g<why>"),
    (r"Missing (?:argument|option|parameter) '?(?P<at>[^']+)'?\.?.*", r"\g<at> is missing"),
    (
        r"No such option: (\S+?)(?: \(Possible options: (.+)\))?\.?",
        r"there is no option \1; did you mean \2?",
    ),
    (r"No such option: (\S+?)\.? Did you mean (.+)\?", r"there is no option \1; did you mean \2?"),
    (r"No such command '(.*?)'\. Did you mean '?(.+?)'?\?", r"there is no command '\1'; did you mean '\2'?"),
    (r"No such command '(.*?)'\.", r"there is no command '\1'"),
    (r"Got unexpected extra argument(?:s|\(s\))? ?\((.*)\)", r"too much is given: \1"),
    (r"Option '?([^' ]+)'? requires an argument\.", r"\1 needs a value"),
    (r"Option '?([^' ]+)'? requires (\d+) arguments\.", r"\1 needs \2 values"),
)
_VALUES_IN_WORDS = (
    (r"Value error, ", ""),
    (r"Input should be a valid integer.*", "must be a whole number"),
    (r"Input should be a valid (?:number|float).*", "must be a number"),
    (r"Input should be greater than or equal to (\S+)", r"must be at least \1"),
    (r"Input should be less than or equal to (\S+)", r"must be at most \1"),
    (r"Input should be (greater|less) than (\S+)", r"must be \1 than \2"),
    (r"Input should be ", "must be "),
)


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
        with one_line_usage():
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


@contextmanager
def one_line_usage() -> Iterator[None]:
    """Report wrong use in a line of our own words, with the command whose help says more: status 2."""
    try:
        yield
    except _UsageError as error:
        message = error.format_message()
        if not message:  # a group without a command: the framework has the help as its message
            raise
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "midikin"
        if "\n" in message:
            raise
        complain(f"{_in_words(message)} (see `{path} --help`)")
        raise typer.Exit(2) from None


def _in_words(message: str) -> str:
    text = message.strip()
    for pattern, words in _IN_WORDS:
        match = re.fullmatch(pattern, text, re.DOTALL)
        if match is not None:
            text = match.expand(words).replace("; did you mean ?", "").removeprefix(": ")
            break
    for pattern, words in _VALUES_IN_WORDS:
        text = re.sub(pattern, words, text)
    text = re.sub(r"'(-{1,2}[\w-]+)'", r"\1", text)  # options need no quotes
    return text.rstrip(".")


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
