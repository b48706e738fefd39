"""`midikin shards plan`, `midikin shards work` and `midikin shards merge`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import JsonOption, LibraryOption, WaitOption

if TYPE_CHECKING:
    from index.distributed.runners import Runner
    from index.distributed.shards import Shard

app = typer.Typer(
    help="Embed very many files on several processes or machines.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)

ResultsArgument = Annotated[
    str, typer.Argument(metavar="RESULTS", help="Folder that all machines can write into.")
]


@app.command("plan")
def plan(
    folders: Annotated[
        list[str], typer.Argument(metavar="FOLDER...", help="Folders with all that is below them, or files.")
    ],
    results: Annotated[
        str,
        typer.Option("-o", "--output", metavar="RESULTS", help="Folder that all machines can write into."),
    ],
    encoder: Annotated[
        str, typer.Option("--encoder", metavar="NAME", help="What makes the vectors.")
    ] = "midikin-small",
    files: Annotated[
        int, typer.Option("--files", metavar="COUNT", min=1, help="Files per shard, at most.")
    ] = 2000,
    json: JsonOption = False,
) -> None:
    """Divide files into shards, each of which is embedded as a whole.

    Later again, for files that have come since: what is planned keeps its shard and its result.

    \b
    Examples:
      midikin shards plan /music -o /shared/results
      midikin shards plan /music -o /shared/results --files 500 --encoder /shared/my-encoder
    """
    import os

    from embedder.core.errors import LibraryError
    from index.distributed.plans import extend_plan
    from ui.cli.output import count, print_json

    if not all(folders) or not results or not encoder:
        raise typer.BadParameter("an empty name stands for no folder", param_hint="'FOLDER'")
    for folder in folders:
        if not os.path.lexists(folder):
            raise LibraryError(f"{folder}: no such file or folder; check the name")
    new_shards = extend_plan(folders, results, encoder, files=files)
    planned = sum(len(shard.files) for shard in new_shards)
    if json:
        print_json({"shards": len(new_shards), "files": planned})
    else:
        print(f"{count(planned, 'file')} planned in {count(len(new_shards), 'new shard')}")


@app.command("work")
def work(
    results: ResultsArgument,
    workers: Annotated[
        int, typer.Option("--workers", metavar="COUNT", min=1, help="Processes, here or on the Ray cluster.")
    ] = 1,
    part: Annotated[
        str,
        typer.Option(
            "--part", metavar="FRACTION", help="3/16: the share of the third of 16 machines, without Ray."
        ),
    ] = "1/1",
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray", metavar="ADDRESS", help="A Ray cluster: its address, or auto for the one here."
        ),
    ] = None,
    gpus: Annotated[
        float, typer.Option("--gpus", metavar="COUNT", min=0, help="Of each worker on the Ray cluster.")
    ] = 0,
    json: JsonOption = False,
) -> None:
    """Embed the shards that are not done yet.

    Finished shards are skipped, and a worker that is lost costs the shard that it was at: run the same
    command again, here or elsewhere, until nothing is left.

    \b
    Examples:
      midikin shards work /shared/results --workers 8
      midikin shards work /shared/results --part 3/16 --workers 8
      midikin shards work /shared/results --ray 10.0.0.1:6379 --workers 64
    """
    from dataclasses import asdict

    from index.distributed.plans import left_to_do, progress
    from index.distributed.runners import Here, Processes, joined
    from ui.cli.errors import usage_errors
    from ui.cli.output import clock, count, print_json

    with usage_errors("--part"):
        shards = left_to_do(results, _fraction(part))
    if ray is None:
        _run(Processes(workers) if workers > 1 else Here(), shards)
    else:
        with joined(ray, workers, gpus=gpus) as runner:
            _run(runner, shards)
    state = progress(results)
    if json:
        print_json(asdict(state))
        return
    print(f"{state.done:,} of {count(state.shards, 'shard')} done, {count(state.pieces, 'piece')}")
    print(
        f"of {count(state.files, 'file')}: {count(state.duplicates, 'copy', 'copies')}, "
        f"{state.failed:,} could not be read; {clock(state.seconds)} of worker time"
    )


@app.command("merge")
def merge(
    results: ResultsArgument, library: LibraryOption = None, wait: WaitOption = True, json: JsonOption = False
) -> None:
    """Take the results of all shards that are done into the library; nothing is embedded again.

    \b
    Examples:
      midikin shards merge /shared/results
      midikin shards merge /shared/results --library /music/library --json
    """
    from dataclasses import asdict

    from index import Library
    from ui.cli.output import count, print_json

    with Library.open(library) as opened:
        merged = opened.maintenance.merge(results, wait_s=None if wait else 0.0)
    if json:
        print_json(asdict(merged))
    else:
        print(
            f"{count(merged.pieces, 'new piece')} of {count(merged.paths, 'file')}; "
            f"{count(merged.failures, 'failure')}"
        )


def _run(runner: Runner, shards: Sequence[Shard]) -> None:
    from ui.cli.progress import progress_bar

    pieces = seconds = 0.0
    with progress_bar() as bar:
        task = bar.add_task("shards", total=len(shards), rate="")
        for done in runner.run(shards):
            pieces, seconds = pieces + done.pieces, seconds + done.seconds
            bar.update(task, advance=1, rate=f"{pieces / max(seconds, 1e-3):,.1f} pieces/s a worker")


def _fraction(text: str) -> tuple[int, int]:
    """(3, 16) of "3/16".

    Raises
    ------
    ValueError
        If it is no such fraction.
    """
    machine, _, machines = text.partition("/")
    if not (machine.isdecimal() and machines.isdecimal() and 1 <= int(machine) <= int(machines)):
        raise ValueError(f"{text!r} is no fraction; write 3/16 for the third of sixteen machines")
    return int(machine), int(machines)
