"""Applying probes: what they say of every piece of the library, many probes in one pass over the vectors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from sqlalchemy import Connection, Row, select

from embedder.core.errors import TagError

from ..storage.database import Database
from ..tags.labels import tag_named
from ..tags.names import shown
from ..tags.schema import probes
from .gallery import Gallery, count_gallery, load_gallery
from .records import Applied, TrainReport
from .review import open_predictions
from .store import (
    Predicted,
    Trained,
    has_predictions,
    load_predicted,
    load_trained,
    store_predicted,
    tags_with_probes,
)

__all__ = ["apply_probes", "apply_to_newer", "judge_all"]

Progress = Callable[[str, int, int], None]


class Train(Protocol):
    """Trains the probes of some tags; `Probes.train` is one."""

    def __call__(self, tags: Iterable[str], *, progress: Progress) -> TrainReport: ...


def apply_probes(
    database: Database, names: Iterable[str] | None, train: Train, told: Progress
) -> list[Applied]:
    """Store what probes say of all pieces; see `Probes.apply`."""
    begun = time.monotonic()
    with database.read() as connection:
        rows = (
            tags_with_probes(connection)
            if names is None
            else [tag_named(connection, name) for name in dict.fromkeys(names)]
        )
        encoder = database.encoder(connection)[0]
        stale = [row.name for row in rows if load_trained(connection, row).encoder != encoder]
    if not rows:
        raise TagError("no probe yet; train some with `midikin probe train`")
    if stale:
        report = train(stale, progress=told)
        if report.problems:
            raise TagError(f"a stale probe cannot be trained anew: {report.problems[0].reason}")
    with database.read() as connection:
        trained = [load_trained(connection, row) for row in rows]
        gallery = load_gallery(connection, database.number(connection, "dim"))
    said = judge_all(trained, gallery, lambda done, total: told("applying", done, total))
    with database.write() as connection:
        for row, probe, one in zip(rows, trained, said, strict=True):
            _check_same(connection, row, probe)
            store_predicted(connection, row.id, probe.trained_s, one)
        seconds = time.monotonic() - begun
        return [
            _report(connection, row, probe, len(gallery.numbers), row.name in stale, seconds)
            for row, probe in zip(rows, trained, strict=True)
        ]


def apply_to_newer(database: Database) -> None:
    """Let the probes that were applied judge the pieces that were added since; nothing to do is no error."""
    with database.read() as connection:
        encoder, dim = database.encoder(connection)[0], database.number(connection, "dim")
        applied = []
        for row in tags_with_probes(connection):
            trained = load_trained(connection, row)
            if trained.encoder == encoder and has_predictions(connection, row):
                applied.append((row, trained, load_predicted(connection, row, len(trained.classes))))
        newest = [int(known.numbers[-1]) if len(known.numbers) else 0 for _, _, known in applied]
        if not applied or not count_gallery(connection, min(newest)):
            return
        gallery = load_gallery(connection, dim, after=min(newest))
    said = judge_all([trained for _, trained, _ in applied], gallery, lambda done, total: None)
    with database.write() as connection:
        for (row, trained, known), one, last in zip(applied, said, newest, strict=True):
            _check_same(connection, row, trained)
            new = one.numbers > last
            joined = Predicted(
                np.concatenate([known.numbers, one.numbers[new]]),
                np.concatenate([known.probabilities, one.probabilities[new]]),
                np.concatenate([known.outside, one.outside[new]]),
            )
            store_predicted(connection, row.id, trained.trained_s, joined)


def _check_same(connection: Connection, tag: Row[Any], probe: Trained) -> None:
    stored = connection.execute(select(probes.c.trained_s).where(probes.c.tag_id == tag.id)).scalar()
    if stored != probe.trained_s:
        raise TagError(f"{shown(tag.name)}: its probe was trained anew meanwhile; apply it again")


def _report(
    connection: Connection, tag: Row[Any], probe: Trained, pieces: int, retrained: bool, seconds: float
) -> Applied:
    said = open_predictions(connection, tag, probe)
    counts = np.bincount(said.probabilities.argmax(1)[~said.outside], minlength=len(probe.classes))
    order = np.argsort(-counts, kind="stable")
    return Applied(
        tag=tag.name,
        pieces=pieces,
        labelled=pieces - len(said.numbers),
        predicted=tuple((probe.classes[i], int(counts[i])) for i in order if counts[i]),
        outside=int(said.outside.sum()),
        retrained=retrained,
        seconds=round(seconds, 3),
    )


def judge_all(
    trained: Sequence[Trained], gallery: Gallery, told: Callable[[int, int], None]
) -> list[Predicted]:
    """What each probe says of each piece.

    Parameters
    ----------
    told : how many pieces are done, and of how many
    """
    count = len(gallery.numbers)
    said = [np.empty((count, len(probe.classes)), dtype=np.float32) for probe in trained]
    outside = [np.empty(count, dtype=bool) for _ in trained]
    for part in gallery.portions():
        vectors = gallery.vectors[part].astype(np.float32)
        for number, probe in enumerate(trained):
            said[number][part], outside[number][part] = probe.judge(vectors)
        told(min(part.stop, count), count)
    return [Predicted(gallery.numbers, one, far) for one, far in zip(said, outside, strict=True)]
