"""`midikin probe`: train, show, apply, predictions, accept, reject, suggest, explain and timeline."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import (
    FormatOption,
    JsonOption,
    LibraryOption,
    PieceArgument,
    PiecesArgument,
    TagArgument,
    TagsArgument,
    numbered,
    resolve_piece,
    resolve_pieces,
)
from ui.cli.output import Format, print_label_report

if TYPE_CHECKING:
    from index import LabelReport, Library, Probe

__all__ = ["app"]

app = typer.Typer(
    help="Learn tags from labelled pieces, and tag the rest.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)

ValueOption = Annotated[
    str | None, typer.Option("--value", metavar="VALUE", help="Only predictions of this value.")
]
MinProbabilityOption = Annotated[
    float | None,
    typer.Option(
        "--min-probability",
        min=0.0,
        max=1.0,
        metavar="PROBABILITY",
        help="Only predictions that are at least so probable.",
    ),
]


@app.command("train")
def train(tag: TagsArgument = None, library: LibraryOption = None, format: FormatOption = None) -> None:
    """Train probes on the labels, and score them by cross-validation in which no work is split.

    \b
    Examples:
      midikin probe train composer
      midikin probe train
    """
    from embedder.core.files import printable
    from index import Library
    from ui.cli.errors import complain
    from ui.cli.output import print_json, remark

    with Library.open(library, create=False) as opened, _progress() as on_progress:
        report = opened.probes.train(tag or None, progress=on_progress)
    if format is Format.JSON:
        print_json(report.to_json())
    elif report.trained:
        _print_probes(list(report.trained), format)
        for probe in report.trained:
            if probe.scores.accuracy <= probe.scores.majority.accuracy:
                remark(
                    f"{printable(probe.tag)}: no better than the majority baseline yet; "
                    f"`midikin probe suggest {shlex.quote(probe.tag)}` asks for more labels"
                )
        remark("earlier predictions of these probes are gone; `midikin probe apply` predicts again")
    elif not report.problems:
        remark("no labels yet; give some with `midikin tag TAG --add PIECE ...`")
    for problem in report.problems:
        complain(problem.reason)
    if report.problems and not report.trained:
        raise typer.Exit(1)


@app.command("show")
def show(tag: TagsArgument = None, library: LibraryOption = None, format: FormatOption = None) -> None:
    """Show how good probes are: scores beside baselines; of one tag also each class and the confusion matrix.

    \b
    Examples:
      midikin probe show
      midikin probe show composer
    """
    from index import Library
    from ui.cli.output import is_drawn, print_json, remark

    with Library.open(library, create=False) as opened:
        probes = [opened.probes.show(name) for name in tag] if tag else opened.probes()
    if format is Format.JSON:
        print_json({"probes": [probe.to_json() for probe in probes]})
    elif not probes:
        remark("no probes yet; train some with `midikin probe train`")
    elif not tag or len(tag) > 1 or (format is not None and not is_drawn(format)):
        _print_probes(probes, format)
    else:
        _print_probe(probes[0])


@app.command("apply")
def apply(tag: TagsArgument = None, library: LibraryOption = None, format: FormatOption = None) -> None:
    """Predict the tags of all pieces without a label.

    A piece that is unlike all that were labelled is left untagged. A probe that was trained for another
    encoder is trained again first.

    \b
    Examples:
      midikin probe apply composer
      midikin probe apply
    """
    from embedder.core.files import printable
    from index import Library
    from ui.cli.output import print_json, print_table

    with Library.open(library, create=False) as opened, _progress() as on_progress:
        applied = opened.probes.apply(tag or None, progress=on_progress)
    if format is Format.JSON:
        print_json({"applied": [probe.to_json() for probe in applied]})
        return
    rows = [(probe.tag, value, str(count)) for probe in applied for value, count in probe.predicted]
    rows += [(probe.tag, "(left untagged)", str(probe.outside)) for probe in applied if probe.outside]
    cells = [tuple(printable(cell) for cell in row) for row in rows]
    print_table(("tag", "value", "pieces"), cells, right=("pieces",), format=format)


@app.command("predictions")
def predictions(
    tag: TagArgument,
    value: ValueOption = None,
    min_probability: MinProbabilityOption = None,
    untagged: Annotated[
        bool, typer.Option("--untagged", help="The pieces that were left untagged instead.")
    ] = False,
    limit: Annotated[
        int, typer.Option("-k", "--limit", metavar="COUNT", min=1, help="List at most so many.")
    ] = 20,
    library: LibraryOption = None,
    format: FormatOption = None,
) -> None:
    """List what a probe predicts for pieces without a label, most probable first.

    \b
    Examples:
      midikin probe predictions composer --value Chopin
      midikin probe predictions lullaby --min-probability 0.9 --json
    """
    from embedder.core.files import printable
    from index import Library
    from ui.cli.output import print_json, print_table

    with Library.open(library, create=False) as opened:
        listed = opened.probes.predictions(
            tag,
            value=value,
            min_probability=min_probability or 0.0,
            limit=limit,
            out_of_distribution=untagged,
        )
    if format is Format.JSON:
        print_json({"predictions": [prediction.to_json() for prediction in listed]})
        return
    rows = [
        (
            printable(prediction.value),
            f"{prediction.probability:.2f}",
            printable(prediction.runner_up or ""),
            numbered(prediction.piece_id, prediction.display),
        )
        for prediction in listed
    ]
    columns = ("value", "probability", "runner-up", "piece")
    print_table(columns, rows, right=("probability",), format=format)


@app.command("accept")
def accept(
    tag: TagArgument,
    pieces: PiecesArgument = None,
    value: ValueOption = None,
    min_probability: MinProbabilityOption = None,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Make labels of predictions: of some pieces, or of all that are probable enough.

    \b
    Examples:
      midikin probe accept composer '#3' '#4'
      midikin probe accept composer --value Chopin --min-probability 0.95
    """
    _review(
        pieces,
        min_probability,
        library,
        json,
        lambda opened, targets: opened.probes.accept(
            tag, targets, value=value, min_probability=min_probability
        ),
    )


@app.command("reject")
def reject(
    tag: TagArgument,
    pieces: PiecesArgument = None,
    value: ValueOption = None,
    min_probability: MinProbabilityOption = None,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Mark predictions as wrong: of some pieces, or of all that are probable enough.

    \b
    Examples:
      midikin probe reject lullaby '#3'
    """
    _review(
        pieces,
        min_probability,
        library,
        json,
        lambda opened, targets: opened.probes.reject(
            tag, targets, value=value, min_probability=min_probability
        ),
    )


def _review(
    pieces: list[str] | None,
    min_probability: float | None,
    library: str | None,
    json: bool,
    act: Callable[[Library, list[str | int] | None], LabelReport],
) -> None:
    from index import Library
    from ui.cli.errors import usage_errors

    with usage_errors("PIECE"):
        if not pieces and min_probability is None:
            raise ValueError("name pieces, or give --min-probability for all that are so probable")
    with Library.open(library, create=False) as opened:
        report = act(opened, resolve_pieces(opened, pieces) if pieces else None)
    print_label_report(report, json=json)


@app.command("suggest")
def suggest(
    tag: TagArgument,
    limit: Annotated[
        int, typer.Option("-k", "--limit", metavar="COUNT", min=1, help="Suggest so many pieces.")
    ] = 10,
    library: LibraryOption = None,
    format: FormatOption = None,
) -> None:
    """Suggest the pieces that are most worth labelling next, and show the learning curve so far.

    \b
    Examples:
      midikin probe suggest composer
      midikin probe suggest lullaby -k 5
    """
    from embedder.core.files import printable
    from index import Library
    from ui.cli.output import is_drawn, print_json, print_table, remark

    with Library.open(library, create=False) as opened:
        suggestions = opened.probes.suggest(tag, limit)
    if format is Format.JSON:
        print_json(suggestions.to_json())
        return
    rows = [
        (
            str(piece.rank),
            printable(piece.value or ""),
            "" if piece.probability is None else f"{piece.probability:.2f}",
            printable(piece.why),
            numbered(piece.piece_id, piece.display),
        )
        for piece in suggestions.pieces
    ]
    columns = ("rank", "now", "probability", "why", "piece")
    print_table(columns, rows, right=("rank", "probability"), format=format)
    if is_drawn(format):
        for point in (*suggestions.curve, *suggestions.forecast):
            note = "" if point in suggestions.curve else "  expected"
            bar = "#" * round(40 * point.accuracy)
            print(f"{point.labels:>8,} labels {100 * point.accuracy:>5.0f} %  {bar}{note}")
    remark(suggestions.says)


@app.command("explain")
def explain(
    tag: TagArgument,
    piece: PieceArgument,
    library: LibraryOption = None,
    format: FormatOption = None,
) -> None:
    """Explain why a probe predicts what it does for a piece.

    As CSV or TSV: the labelled pieces nearest to it.

    \b
    Examples:
      midikin probe explain composer '#12'
    """
    from embedder.core.files import printable
    from index import Library
    from ui.cli.output import print_json, print_table, print_wrapped

    with Library.open(library, create=False) as opened:
        explanation = opened.probes.explain(tag, resolve_piece(opened, piece))
    if format is Format.JSON:
        print_json(explanation.to_json())
        return
    rows = [
        (f"{example.score:.3f}", printable(example.value), numbered(example.piece_id, example.display))
        for example in explanation.nearest
    ]
    if format in (Format.CSV, Format.TSV):
        print_table(("similarity", "value", "piece"), rows, format=format)
        return
    for sentence in explanation.says:
        print_wrapped(sentence)
    for row in rows:
        print("  " + "  ".join(row))


@app.command("timeline")
def timeline(
    tag: TagArgument,
    piece: PieceArgument,
    library: LibraryOption = None,
    format: FormatOption = None,
) -> None:
    """Follow a tag through a piece, window by window.

    \b
    Examples:
      midikin probe timeline calm '#12'
    """
    from embedder.core.files import printable
    from index import Library
    from ui.cli.output import clock, is_drawn, print_json, print_table

    with Library.open(library, create=False) as opened:
        windows = opened.probes.timeline(tag, resolve_piece(opened, piece))
    if format is Format.JSON:
        print_json(windows.to_json())
        return
    drawn = is_drawn(format)
    rows = [
        (
            clock(window.start_s) if drawn else f"{window.start_s:.3f}",
            clock(window.end_s) if drawn else f"{window.end_s:.3f}",
            printable(window.value),
            f"{window.probability:.2f}",
            "#" * round(20 * window.probability) if drawn else printable(window.label or ""),
        )
        for window in windows.windows
    ]
    columns = ("from", "to", "value", "probability", "" if drawn else "label")
    print_table(columns, rows, right=("from", "to", "probability"), format=format)


# -- shared by the commands ---------------------------------------------------------------------------


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    from embedder.core.files import printable
    from ui.cli.progress import progress_bar

    with progress_bar() as bar:
        task = bar.add_task("reading", total=None, rate="")
        yield lambda stage, done, total: bar.update(
            task, description=printable(stage), completed=done, total=total
        )


def _print_probes(probes: list[Probe], format: Format | None) -> None:
    from embedder.core.files import printable
    from ui.cli.output import print_table

    columns = (
        "tag",
        "classes",
        "labels",
        "accuracy",
        "macro-F1",
        "majority",
        "hand-crafted",
        "calibration",
        "state",
    )
    rows = [
        (
            printable(probe.tag),
            str(len(probe.classes)),
            str(probe.pieces),
            _percent(probe.scores.accuracy),
            _percent(probe.scores.macro_f1),
            _percent(probe.scores.majority.accuracy),
            "" if probe.scores.handmade is None else _percent(probe.scores.handmade.accuracy),
            f"{probe.scores.calibration_error:.3f}",
            probe.state,
        )
        for probe in probes
    ]
    print_table(columns, rows, right=columns[1:-1], format=format)


def _print_probe(probe: Probe) -> None:
    from embedder.core.files import printable
    from ui.cli.output import count, print_pairs, print_table

    scores = probe.scores
    systems = [("this probe", scores.accuracy, scores.macro_f1)]
    if scores.handmade is not None:
        systems.append(("hand-crafted features", scores.handmade.accuracy, scores.handmade.macro_f1))
    systems.append(("majority baseline", scores.majority.accuracy, scores.majority.macro_f1))
    print_pairs(
        {
            "tag": printable(probe.tag),
            "state": probe.state,
            "encoder": probe.encoder,
            "features": probe.features,
            "labels": f"{probe.pieces:,}, scored on {scores.pieces:,}",
            "folds": f"{scores.folds}, {count(scores.works, 'work')}, none split between folds",
            "works": scores.grouping,
            "calibration error": f"{scores.calibration_error:.3f}",
            "remarks": "\n".join(printable(remark) for remark in probe.remarks) or "none",
        }
    )
    print()
    print_table(
        ("by piece, works held out", "accuracy", "macro-F1"),
        [(name, _percent(accuracy), _percent(f1)) for name, accuracy, f1 in systems],
        right=("accuracy", "macro-F1"),
    )
    print()
    columns = ("value", "labels", "precision", "recall", "F1", "confused with", "distinguished by")
    rows = []
    for row, scored in enumerate(scores.per_class):
        confused = sorted(
            (
                (number, scores.per_class[column].value)
                for column, number in enumerate(scores.confusion[row])
                if column != row and number
            ),
            reverse=True,
        )
        traits = [trait.says for trait in probe.traits if trait.value == scored.value]
        rows.append(
            (
                printable(scored.value),
                str(scored.labels),
                _percent(scored.precision),
                _percent(scored.recall),
                _percent(scored.f1),
                ", ".join(f"{printable(value)} {number}" for number, value in confused[:3]),
                traits[0] if traits else "",
            )
        )
    print_table(columns, rows, right=columns[1:5])
    print()
    names = [printable(scored.value) for scored in scores.per_class]
    print_table(
        ("confusion matrix: true, predicted", *names),
        [(name, *map(str, row)) for name, row in zip(names, scores.confusion, strict=True)],
        right=names,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
