"""The table of commands, and a command group that loads a command's file only when it is asked for.

To add a command: write its function in a file under `ui/cli/commands` (typer's annotations, a docstring with
examples) and give it a line in `COMMANDS`. A group of commands is a `typer.Typer` in place of the function.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["COMMANDS", "CommandEntry", "LazyGroup"]


@dataclass(frozen=True)
class CommandEntry:
    """A command of `midikin`.

    Attributes
    ----------
    name : what the user types
    module : file under `ui/cli/commands`, without `.py`
    function : the function in it that is the command, or a `typer.Typer` with commands of its own
    summary : the line that `midikin --help` shows; the docstring begins with the same line
    """

    name: str
    module: str
    function: str
    summary: str

    def load(self) -> Any:
        """The command, its module imported."""
        target = getattr(importlib.import_module(f"ui.cli.commands.{self.module}"), self.function)
        if isinstance(target, typer.Typer):
            command: Any = typer.main.get_group(target)
        else:
            single = typer.Typer(add_completion=False, rich_markup_mode=None)
            single.command(self.name)(target)
            command = typer.main.get_command(single)
        command.name = self.name
        return command


# In the order of `midikin --help`.
COMMANDS: tuple[CommandEntry, ...] = (
    CommandEntry("add", "add", "add", "Add folders of MIDI files to the library."),
    CommandEntry("search", "search", "search", "Find what sounds like a piece, or like a part of one."),
    CommandEntry(
        "melody", "melody", "melody", "Extract the melody of a piece: the notes that a singer would sing."
    ),
    CommandEntry("find", "find", "find", "Find the piece that a passage is from, and where in it."),
    CommandEntry(
        "compare",
        "compare",
        "compare",
        "Compare the notes of two pieces: where they agree, and what differs.",
    ),
    CommandEntry(
        "duplicates",
        "duplicates",
        "duplicates",
        "Group the pieces that hold the same music; no file is ever touched.",
    ),
    CommandEntry("decide", "decide", "decide", "Record what you decide about two pieces of the library."),
    CommandEntry(
        "decisions", "decide", "decisions", "List the decisions about duplicates, or take one back."
    ),
    CommandEntry("tag", "tag", "tag", "Label pieces with a tag of your own, or show what has it."),
    CommandEntry(
        "tags", "tags", "app", "List the tags of the library; import, export, and take labels back."
    ),
    CommandEntry("probe", "probe", "app", "Learn tags from the labelled pieces and tag the rest."),
    CommandEntry(
        "classify",
        "classify",
        "classify",
        "Say what a finetuned classifier makes of files, or of the pieces of the library, and tag them so.",
    ),
    CommandEntry("list", "list_", "list_pieces", "List the pieces of the library, by number."),
    CommandEntry(
        "continue",
        "continue_",
        "continue_",
        "Continue a piece: write MIDI files that go on where it, or a part of it, stops.",
    ),
    CommandEntry("info", "info", "info", "Show what the library holds."),
    CommandEntry("index", "index_", "app", "Build, measure and choose the indexes that searches use."),
    CommandEntry(
        "shards",
        "shards",
        "app",
        "Embed very many files on several processes or machines, and take the results into a library.",
    ),
    CommandEntry("verify", "verify", "verify", "Check every page, row and file of the library."),
    CommandEntry("repair", "repair", "repair", "Mend a damaged library: all that can be read stays."),
    CommandEntry("backup", "backup", "backup", "Copy the library into another folder, while it is in use."),
    CommandEntry("reembed", "reembed", "reembed", "Embed all pieces anew with another encoder."),
    CommandEntry("failures", "failures", "failures", "List the files that could not be read, and why."),
    CommandEntry("remove", "remove", "remove", "Take pieces out of the library; files are never touched."),
    CommandEntry(
        "ui", "ui", "ui", "Open the app in a browser: search, listen, walk on a map, review duplicates, tag."
    ),
    CommandEntry("train", "train", "train", "Prepare a corpus, train an encoder on it, measure encoders."),
    CommandEntry("demo", "demo", "demo", "Make a library of real music and try three searches on it."),
)


class LazyGroup(TyperGroup):
    """Commands from `COMMANDS`: listing them imports none, running one imports that one."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # What is listed, completed and guessed from is the name and the summary alone.
        self.commands.update(
            {
                entry.name: TyperCommand(entry.name, help=entry.summary, rich_markup_mode=None)
                for entry in COMMANDS
            }
        )

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is to run, ask for help or complete its options: here it must be loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            command = next(entry for entry in COMMANDS if entry.name == name).load()
        return name, command, rest
