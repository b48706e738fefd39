"""`midikin train prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ui.cli.options import JsonOption

if TYPE_CHECKING:
    from train.corpus import Corpus

__all__ = ["prepare"]


def prepare(
    folders: Annotated[
        list[str], typer.Argument(metavar="FOLDER...", help="Folders of MIDI files with all that is below.")
    ],
    out: Annotated[str, typer.Option("--out", metavar="CORPUS", help="Folder for the corpus.")],
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--without", metavar="FILTER", help="Switch a filter off, or all of them; may be repeated."
        ),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--held-out",
            metavar="FILE",
            help="Table of columns set, file, split: the test works are those of this list and no others.",
        ),
    ] = None,
    test: Annotated[float, typer.Option("--test", help="Share of the works kept for testing.")] = 0.2,
    validation: Annotated[float, typer.Option("--validation", help="Share kept for validation.")] = 0.04,
    keep_copies: Annotated[
        bool, typer.Option("--keep-copies", help="Keep edited copies of one performance.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Reading processes; one a core if not given.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Read folders of MIDI files into a corpus to train on.

    Files are filtered, copies are removed, and pieces of one work are kept together in one split. A
    labels.csv in a folder (first column `file`) is taken along; its columns composition, work, piece, song
    and tune tell which files are of one work. Stop it whenever you like: the same command continues.

    \b
    Examples:
      midikin train prepare ~/Music/midi --out corpus
      midikin train prepare maestro asap --out corpus --without duration-entropy --without short
      midikin train prepare maestro asap pop909 --out corpus --held-out held-out.csv --json
    """
    from train.prepare import PrepareSettings, made_of
    from train.prepare import prepare as make
    from ui.cli.errors import usage_errors
    from ui.cli.output import print_json, remark
    from ui.cli.progress import progress_bar

    settings: dict[str, Any] = {} if workers is None else {"workers": workers}
    before = made_of(out)
    with usage_errors("FOLDER..."), progress_bar() as bar:
        task = bar.add_task("starting", total=None, rate="")
        corpus = make(
            folders,
            out,
            PrepareSettings(
                without=tuple(without or ()),
                copies=not keep_copies,
                test_share=test,
                validation_share=validation,
                held_out=held_out,
                **settings,
            ),
            on_progress=lambda stage, done, total: bar.update(
                task, description=stage, completed=done, total=total
            ),
        )
    if before not in ("", made_of(out)):
        remark(f"{out} held a corpus of other files or settings, which this one has replaced")
    if corpus.counts.get("works", 0) and not len(corpus.indices("validation")):
        remark("too few works for a validation split; runs on this corpus are not watched")
    if json:
        print_json(_summary(corpus))
    else:
        _print(corpus)


def _summary(corpus: Corpus) -> dict[str, Any]:
    splits = {
        name: {
            "pieces": len(corpus.indices(name)),
            "works": len({corpus.pieces[i].work for i in corpus.indices(name).tolist()}),
            "notes": int(corpus.sizes[corpus.indices(name)].sum()),
        }
        for name in ("train", "validation", "test")
    }
    return {"corpus": str(corpus.folder), **corpus.counts, "splits": splits}


def _print(corpus: Corpus) -> None:
    from train.filters import FILTERS
    from ui.cli.output import print_table

    summary = _summary(corpus)
    words = {name: f.removes for name, f in FILTERS.items()} | {
        "unreadable": "could not be read",
        "same-notes": "the same notes as another file",
        "same-performance": "an edited copy of another file",
    }
    print(f"{summary['pieces']:,} pieces of {summary['works']:,} works from {summary['files']:,} files")
    print_table(
        ("removed", "files", "because"),
        [(name, f"{count:,}", words[name]) for name, count in summary["removed"].items() if count],
        right=("files",),
    )
    print_table(
        ("split", "pieces", "works", "notes"),
        [(name, *(f"{value:,}" for value in split.values())) for name, split in summary["splits"].items()],
        right=("pieces", "works", "notes"),
    )
