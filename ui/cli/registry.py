"""The table of commands, and a command group that loads a command's file only when it is asked for.

To add a command: write its function in a file under `ui/cli/commands` (typer's annotations, a docstring with
examples) and give it a line in `COMMANDS`. A group of commands is a `typer.Typer` in place of the function.
A parameter `format: FormatOption` brings the flags `--csv`, `--tsv` and `--json` along.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from .output import Format

__all__ = ["COMMANDS", "OLD_SPELLINGS", "CommandEntry", "LazyGroup"]

# Spellings of earlier versions, by the one of today. An old one works wherever a command has the new one and
# no option of its own that is spelt so; no help shows it.
OLD_SPELLINGS = {
    "--number": "--limit",
    "-n": "-k",
    "--others": "--exclude-self",
    "--out": "--output",
    "--above": "--min-probability",
    "--at-least": "--min-probability",
    "--outside": "--untagged",
    "--confidence": "--min-confidence",
    "--every-place": "--all-matches",
}


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
            command = _command_of(self.name, target)
        command.name = self.name
        for inner in (command, *getattr(command, "commands", {}).values()):
            _add_format_flags(inner)
            _hide_types(inner)
        return command


# In the order of `midikin --help`.
COMMANDS: tuple[CommandEntry, ...] = (
    CommandEntry("add", "library", "add", "Add folders of MIDI files to the library."),
    CommandEntry("search", "search", "search", "Find what sounds like a piece, or like a part of one."),
    CommandEntry("melody", "models", "melody", "Extract the melody of a piece: what a singer would sing."),
    CommandEntry("find", "find", "find", "Find the piece that a passage is from, and where in it."),
    CommandEntry("compare", "find", "compare", "Compare the notes of two pieces: agreement and differences."),
    CommandEntry(
        "duplicates",
        "duplicates",
        "duplicates",
        "Group pieces that hold the same music; no file is touched.",
    ),
    CommandEntry("decide", "duplicates", "decide", "Record what you decide about two pieces of the library."),
    CommandEntry(
        "decisions", "duplicates", "decisions", "List the decisions about duplicates, or take one back."
    ),
    CommandEntry("tag", "tags", "tag", "Label pieces with a tag of your own, or show its pieces."),
    CommandEntry("tags", "tags", "app", "List your tags; import, export and undo labels."),
    CommandEntry("probe", "probes", "app", "Learn tags from labelled pieces, and tag the rest."),
    CommandEntry(
        "classify",
        "models",
        "classify",
        "Classify and tag pieces with a finetuned classifier.",
    ),
    CommandEntry("list", "library", "list_pieces", "List the pieces of the library."),
    CommandEntry(
        "continue",
        "models",
        "continue_",
        "Continue a piece: write MIDI files that go on where it stops.",
    ),
    CommandEntry("info", "library", "info", "Show what the library holds."),
    CommandEntry("index", "indexes", "app", "Build, measure and choose the vector indexes of searches."),
    CommandEntry(
        "shards",
        "shards",
        "app",
        "Embed very many files on several processes or machines.",
    ),
    CommandEntry("verify", "maintenance", "verify", "Check every page, row and file of the library."),
    CommandEntry("repair", "maintenance", "repair", "Repair a damaged library: all that can be read stays."),
    CommandEntry(
        "backup", "maintenance", "backup", "Copy the library into another folder, while it is in use."
    ),
    CommandEntry("reembed", "maintenance", "reembed", "Embed all pieces again, with another encoder."),
    CommandEntry("failures", "library", "failures", "List the files that could not be read, and why."),
    CommandEntry("remove", "library", "remove", "Take pieces out of the library; files are never touched."),
    CommandEntry("ui", "app", "ui", "Open the app: search, listen, map, duplicates, tags."),
    CommandEntry("train", "train", "train", "Prepare a corpus, train an encoder on it, measure encoders."),
    CommandEntry("demo", "app", "demo", "Make a library of real music and try three searches on it."),
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
            rest = _current_spelling(command, rest)
        return name, command, rest


def _command_of(name: str, function: Callable[..., Any]) -> Any:
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name)(function)
    return typer.main.get_command(single)


def _current_spelling(command: Any, args: list[str]) -> list[str]:
    """The arguments with old spellings of options replaced."""
    inner = next((command.commands[arg] for arg in args if arg in getattr(command, "commands", {})), command)
    known = {spelling for param in inner.params for spelling in (*param.opts, *param.secondary_opts)}
    if "--csv-file" in known and "--csv" in args[:-1]:  # `duplicates --csv FILE`, before `--csv` was a format
        at = args.index("--csv")
        if not args[at + 1].startswith("-"):
            args = [*args[:at], "--csv-file", *args[at + 1 :]]
    replaced = {old: new for old, new in OLD_SPELLINGS.items() if new in known and old not in known}
    end = args.index("--") if "--" in args else len(args)
    return [_respelt(arg, replaced) for arg in args[:end]] + args[end:]


def _respelt(arg: str, replaced: dict[str, str]) -> str:
    for old, new in replaced.items():
        if arg == old or arg.startswith(f"{old}=" if old.startswith("--") else old):
            return new + arg.removeprefix(old)
    return arg


def _flags(
    csv: Annotated[bool, typer.Option("--csv", help="Short for --format csv.")] = False,
    tsv: Annotated[bool, typer.Option("--tsv", help="Short for --format tsv.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Short for --format json.")] = False,
) -> None:
    """The flags that stand for a value of `--format`."""


def _hide_types(command: Any) -> None:
    """Leave out of the help what newer Typers write behind the name of an argument: `<str>`."""
    for param in command.params:
        if param.param_type_name == "argument" and hasattr(param, "display_type_rich"):
            param.display_type_rich = lambda *_, **__: ""


def _add_format_flags(command: Any) -> None:
    """Give a command that has `--format` the flags of `_flags`."""
    at = next((i for i, param in enumerate(command.params) if param.name == "format"), None)
    if at is None:
        return
    flags = [param for param in _command_of("flags", _flags).params if param.name in ("csv", "tsv", "json")]
    command.params[at + 1 : at + 1] = flags
    callback = command.callback

    def with_format(**values: Any) -> Any:
        chosen = [flag.name for flag in flags if values.pop(flag.name)]
        if len(chosen) + (values["format"] is not None) > 1:
            raise typer.BadParameter("give one of --format, --csv, --tsv and --json", param_hint="'--format'")
        if chosen:
            values["format"] = Format(chosen[0])
        return callback(**values)

    command.callback = with_format
