"""`midikin reembed`."""

from __future__ import annotations

from typing import Annotated

import typer

from ui.cli.options import JsonOption, LibraryOption, WaitOption


def reembed(
    library: LibraryOption = None,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", metavar="NAME", help="The new encoder: a name or a folder of weights."),
    ] = None,
    wait: WaitOption = True,
    json: JsonOption = False,
) -> None:
    """Embed all pieces anew with another encoder.

    Without --encoder: with the newest version of the one that the library was made with. Searches go on
    with the old vectors until all new ones are there. Ctrl-C is safe: the same command continues.

    \b
    Examples:
      midikin reembed
      midikin reembed --encoder ~/my-encoder --library ~/other-library
    """
    from index import Library, ReembedProgress
    from ui.cli.errors import KeptAndContinues
    from ui.cli.output import print_json
    from ui.cli.progress import progress_bar

    with Library.open(library, create=False) as opened, progress_bar() as progress:
        task = progress.add_task("embedding anew", total=None, rate="pieces")

        def show(state: ReembedProgress) -> None:
            progress.update(task, completed=state.done, total=state.total)

        report = opened.maintenance.reembed(encoder, show, wait_s=None if wait else 0.0)
    if json:
        print_json(report.to_json())
    elif report.switched:
        print(f"{report.embedded:,} pieces embedded anew; {report.encoder} serves now")
        if report.from_notes:
            print(
                f"{report.from_notes:,} of them from their notes alone, as one piano: their files are gone "
                "or changed, or this encoder cannot read them"
            )
    elif not report.interrupted:
        print(f"nothing to do: {report.encoder} made the vectors that are there")
    if report.interrupted:
        raise KeptAndContinues
