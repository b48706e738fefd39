"""`midikin classify`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.options import JsonOption, LibraryOption, notes_of

if TYPE_CHECKING:
    from embedder import Notes
    from embedder.classifier import Classifier
    from index import Filters, LabelReport, Library

__all__ = ["classify"]

_AT_ONCE = 64  # pieces whose notes are in memory

Answer = tuple[str, str, float]  # what was asked about, its likeliest class, and how likely


def classify(
    classifier: Annotated[
        str, typer.Argument(metavar="CLASSIFIER", help="A folder that `midikin train finetune` has made.")
    ],
    pieces: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PIECE]...",
            help="MIDI files, or pieces of the library, as '#12'; the whole library if none is named.",
        ),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option("--tag", metavar="TAG", help="Label the pieces of the library: TAG is the class."),
    ] = None,
    at_least: Annotated[
        float, typer.Option("--at-least", min=0, max=1, help="Only answers that are at least so likely.")
    ] = 0.0,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="FILTER", help="Only pieces like this; may be given several times."),
    ] = None,
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Say what a finetuned classifier makes of files, or of the pieces of the library, and tag them so.

    With --tag, pieces become labelled in one action, which `midikin tags undo` takes back. Pieces that have
    a label of that tag already keep it: what people said stands.

    \b
    Examples:
      midikin classify by-composer theme.mid '#12'
      midikin classify by-composer --where 'duration>1:00' --json
      midikin classify by-composer --tag composer --at-least 0.8
    """
    from embedder.classifier import Classifier
    from index import Filters, Library
    from ui.cli.errors import usage_errors
    from ui.cli.label_output import print_report
    from ui.cli.output import print_json, print_table

    with usage_errors("--where"):
        filters = Filters.parse(where or ())
    if pieces and (tag is not None or filters):
        raise typer.BadParameter("--tag and --where are about the whole library, not about pieces by name")
    model = Classifier.load(classifier)
    if not pieces:
        with Library.open(library, create=False) as opened:
            found = [one for one in _of_library(model, opened, filters) if one[2] >= at_least]
            if tag is not None:
                print_report(_labelled(opened, tag, found, classifier), json)
                return
    else:
        named_notes = [notes for notes, _ in notes_of(pieces, library)]
        found = [one for one in _answers(model, pieces, named_notes) if one[2] >= at_least]
    if json:
        named = [{"piece": piece, "label": label, "chance": round(p, 4)} for piece, label, p in found]
        print_json({"classes": list(model.classes), "answers": named})
    else:
        rows = [(piece, label, f"{chance:.2f}") for piece, label, chance in found]
        print_table(("piece", "label", "chance"), rows, right=("chance",))


def _of_library(model: Classifier, library: Library, filters: Filters) -> Iterator[Answer]:
    after = 0
    while pieces := library.pieces(filters, limit=_AT_ONCE, after=after):
        after = pieces[-1].id
        yield from _answers(
            model, [f"#{one.id}" for one in pieces], [library.notes(one.id) for one in pieces]
        )


def _answers(model: Classifier, names: list[str], pieces: list[Notes]) -> list[Answer]:
    chances = model.predict(pieces)
    best = chances.argmax(1).tolist()
    return [
        (name, model.classes[i], float(row[i])) for name, i, row in zip(names, best, chances, strict=True)
    ]


def _labelled(library: Library, tag: str, found: list[Answer], classifier: str) -> LabelReport:
    from index import Wish
    from index.tags.names import checked_name

    tag = checked_name(tag)
    exists = any(one.name == tag for one in library.tags())
    known = {label.piece_id for label in library.tags.labels(tag)} if exists else set()
    wishes = [Wish(int(name[1:]), tag, label) for name, label, _ in found if int(name[1:]) not in known]
    return library.tags.label_many(wishes, source="classifier", what=f"labels by {classifier}: {tag}")
