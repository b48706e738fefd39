"""`midikin melody`, `continue` and `classify`: what models read in a piece, or write after it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ui.cli.errors import usage_errors
from ui.cli.options import (
    FilterOption,
    ForceOption,
    FormatOption,
    FromOption,
    LibraryOption,
    OutputFolderOption,
    PieceArgument,
    PiecesArgument,
    ToOption,
    as_filters,
    as_range,
    check_free,
    notes_of,
)
from ui.cli.output import Format

if TYPE_CHECKING:
    from embedder import Notes, Part
    from embedder.classifier import Classifier
    from index import Filters, LabelReport, Library

__all__ = ["classify", "continue_", "melody"]


def melody(
    piece: PieceArgument,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the melody as a MIDI file.")
    ] = None,
    bridge: Annotated[
        bool, typer.Option("--bridge", help="Include the secondary melodies that answer the singer.")
    ] = False,
    force: ForceOption = False,
    library: LibraryOption = None,
    format: FormatOption = None,
) -> None:
    """Extract the melody of a piece: what a singer would sing.

    A small model names the voice of every note: melody, bridge (secondary melodies) or piano (the
    accompaniment). It was trained on pop songs. Where a file has several tracks or channels, the notes of
    each have one voice. Beside it stands the skyline, the highest note of every chord.

    \b
    Examples:
      midikin melody song.mid
      midikin melody song.mid -o melody.mid
      midikin melody '#12' --bridge --json
    """
    from embedder import write_midi
    from embedder.melody import melody_model, skyline
    from embedder.midi.reading import parts_of
    from embedder.voices import VOICES
    from ui.cli.output import count, print_json, print_table, remark

    check_free([output], force)
    ((notes, path),) = notes_of([piece], library)
    if output is not None and output.exists() and os.path.exists(path) and output.samefile(path):
        raise typer.BadParameter("is the piece itself, which is only read", param_hint="'--output'")
    parts = parts_of(notes, path)
    voices = melody_model().voices(notes, parts)
    chosen = voices <= VOICES.index("bridge") if bridge else voices == VOICES.index("melody")
    highest = skyline(notes)
    sung = notes.select(chosen)
    if output is not None and len(sung):
        write_midi(sung, output)
    rows = {"melody": sung, "skyline": notes.select(highest)}
    if format is Format.JSON:
        print_json(
            {
                "path": piece,
                "notes": len(notes),
                "parts": None if parts is None else len(set(parts.tolist())),
                "voices": {name: int((voices == number).sum()) for number, name in enumerate(VOICES)},
                "shared": int((chosen & highest).sum()),
                **{name: _notes_json(row) for name, row in rows.items()},
                "out": str(output) if output is not None and len(sung) else None,
            }
        )
        return
    columns = ("voice", "notes", "share", "from", "to", "lowest", "highest")
    cells = [(name, *_voice_cells(row, notes)) for name, row in rows.items()]
    print_table(columns, cells, right=columns[1:], format=format)
    if not len(sung):
        remark(f"no note of {piece} sounds like a sung melody; --bridge takes secondary melodies too")
    elif output is not None:
        remark(f"wrote {count(len(sung), 'note')} to {output}")


def _notes_json(notes: Notes) -> dict[str, Any]:
    return {
        "onset_s": [round(float(x), 5) for x in notes.onset],
        "duration_s": [round(float(x), 5) for x in notes.duration],
        "pitch": notes.pitch.tolist(),
        "velocity": notes.velocity.tolist(),
    }


def _voice_cells(voice: Notes, notes: Notes) -> tuple[str, ...]:
    from ui.cli.output import clock

    if not len(voice):
        return ("0", "0%", "", "", "", "")
    share = f"{len(voice) / len(notes):.0%}"
    low, high = (_pitch_name(int(pitch)) for pitch in (voice.pitch.min(), voice.pitch.max()))
    return (f"{len(voice):,}", share, clock(voice.start_s), clock(voice.end_s), low, high)


def _pitch_name(pitch: int) -> str:
    """Scientific pitch notation: 60 is C4."""
    names = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
    return names[pitch % 12] + str(pitch // 12 - 1)


# -- continue -----------------------------------------------------------------------------------------


def continue_(
    piece: PieceArgument,
    start: FromOption = None,
    end: ToOption = None,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="LENGTH", min=0.1, max=3600, help="Seconds of new music.")
    ] = 30.0,
    variations: Annotated[
        int,
        typer.Option(
            "-k",
            "--limit",
            "--variations",
            metavar="COUNT",
            min=1,
            max=64,
            help="Write so many different continuations.",
        ),
    ] = 1,
    output: OutputFolderOption = ".",
    alone: Annotated[
        bool, typer.Option("--alone", help="Write the new music only, without what it continues.")
    ] = False,
    part: Annotated[
        str | None,
        typer.Option(
            "--part",
            metavar="PART",
            help="The part that plays on, by number or by a word of its name or instrument; if not given, "
            "the piano, or else the part with most notes.",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="NAME",
            help="A model of your own, or Aria's weights; midikin's own model if not given.",
        ),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature",
            metavar="TEMPERATURE",
            min=0,
            max=10,
            help="Lower is more predictable, higher more varied.",
        ),
    ] = 0.95,
    top_p: Annotated[
        float,
        typer.Option(
            "--top-p",
            metavar="PROBABILITY",
            help="Nucleus sampling: the most probable tokens up to this total.",
        ),
    ] = 1.0,
    min_p: Annotated[
        float,
        typer.Option(
            "--min-p", metavar="SHARE", help="Leave out tokens below this share of the most probable one."
        ),
    ] = 0.03,
    seed: Annotated[
        int, typer.Option("--seed", metavar="NUMBER", min=0, help="Random seed: another number, other music.")
    ] = 0,
    library: LibraryOption = None,
    format: FormatOption = None,
) -> None:
    """Continue a piece: write MIDI files that go on where it stops.

    The files begin with what they continue, every part of it up to the cut; one part plays on. A model may
    end the piece before the time is up. Files that are there already are left alone.

    \b
    Examples:
      midikin continue theme.mid
      midikin continue theme.mid --from 0:00 --to 0:15 --seconds 30 -k 3 -o more
      midikin continue '#12' --to 0:15 --weights loubb/aria-medium-gen --temperature 1
    """
    from embedder import read_midi, write_midi
    from embedder.core.files import printable
    from embedder.generation.continuer import Continuer
    from embedder.generation.sampling import Sampling
    from ui.cli.output import clock, print_json, print_table

    start_s, end_s = as_range(start, end)
    with usage_errors("--top-p / --min-p"):
        sampling = Sampling(temperature, top_p, min_p)
    if not output or weights == "":
        raise typer.BadParameter("an empty name stands for nothing", param_hint="'--output' / '--weights'")
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise typer.BadParameter(f"{printable(output)} is a file, not a folder", param_hint="'--output'")
    ((stored, path),) = notes_of([piece], library)
    _part_number(_prompt(stored, start_s or 0.0, end_s), part)  # before a model is loaded, which takes long
    continuer = Continuer.load(weights)
    on_disk = Path(path).expanduser().is_file()
    notes = read_midi(path, sustain=continuer.reads_pedal) if on_disk else stored
    prompt = _prompt(notes, start_s or 0.0, end_s)
    number = _part_number(prompt, part)
    continuations = continuer.continue_from(
        prompt, seconds, begin_s=end_s, variations=variations, sampling=sampling, seed=seed, part=number
    )
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for continuation, target in zip(continuations, _free_names(folder, Path(path).stem), strict=False):
        whole = continuation.notes.from_zero() if alone else continuation.whole
        write_midi(whole, target)
        rows.append(
            {
                "path": str(target),
                "new_notes": len(continuation.notes),
                "continues_at_s": 0.0 if alone else round(continuation.notes.start_s - prompt.start_s, 3),
                "length_s": round(whole.end_s, 3),
                "ended": continuation.ended,
                "part": part_label(prompt.parts[number]),
                "parts_kept": [
                    part_label(other)
                    for index, other in enumerate(prompt.parts)
                    if index != number and prompt.part_sizes()[index] and not alone
                ],
            }
        )
    if format is Format.JSON:
        print_json({"model": continuer.name, "seed": seed, "continuations": rows})
        return
    columns = ("file", "new notes", "from", "length", "ends")
    cells = [
        (
            printable(str(row["path"])),
            f"{row['new_notes']:,}",
            clock(float(str(row["continues_at_s"]))),
            clock(float(str(row["length_s"]))),
            "itself" if row["ended"] else "cut",
        )
        for row in rows
    ]
    print_table(columns, cells, right=columns[1:4], format=format)
    kept = rows[0]["parts_kept"] if rows else []
    if kept and isinstance(kept, list):
        note = f"{rows[0]['part']} plays on; kept up to the cut: {', '.join(kept)}"
        print(printable(note), file=sys.stderr)


def part_label(part: Part) -> str:
    """What a part is called: its instrument, and its track's name where that says more."""
    from embedder.midi.general_midi import program_name

    instrument = "Drums" if part.drums else program_name(part.program)
    return f"{part.name.strip()} ({instrument})" if part.name.strip() else instrument


def _part_number(prompt: Notes, named: str | None) -> int:
    """The part that plays on.

    Raises
    ------
    typer.BadParameter
        If no pitched part has that number, counted from 1, or that word in its name.
    """
    from embedder.generation.continuer import continuing_part

    sizes = prompt.part_sizes()
    if not len(prompt.pitched()):
        raise typer.BadParameter("there are only drums there: nothing that could be continued")
    if named is None:
        return continuing_part(prompt)
    pitched = [n for n, part in enumerate(prompt.parts) if sizes[n] and not part.drums]
    labels = {n: part_label(prompt.parts[n]) for n in pitched}
    if named.isdecimal():
        fitting = [n for n in pitched if n + 1 == int(named)]
    else:
        fitting = [n for n in pitched if named.casefold() in labels[n].casefold()]
    if not fitting:
        listed = ", ".join(f"{n + 1} {label}" for n, label in labels.items())
        raise typer.BadParameter(f"no part {named!r}; there are {listed}", param_hint="'--part'")
    return max(fitting, key=lambda n: int(sizes[n]))


def _prompt(notes: Notes, start_s: float, end_s: float | None) -> Notes:
    prompt = notes.slice_time(start_s, end_s)
    if not len(prompt):
        raise typer.BadParameter(
            f"no note begins there; the piece lasts from {notes.start_s:.1f} to {notes.end_s:.1f} s",
            param_hint="'--from' / '--to'",
        )
    return prompt


def _free_names(folder: Path, stem: str) -> Iterator[Path]:
    number = 0
    while True:
        number += 1
        path = folder / f"{stem}-continued-{number}.mid"
        if not path.exists():
            yield path


# -- classify -----------------------------------------------------------------------------------------

_BATCH_SIZE = 64  # pieces whose notes are in memory

Answer = tuple[str, str, float]  # the piece as it was named, its most probable class, and the probability


def classify(
    classifier: Annotated[
        str, typer.Argument(metavar="CLASSIFIER", help="A folder that `midikin train finetune` has made.")
    ],
    pieces: PiecesArgument = None,
    tag: Annotated[
        str | None,
        typer.Option("--tag", metavar="TAG", help="Label the pieces of the library: TAG is the class."),
    ] = None,
    min_probability: Annotated[
        float,
        typer.Option(
            "--min-probability",
            metavar="PROBABILITY",
            min=0,
            max=1,
            help="Only answers that are at least so probable.",
        ),
    ] = 0.0,
    where: FilterOption = None,
    library: LibraryOption = None,
    format: FormatOption = None,
) -> None:
    """Classify and tag pieces with a finetuned classifier.

    Without pieces, the whole library. With --tag, pieces become labelled in one action, which
    `midikin tags undo` takes back. Pieces that have a label of that tag already keep it.

    \b
    Examples:
      midikin classify by-composer theme.mid '#12'
      midikin classify by-composer --where 'duration>1:00' --json
      midikin classify by-composer --tag composer --min-probability 0.8
    """
    from embedder.classifier import Classifier
    from index import Library
    from ui.cli.output import print_json, print_label_report, print_table

    filters = as_filters(where)
    if pieces and (tag is not None or filters):
        raise typer.BadParameter(
            "--tag and --where are about the whole library, not about pieces by name", param_hint="'PIECE'"
        )
    model = Classifier.load(classifier)
    if not pieces:
        with Library.open(library, create=False) as opened:
            answers = [row for row in _classify_library(model, opened, filters) if row[2] >= min_probability]
            if tag is not None:
                report = _label(opened, tag, answers, classifier)
                print_label_report(report, json=format is Format.JSON)
                return
    else:
        notes = [notes for notes, _ in notes_of(pieces, library)]
        answers = [row for row in _classify_batch(model, pieces, notes) if row[2] >= min_probability]
    if format is Format.JSON:
        rows = [{"piece": piece, "label": label, "chance": round(p, 4)} for piece, label, p in answers]
        print_json({"classes": list(model.classes), "answers": rows})
    else:
        cells = [(piece, label, f"{probability:.2f}") for piece, label, probability in answers]
        print_table(("piece", "label", "probability"), cells, right=("probability",), format=format)


def _classify_library(model: Classifier, library: Library, filters: Filters) -> Iterator[Answer]:
    after = 0
    while pieces := library.pieces(filters, limit=_BATCH_SIZE, after=after):
        after = pieces[-1].id
        numbers = [piece.id for piece in pieces]
        notes = [library.notes(number) for number in numbers]
        yield from _classify_batch(model, [f"#{number}" for number in numbers], notes)


def _classify_batch(model: Classifier, names: list[str], notes: list[Notes]) -> list[Answer]:
    probabilities = model.predict(notes)
    best = probabilities.argmax(1).tolist()
    return [
        (name, model.classes[i], float(row[i]))
        for name, i, row in zip(names, best, probabilities, strict=True)
    ]


def _label(library: Library, tag: str, answers: list[Answer], classifier: str) -> LabelReport:
    from index import LabelEdit, checked_name

    tag = checked_name(tag)
    exists = any(known.name == tag for known in library.tags())
    labelled = {label.piece_id for label in library.tags.labels(tag)} if exists else set()
    edits = [
        LabelEdit(int(name[1:]), tag, label) for name, label, _ in answers if int(name[1:]) not in labelled
    ]
    return library.tags.label_many(edits, source="classifier", what=f"labels by {classifier}: {tag}")
