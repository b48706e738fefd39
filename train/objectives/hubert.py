"""HuBERT (Hsu et al. 2021, arXiv 2106.07447; on music musicHuBERT, arXiv 2307.05161).

At masked positions the model predicts the cluster of what is masked. In the first round clusters are those of
hand-crafted features of short windows of notes; in the next, of a layer of the model that the round before
gave (`teacher`, `layer`). Clusters come from k-means over a sample of the corpus and stay as they are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from embedder.core.errors import CorpusError, EncoderError
from embedder.features.handcrafted import PLAIN, Layout, column_count, statistic_counts, statistics
from embedder.tokens import from_tokens
from embedder.transformer import ModelConfig, NoteReader, NoteTransformer

from ..checkpoints import load_weights
from ..corpus import Corpus
from .base import Batch
from .masking import MaskedSlices, apply_mask, is_note, spread

__all__ = ["Hubert", "frozen_reader", "window_numbers"]

SAMPLE_ROWS = 20  # rows that k-means sees for each cluster, at least
MOST_BATCHES = 200  # of the corpus that it reads to get them


class Hubert(MaskedSlices):
    """Parameters as of `MaskedSlices`, and these:

    Parameters
    ----------
    clusters : how many
    window : notes of a hand-crafted window
    teacher : folder of the weights of an earlier round; hand-crafted windows if None
    layer : of the teacher whose states are clustered, 1 for the first
    """

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        *,
        clusters: int = 100,
        window: int = 8,
        teacher: str | None = None,
        layer: int = 1,
        share: float = 0.4,
        span: int = 8,
        **slices: Any,
    ) -> None:
        super().__init__(corpus, split, share=share, span=span, **slices)
        if clusters < 2 or window < 1 or layer < 1:
            raise CorpusError("recipe: clusters is 2 or more, window and layer 1 or more")
        self.clusters, self.window, self.teacher, self.layer = clusters, window, teacher, layer

    def batch(self, rng: np.random.Generator) -> Batch:
        """As of `MaskedSlices`; in the first round also the numbers of the windows, [rows, windows, d]."""
        batch = super().batch(rng)
        if self.teacher is None:
            numbers = window_numbers(batch["tokens"].numpy(), batch["lengths"].numpy(), self.window)
            batch["windows"] = torch.from_numpy(numbers)
        return batch

    def _make(self, model: NoteTransformer) -> nn.Module:
        own = nn.Module()
        own.mask = nn.Parameter(torch.zeros(model.config.width))
        own.head = nn.Linear(model.config.width, self.clusters)
        if self.teacher is not None:
            reader = frozen_reader(Path(self.teacher))
            if self.layer > reader.config.layers:
                raise CorpusError(
                    f"recipe: {self.teacher} has {reader.config.layers} layers, not {self.layer}"
                )
            own.teacher = reader.to(model.norm.weight.device)
        self.own = own
        mean, scale, centres = self._clusters(model.norm.weight.device)
        for name, buffer in (("mean", mean), ("scale", scale), ("centres", centres)):
            own.register_buffer(name, torch.from_numpy(buffer))
        return own

    def _clusters(self, device: torch.device) -> tuple[NDArray[np.float32], ...]:
        """Mean and deviation of the described places, and the centres of their clusters."""
        from sklearn.cluster import MiniBatchKMeans

        rows, count, number = [], 0, 0
        while count < SAMPLE_ROWS * self.clusters and number < MOST_BATCHES:
            batch = {
                name: tensor.to(device)
                for name, tensor in self.batch(np.random.default_rng([1, number])).items()
            }
            described, where = self._described(batch)
            # Of a teacher's states, which stand a note apart, every `window`-th is enough.
            described, where = (x[:, :: self._stride(described, batch)] for x in (described, where))
            rows.append(described[where].float().cpu().numpy())
            count, number = count + len(rows[-1]), number + 1
        sample = np.concatenate(rows)
        if len(sample) < self.clusters:
            raise CorpusError(f"recipe: {len(sample)} positions are too few for {self.clusters} clusters")
        mean, scale = sample.mean(0), sample.std(0) + 1e-3
        clustering = MiniBatchKMeans(self.clusters, random_state=0, n_init=2, batch_size=1024).fit(
            (sample - mean) / scale
        )
        return mean, scale, clustering.cluster_centers_.astype(np.float32)

    def _stride(self, described: Tensor, batch: Batch) -> int:
        return self.window if described.shape[1] == batch["tokens"].shape[1] else 1

    @torch.no_grad()
    def _described(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Numbers of windows or notes [b, m, d], and which of them are there [b, m]."""
        if self.teacher is None:
            counts = torch.arange(batch["windows"].shape[1], device=batch["windows"].device) * self.window
            return batch["windows"], counts[None] < batch["lengths"][:, None]
        reader = self.own.teacher
        assert isinstance(reader, NoteReader)
        layers: list[Tensor] = []
        reader.read(reader.embed(batch["tokens"]), lengths=batch["lengths"], layers=layers)
        return layers[self.layer - 1], is_note(batch)

    @torch.no_grad()
    def targets(self, batch: Batch) -> Tensor:
        """Cluster of every note, int64 [b, n]."""
        described, _ = self._described(batch)
        mean, scale, centres = (self.own.get_buffer(name) for name in ("mean", "scale", "centres"))
        rows = (described.float() - mean) / scale
        with torch.autocast(rows.device.type, enabled=False):
            nearest = torch.cdist(rows, centres[None].expand(len(rows), -1, -1)).argmin(-1)
        length = batch["tokens"].shape[1]
        return nearest.repeat_interleave(self.window, 1)[:, :length] if self.teacher is None else nearest

    def loss(self, model: NoteTransformer, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        masked, real = batch["masked"], is_note(batch)
        targets = self.targets(batch)
        mask: Tensor = self.own.mask  # type: ignore[assignment]
        states = model.read(apply_mask(model.embed(batch["tokens"]), masked, mask), lengths=batch["lengths"])
        logits = self.own.head(states).float()  # type: ignore[operator]
        losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        targeted = masked.flatten()
        loss = (losses * targeted).sum() / targeted.sum().clamp(min=1)
        correct = ((logits.argmax(-1) == targets) & masked).sum() / targeted.sum().clamp(min=1)
        used = torch.bincount(targets[real], minlength=self.clusters).float()
        share = (used / used.sum().clamp(min=1)).clamp(min=1e-12)
        return loss, {
            "bits": loss.item() / float(np.log(2)),
            "target_bits": -(share * share.log2()).sum().item(),
            "accuracy": correct.item(),
            "spread": spread(states, real),
        }

    def flops(self, config: ModelConfig, batch: Batch) -> float:
        return super().flops(config, batch) * (1 if self.teacher is None else 4 / 3)


def window_numbers(tokens: NDArray[np.uint8], lengths: NDArray[np.int64], window: int) -> NDArray[np.float32]:
    """Hand-made numbers of windows of `window` notes, float32 [rows, windows, d]; 0 where there is none."""
    rows, length, _ = tokens.shape
    pieces = [from_tokens(row[:count]) for row, count in zip(tokens, lengths.tolist(), strict=True)]
    ranges = [
        [(first, min(first + window, len(piece))) for first in range(0, len(piece), window)]
        for piece in pieces
    ]
    numbers = statistics(statistic_counts(Layout.of(pieces, ranges), PLAIN), PLAIN)
    made = np.zeros((rows, -(-length // window), column_count(PLAIN)), dtype=np.float32)
    real = np.arange(made.shape[1])[None] * window < lengths[:, None]
    made[real] = numbers
    return made


def frozen_reader(folder: Path) -> NoteReader:
    """The transformer of a run's finished weights, without its heads, that learns no more.

    Raises
    ------
    CorpusError
        If the folder holds none.
    """
    try:
        config = ModelConfig.from_dict(json.loads((folder / "model.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, EncoderError) as error:
        raise CorpusError(f"{folder} holds no finished weights: {error}") from None
    whole = NoteTransformer(config)
    load_weights(whole, folder / "model.safetensors")
    reader = NoteReader(config)
    reader.load_state_dict({name: whole.state_dict()[name] for name in reader.state_dict()})
    return reader.requires_grad_(False)
