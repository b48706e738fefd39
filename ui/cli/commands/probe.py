"""`midikin probe`: train, show, apply, predictions, accept, reject, suggest, explain and timeline."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.label_output import print_report
from ui.cli.options import JsonOption, LibraryOption, numbered, piece_target

if TYPE_CHECKING:
    from index import LabelReport, Library, Probe

app = typer.Typer(
    help="Learn tags from the labelled pieces and tag the rest.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)

TagArgument = Annotated[str, typer.Argument(metavar="TAG", help="The tag.")]
TagsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[TAG]...", help="Tags; all if none is named.")
]
PieceArgument = Annotated[str, typer.Argument(metavar="PIECE", help="A number like '#12', or a file.")]
PiecesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[PIECE]...", help="Numbers like '#12', files or folders.")
]
ValueOption = Annotated[
    str | None, typer.Option("--value", metavar="VALUE", help="Only predictions of this value.")
]
LeastOption = Annotated[
    float | None,
    typer.Option("--above", min=0.0, max=1.0, metavar="P", help="Only predictions at least so probable."),
]


@app.command("train")
def train(tag: TagsArgument = None, library: LibraryOption = None, json: JsonOption = False) -> None:
    """Train probes on the labels that stand, and score them on works held out.

    \b
    Examples:
      midikin probe train composer
      midikin probe train
    """
    from index import Library
    from ui.cli.errors import complain
    from ui.cli.output import print_json, remark

    with Library.open(library, create=False) as opened, _progress() as told:
        report = opened.probes.train(tag or None, progress=told)
    if json:
        print_json(report.to_json())
    elif report.trained:
        _print_probes(list(report.trained))
        for probe in report.trained:
            if probe.scores.accuracy <= probe.scores.majority.accuracy:
                name, better = _plain(probe.tag), f"`midikin probe suggest {shlex.quote(probe.tag)}`"
                remark(f"{name}: no better than always the most frequent yet; {better} asks for more labels")
        remark("what probes said before is gone; `midikin probe apply` tags the rest anew")
    elif not report.problems:
        remark("no labels yet; give some with `midikin tag TAG --add PIECE ...`")
    for problem in report.problems:
        complain(problem.reason)
    if report.problems and not report.trained:
        raise typer.Exit(1)


@app.command("show")
def show(
    tag: Annotated[str | None, typer.Argument(metavar="[TAG]", help="The tag; all probes if none.")] = None,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Show how good probes are: scores beside plainer rivals, each class, and what is taken for what.

    \b
    Examples:
      midikin probe show
      midikin probe show composer
    """
    from index import Library
    from ui.cli.output import print_json, remark

    with Library.open(library, create=False) as opened:
        found = opened.probes() if tag is None else [opened.probes.show(tag)]
    if json:
        print_json({"probes": [one.to_json() for one in found]})
    elif not found:
        remark("no probes yet; train some with `midikin probe train`")
    elif tag is None:
        _print_probes(found)
    else:
        _print_probe(found[0])


@app.command("apply")
def apply(tag: TagsArgument = None, library: LibraryOption = None, json: JsonOption = False) -> None:
    """Predict the tags of all pieces without a label.

    A piece that is like none that was labelled is left untagged. A probe that was made for another encoder
    is trained anew first.

    \b
    Examples:
      midikin probe apply composer
      midikin probe apply
    """
    from index import Library
    from ui.cli.output import print_json, print_table

    with Library.open(library, create=False) as opened, _progress() as told:
        found = opened.probes.apply(tag or None, progress=told)
    if json:
        print_json({"applied": [one.to_json() for one in found]})
        return
    rows = [(one.tag, value, str(count)) for one in found for value, count in one.predicted]
    rows += [(one.tag, "(left untagged)", str(one.outside)) for one in found if one.outside]
    print_table(
        ("tag", "value", "pieces"), [tuple(_plain(cell) for cell in row) for row in rows], right=("pieces",)
    )


@app.command("predictions")
def predictions(
    tag: TagArgument,
    value: ValueOption = None,
    above: LeastOption = None,
    outside: Annotated[
        bool, typer.Option("--outside", help="The pieces that were left untagged instead.")
    ] = False,
    limit: Annotated[int, typer.Option("-k", "--limit", min=1, help="How many at most.")] = 20,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """List what a probe says of pieces without a label, likeliest first.

    \b
    Examples:
      midikin probe predictions composer --value Chopin
      midikin probe predictions lullaby --above 0.9 --json
    """
    from index import Library
    from ui.cli.output import print_json, print_table

    with Library.open(library, create=False) as opened:
        found = opened.probes.predictions(tag, value=value, least=above or 0.0, limit=limit, outside=outside)
    if json:
        print_json({"predictions": [one.to_json() for one in found]})
        return
    rows = [
        (
            _plain(one.value),
            f"{one.probability:.2f}",
            _plain(one.runner_up or ""),
            numbered(one.piece_id, one.display),
        )
        for one in found
    ]
    print_table(("value", "probability", "or", "piece"), rows, right=("probability",))


@app.command("accept")
def accept(
    tag: TagArgument,
    pieces: PiecesArgument = None,
    value: ValueOption = None,
    above: LeastOption = None,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Make labels of predictions: of some pieces, or of all that are probable enough.

    \b
    Examples:
      midikin probe accept composer '#3' '#4'
      midikin probe accept composer --value Chopin --above 0.95
    """
    _review(
        tag,
        pieces,
        above,
        library,
        json,
        lambda opened, targets: opened.probes.accept(tag, targets, value=value, least=above),
    )


@app.command("reject")
def reject(
    tag: TagArgument,
    pieces: PiecesArgument = None,
    value: ValueOption = None,
    above: LeastOption = None,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Say that predictions are wrong: of some pieces, or of all that are probable enough.

    \b
    Examples:
      midikin probe reject lullaby '#3'
    """
    _review(
        tag,
        pieces,
        above,
        library,
        json,
        lambda opened, targets: opened.probes.reject(tag, targets, value=value, least=above),
    )


def _review(
    tag: str,
    pieces: list[str] | None,
    above: float | None,
    library: str | None,
    json: bool,
    act: Callable[[Library, list[str | int] | None], LabelReport],
) -> None:
    from index import Library
    from ui.cli.errors import usage_errors

    with usage_errors("PIECE"):
        if not pieces and above is None:
            raise ValueError("name pieces, or give --above for all that are so probable")
        targets = [piece_target(piece) for piece in pieces] if pieces else None
    with Library.open(library, create=False) as opened:
        report = act(opened, targets)
    print_report(report, json)


@app.command("suggest")
def suggest(
    tag: TagArgument,
    limit: Annotated[int, typer.Option("-k", "--limit", min=1, help="How many pieces.")] = 10,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Suggest the pieces that are most worth labelling next, and tell what labels brought so far.

    \b
    Examples:
      midikin probe suggest composer
      midikin probe suggest lullaby -k 5
    """
    from index import Library
    from ui.cli.output import on_terminal, print_json, print_table, remark

    with Library.open(library, create=False) as opened:
        found = opened.probes.suggest(tag, limit)
    if json:
        print_json(found.to_json())
        return
    rows = [
        (
            str(one.rank),
            _plain(one.value or ""),
            "" if one.probability is None else f"{one.probability:.2f}",
            _plain(one.why),
            numbered(one.piece_id, one.display),
        )
        for one in found.pieces
    ]
    print_table(("rank", "now", "probability", "why", "piece"), rows, right=("rank", "probability"))
    if on_terminal():
        for point in (*found.curve, *found.forecast):
            said = "" if point in found.curve else "  expected"
            bar = "#" * round(40 * point.accuracy)
            print(f"{point.labels:>8,} labels {100 * point.accuracy:>5.0f} %  {bar}{said}")
    remark(found.says)


@app.command("explain")
def explain(
    tag: TagArgument,
    piece: PieceArgument,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Tell why a probe says what it says of a piece.

    \b
    Examples:
      midikin probe explain composer '#12'
    """
    from index import Library
    from ui.cli.output import print_json, print_wrapped

    with Library.open(library, create=False) as opened:
        found = opened.probes.explain(tag, piece_target(piece))
    if json:
        print_json(found.to_json())
        return
    for sentence in found.says:
        print_wrapped(sentence)
    for one in found.nearest:
        print(f"  {one.score:.3f}  {_plain(one.value)}  {numbered(one.piece_id, one.display)}")


@app.command("timeline")
def timeline(
    tag: TagArgument,
    piece: PieceArgument,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Follow a tag through a piece, window by window.

    \b
    Examples:
      midikin probe timeline calm '#12'
    """
    from index import Library
    from ui.cli.output import clock, on_terminal, print_json, print_table

    with Library.open(library, create=False) as opened:
        found = opened.probes.timeline(tag, piece_target(piece))
    if json:
        print_json(found.to_json())
        return
    drawn = on_terminal()
    rows = [
        (
            clock(one.start_s) if drawn else f"{one.start_s:.3f}",
            clock(one.end_s) if drawn else f"{one.end_s:.3f}",
            _plain(one.value),
            f"{one.probability:.2f}",
            "#" * round(20 * one.probability) if drawn else _plain(one.label or ""),
        )
        for one in found.windows
    ]
    last = "" if drawn else "label"
    print_table(("from", "to", "value", "probability", last), rows, right=("from", "to", "probability"))


# -- what the commands share ------------------------------------------------------------------------


def _plain(text: str) -> str:
    """Names are the user's own and may hold anything; a cell is one printable line."""
    from index.storage.paths import display

    return display(text)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    from ui.cli.progress import progress_bar

    with progress_bar() as bar:
        task = bar.add_task("reading", total=None, rate="")

        def told(phase: str, done: int, total: int) -> None:
            bar.update(task, description=_plain(phase), completed=done, total=total)

        yield told


def _print_probes(found: list[Probe]) -> None:
    from ui.cli.output import print_table

    columns = (
        "tag",
        "classes",
        "labels",
        "accuracy",
        "macro-F1",
        "majority",
        "hand-made",
        "calibration error",
        "state",
    )
    rows = [
        (
            _plain(one.tag),
            str(len(one.classes)),
            str(one.pieces),
            _percent(one.scores.accuracy),
            _percent(one.scores.macro_f1),
            _percent(one.scores.majority.accuracy),
            "" if one.scores.handmade is None else _percent(one.scores.handmade.accuracy),
            f"{one.scores.calibration_error:.3f}",
            one.state,
        )
        for one in found
    ]
    print_table(columns, rows, right=columns[1:-1])


def _print_probe(probe: Probe) -> None:
    from ui.cli.output import print_pairs, print_table

    scores = probe.scores
    rivals = [("this probe", scores.accuracy, scores.macro_f1)]
    if scores.handmade is not None:
        rivals.append(("hand-made features", scores.handmade.accuracy, scores.handmade.macro_f1))
    rivals.append(("always the most frequent", scores.majority.accuracy, scores.majority.macro_f1))
    print_pairs(
        {
            "tag": _plain(probe.tag),
            "state": probe.state,
            "encoder": probe.encoder,
            "features": probe.features,
            "labels": f"{probe.pieces:,}, scored on {scores.pieces:,}",
            "folds": f"{scores.folds}, {scores.works:,} works never parted",
            "works": scores.grouping,
            "calibration error": f"{scores.calibration_error:.3f}",
            "remarks": "\n".join(_plain(remark) for remark in probe.remarks) or "none",
        }
    )
    print()
    print_table(
        ("by piece, works held out", "accuracy", "macro-F1"),
        [(name, _percent(accuracy), _percent(f1)) for name, accuracy, f1 in rivals],
        right=("accuracy", "macro-F1"),
    )
    print()
    columns = ("value", "labels", "precision", "recall", "F1", "taken for", "set apart by")
    rows = []
    for at, one in enumerate(scores.per_class):
        wrong = sorted(
            (
                (count, scores.per_class[i].value)
                for i, count in enumerate(scores.confusion[at])
                if i != at and count
            ),
            reverse=True,
        )
        traits = [trait.says for trait in probe.traits if trait.value == one.value]
        rows.append(
            (
                _plain(one.value),
                str(one.labels),
                _percent(one.precision),
                _percent(one.recall),
                _percent(one.f1),
                ", ".join(f"{_plain(value)} {count}" for count, value in wrong[:3]),
                traits[0] if traits else "",
            )
        )
    print_table(columns, rows, right=columns[1:5])
    print()
    names = [_plain(one.value) for one in scores.per_class]
    print_table(
        ("true, said:", *names),
        [(name, *map(str, row)) for name, row in zip(names, scores.confusion, strict=True)],
        right=names,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
