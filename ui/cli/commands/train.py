"""`midikin train`: prepare corpora and train encoders; measuring and finetuning have files of their own."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ui.cli.options import JsonOption

from .train_evaluate import evaluate, tasks, voices
from .train_finetune import finetune

if TYPE_CHECKING:
    from train.corpus import Corpus
    from train.loop import Progress

__all__ = ["train"]


def prepare(
    folders: Annotated[
        list[str], typer.Argument(metavar="FOLDER...", help="Folders of MIDI files with all that is below.")
    ],
    out: Annotated[str, typer.Option("-o", "--output", metavar="CORPUS", help="Folder for the corpus.")],
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
    test: Annotated[
        float, typer.Option("--test", metavar="NUMBER", help="Share of the works kept for testing.")
    ] = 0.2,
    validation: Annotated[
        float, typer.Option("--validation", metavar="NUMBER", help="Share kept for validation.")
    ] = 0.04,
    keep_copies: Annotated[
        bool, typer.Option("--keep-copies", help="Keep edited copies of one performance.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", metavar="NUMBER", min=1, help="Reading processes; one a core if not given."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Read folders of MIDI files into a corpus to train on.

    Files are filtered, copies are removed, and pieces of one work are kept together in one split. A
    labels.csv in a folder (first column `file`) is taken along; its columns composition, work, piece, song
    and tune tell which files are of one work. Stop it whenever you like: the same command continues.

    \b
    Examples:
      midikin train prepare ~/Music/midi -o corpus
      midikin train prepare maestro asap -o corpus --without duration-entropy --without short
      midikin train prepare maestro asap pop909 -o corpus --held-out held-out.csv --json
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
        _print_corpus(corpus)


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


def _print_corpus(corpus: Corpus) -> None:
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


def run(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A TOML file, or the name of a shipped recipe.")
    ],
    corpus: Annotated[str, typer.Option("--corpus", metavar="CORPUS", help="What `prepare` made.")],
    out: Annotated[
        str, typer.Option("-o", "--output", metavar="RUN", help="Folder of the run; continued if begun.")
    ],
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="WEIGHTS", help="Folder of finished weights that a new run begins with."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, ...; a GPU if there is one."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Train a model as a recipe says.

    Stop it whenever you like: the same command continues from the last checkpoint, to the same weights.
    log.csv in the run's folder holds the numbers of the run, and `tensorboard --logdir RUN` draws them.
    Several processes, with a GPU each if there are any, share the work under torchrun:
    torchrun --nproc-per-node 2 -m ui.cli train run RECIPE --corpus CORPUS --output RUN

    \b
    Examples:
      midikin train run pretrain --corpus corpus -o runs/pretrained
      midikin train run contrast --corpus corpus -o runs/small --from runs/pretrained/encoder
      midikin train run my-recipe.toml --corpus corpus -o runs/mine --device cuda --json
    """
    import torch

    from train.corpus import Corpus
    from train.dist import Processes
    from train.loop import run as train
    from train.monitor import matrix_rate
    from train.recipe import Recipe
    from ui.cli.output import print_json

    parsed = Recipe.read(recipe)
    notes = Corpus(corpus)
    line = _ProgressLine(parsed.run.log_every)
    with torch.random.fork_rng():
        rate = matrix_rate(Processes().device(device), parsed.run.precision)
    weights = train(parsed, notes, out, start_from=start_from, device=device, on_progress=line.show)
    line.finish()
    if not Processes.from_environment().first:
        return
    if line.last is None:
        result: dict[str, Any] = {"weights": str(weights)}
    else:
        result = {
            "weights": str(weights),
            "steps": line.last.steps,
            "notes_per_s": line.last.notes_per_s,
            "flops_per_s": line.last.flops_per_s,
            "matrix_product_flops_per_s": rate,
            "model_flop_utilisation": line.last.flops_per_s / rate,
            "numbers": line.last.numbers,
        }
    if json:
        print_json(result)
    else:
        _print_run(result)


class _ProgressLine:
    """Progress on stderr: one line that is overwritten on a terminal, a line now and then elsewhere."""

    def __init__(self, every: int) -> None:
        self.every, self.last = every, None  # type: int, Progress | None
        self._terminal = sys.stderr.isatty()
        self._shown = 0.0

    def show(self, progress: Progress) -> None:
        self.last = progress
        due = time.monotonic() - self._shown > 0.2 if self._terminal else not progress.step % self.every
        if due or progress.step == progress.steps:
            self._shown = time.monotonic()
            start, end = ("\r", "\x1b[K") if self._terminal else ("", "\n")
            print(start + _text(progress), end=end, file=sys.stderr, flush=True)

    def finish(self) -> None:
        if self._terminal and self.last is not None:
            print(file=sys.stderr)


def _text(progress: Progress) -> str:
    from ui.cli.output import clock

    named = [name for name in ("held_out_bits", "in_batch_accuracy") if name in progress.numbers]
    numbers = "  ".join(f"{name} {progress.numbers[name]:.3f}" for name in ["loss", *named])
    left = clock(progress.remaining_s)
    place, rate = f"step {progress.step:,} of {progress.steps:,}", f"{progress.notes_per_s:,.0f} notes/s"
    return f"{place}  {numbers}  {rate}  {left} left"


def _print_run(result: dict[str, Any]) -> None:
    if "steps" in result:
        rate, limit = result["flops_per_s"], result["matrix_product_flops_per_s"]
        print(f"{result['steps']:,} steps, {result['notes_per_s']:,.0f} notes a second")
        print(
            f"model FLOP utilisation {rate / limit:.2f}:"
            f" {rate / 1e9:,.1f} of the {limit / 1e9:,.1f} GFLOP/s of a matrix product"
        )
        print("  ".join(f"{name} {value:.4g}" for name, value in result["numbers"].items()))
    print(f"weights in {result['weights']}")


def head(
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="What `prepare` made.")],
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Where the head goes (.safetensors).")
    ],
    start_from: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="A head whose identity map is trained on."),
    ] = None,
    steps: Annotated[
        int, typer.Option("--steps", metavar="NUMBER", min=0, help="Steps of the identity map.")
    ] = 1000,
    pairs: Annotated[
        int, typer.Option("--pairs", metavar="NUMBER", min=2, help="Positive pairs a step.")
    ] = 384,
    taught: Annotated[
        int,
        typer.Option(
            "--taught",
            metavar="NUMBER",
            min=0,
            help="Style numbers that are supervised by labels; 0 if there are none.",
        ),
    ] = 48,
    seed: Annotated[int, typer.Option("--seed", metavar="NUMBER", help="Of everything that is drawn.")] = 0,
) -> None:
    """Fit the hand-crafted part of an encoder on a corpus.

    Its identity map is learned by contrast over altered pieces, its style axes from versions of works and
    from the labels composer, artist, type and series. Minutes on one core; `midikin train assemble` joins the
    head with a trained model.

    \b
    Examples:
      midikin train head corpus -o head.safetensors
      midikin train head corpus -o head.safetensors --from older.safetensors --steps 300
    """
    from train.checkpoints import read_head, write_head
    from train.corpus import Corpus
    from train.features_head import count_corpus, fit_head
    from ui.cli.progress import progress_bar

    initial = None if start_from is None else read_head(start_from).state_dict()
    with progress_bar() as bar:
        task = bar.add_task("counting", total=None, rate="")
        counted = count_corpus(
            Corpus(corpus),
            "train",
            "validation",
            seed=seed,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
        bar.update(task, description="fitting", completed=0, total=steps)
        fitted = fit_head(
            counted,
            steps=steps,
            pairs=pairs,
            taught=taught,
            seed=seed,
            start_from=initial,
            on_progress=lambda step, loss, accuracy: bar.update(
                task, completed=step, rate=f"loss {loss:.3f}, in-batch accuracy {accuracy:.0%}"
            ),
        )
    write_head(fitted, out)
    print(f"head in {out}")


def assemble(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="Folder of finished weights, RUN/encoder.")
    ],
    head: Annotated[Path, typer.Option("--head", metavar="FILE", help="What `midikin train head` wrote.")],
    out: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the encoder.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the encoder is called.")],
    card: Annotated[Path, typer.Option("--card", metavar="FILE", help="Its model card, Markdown.")],
    shares: Annotated[
        tuple[float, float, float],
        typer.Option(
            "--shares",
            metavar="NUMBER...",
            help="Shares of the learned, identity and style part in a vector.",
        ),
    ] = (0.1, 0.6, 0.3),
    window: Annotated[int, typer.Option("--window", metavar="NUMBER", help="Most notes in a window.")] = 256,
    context: Annotated[
        int, typer.Option("--context", metavar="NUMBER", help="Most notes that the model reads at once.")
    ] = 128,
) -> None:
    """Put an encoder together from trained weights and a fitted head.

    \b
    Examples:
      midikin train assemble runs/small/encoder --head head.safetensors -o mine --name mine --card card.md
      midikin train assemble run/encoder --head h.safetensors -o o --name o --card c.md --shares .3 .5 .2
    """
    from embedder.core.errors import CorpusError
    from train.checkpoints import assemble as put_together
    from train.checkpoints import read_head

    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"model card {card} cannot be read: {error}") from None
    learned, identity, style = shares
    put_together(
        name,
        weights,
        read_head(head),
        out,
        card=text,
        weights={"learned": learned, "identity": identity, "style": style},
        window=window,
        context=context,
    )
    print(f"encoder in {out}")


train = typer.Typer(
    help="Prepare a corpus, train an encoder on it, measure encoders.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
train.command("prepare")(prepare)
train.command("run")(run)
train.command("head")(head)
train.command("assemble")(assemble)
train.command("evaluate")(evaluate)
train.command("finetune")(finetune)
train.command("tasks")(tasks)
train.command("voices")(voices)
