"""The ensemble encoder's network: causal convolutions over notes, a transformer over patches of notes.

Notes (`front`) become vectors by summed embeddings. Causal convolutions of squared ReLU units hear short
patterns at every note, like learned n-grams. Each `patch` consecutive notes are merged into one position of
a causal transformer, which makes a deep network affordable (patches: MegaByte, Yu et al. 2023, arXiv
2305.07185). A stretch of music is described by the moments of the transformer's states and the mean
activations of the convolutions; both are sums over notes, so that windows pool to pieces. Counts of the same
music may join them (`fusion`).

The next note is predicted attribute by attribute from the state of the patch before its own and from the
convolutions at the note before it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core.errors import EncoderError
from ..transformer import Block
from .front import COLUMNS
from .fusion import Fusion

__all__ = ["PREDICTED", "EnsembleConfig", "EnsembleTransformer"]

# What is predicted of the next note, in this order, each given those before it.
PREDICTED = ("gap", "voice", "drum", "interval", "duration", "velocity")


@dataclass(frozen=True)
class EnsembleConfig:
    """Sizes of an `EnsembleTransformer`.

    Attributes
    ----------
    note_width : size of a note's vector
    kernel : notes that a convolution hears
    patterns : units of each convolution
    convolutions : how many
    patch : notes merged into one position
    width, layers, heads, hidden : of the transformer
    positions : longest row, in patches
    projection : length of a vector
    fused, inner : length of the vector of states and counts together, 0 for none, and size of its maps
    """

    note_width: int = 128
    kernel: int = 5
    patterns: int = 384
    convolutions: int = 2
    patch: int = 4
    width: int = 384
    layers: int = 4
    heads: int = 6
    hidden: int = 1536
    positions: int = 256
    projection: int = 256
    fused: int = 0
    inner: int = 384

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = 0 if name in ("layers", "convolutions", "fused") else 1
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 65_536:
                raise EncoderError(f"model setting {name} must be a whole number up to 65,536, not {value!r}")
        if self.width % self.heads or self.width // self.heads % 2:
            raise EncoderError("model setting heads must divide width into heads of even size")

    @property
    def summed(self) -> int:
        """Numbers that are summed over the notes of a stretch."""
        return 2 * self.width + self.patterns * self.convolutions

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> EnsembleConfig:
        """Settings by name, those that are not given as usual; EncoderError names the first that misfits."""
        known = {field.name for field in fields(cls)}
        for name in settings:
            if name not in known:
                raise EncoderError(f"model setting {name} is none that midikin knows")
        return cls(**settings)


class _Patterns(nn.Module):
    """A causal convolution over notes: squared ReLU units, added back to the notes' vectors."""

    def __init__(self, config: EnsembleConfig) -> None:
        super().__init__()
        self.kernel = config.kernel
        self.norm = nn.LayerNorm(config.note_width)
        self.up = nn.Linear(config.kernel * config.note_width, config.patterns)
        self.down = nn.Linear(config.patterns, config.note_width, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        length = x.shape[1]
        padded = functional.pad(_narrow(self.norm(x)), (0, 0, self.kernel - 1, 0))
        runs = torch.cat([padded[:, at : at + length] for at in range(self.kernel)], dim=-1)
        units = functional.relu(self.up(runs)).square()
        return x + self.down(units), units


def _narrow(x: Tensor) -> Tensor:
    """In the precision of matrix products, before it is copied for one."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


class EnsembleTransformer(nn.Module):
    """Token rows of `front` to states, sums and vectors."""

    def __init__(self, config: EnsembleConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = nn.ModuleList(nn.Embedding(n, config.note_width) for n in COLUMNS.values())
        self.patterns = nn.ModuleList(_Patterns(config) for _ in range(config.convolutions))
        self.merge = nn.Linear(config.patch * config.note_width, config.width)
        blocks = [Block(config) for _ in range(config.layers)]  # type: ignore[arg-type]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(config.width)
        size = config.summed
        self.project = nn.Sequential(
            nn.LayerNorm(size), nn.Linear(size, 2 * config.width), nn.ReLU(),
            nn.Linear(2 * config.width, config.projection),
        )  # fmt: skip
        self.fusion = Fusion(config.summed, config.inner, config.fused) if config.fused else None
        inner = config.width // 2
        sizes = [COLUMNS[name] for name in PREDICTED]
        self.next_state = nn.Linear(config.width, config.patch * inner)
        self.next_note = nn.Linear(config.note_width, inner, bias=False)
        self.next_hidden = nn.ModuleList(nn.Linear(inner, inner) for _ in sizes)
        self.known = nn.ModuleList(nn.Embedding(n, inner) for n in sizes[:-1])
        self.next_out = nn.ModuleList(nn.Linear(inner, n) for n in sizes)
        half = config.width // config.heads // 2
        frequency = 10_000.0 ** (-torch.arange(half, dtype=torch.float32) / half)
        angles = torch.arange(config.positions, dtype=torch.float32)[:, None] * frequency
        self.register_buffer("_angles", angles, persistent=False)
        for module in self.children():
            if module is not self.fusion:
                module.apply(self._initialise)
        for block in blocks:
            block.start_as_identity()
        for layer in self.patterns:
            nn.init.zeros_(layer.down.weight)  # type: ignore[union-attr, arg-type]

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.3)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """States of patches [b, n / patch, width], vectors of notes [b, n, note_width], units of each
        convolution [b, n, patterns], of token rows [b, n, columns]; n is a multiple of `patch`."""
        columns = tokens.long().unbind(-1)
        x = self.embeddings[0](columns[0])
        for embedding, column in zip(self.embeddings[1:], columns[1:], strict=True):
            x = x + embedding(column)
        units = []
        for layer in self.patterns:
            x, found = layer(x)
            units.append(found)
        batch, length, _ = x.shape
        patches = length // self.config.patch
        h = self.merge(x.reshape(batch, patches, -1)).to(self.norm.weight.dtype)
        angles = self.get_buffer("_angles")[:patches]
        turn = (angles.cos().to(h.dtype), angles.sin().to(h.dtype))
        for block in self.blocks:
            h = block(h, turn, True)
        return self.norm(h), x, units

    def sums(self, states: Tensor, units: list[Tensor], lengths: Tensor) -> Tensor:
        """Sums over the first `lengths` [b] notes of each row, [b, summed] float32; stretches add up."""
        patch = self.config.patch
        place = torch.arange(states.shape[1] * patch, device=states.device)[None]
        inside = (place < lengths[:, None]).float()
        weight = inside.view(len(inside), -1, patch).sum(-1)  # notes of each patch
        h = states.float()
        parts = [torch.einsum("bnw,bn->bw", h, weight), torch.einsum("bnw,bn->bw", h.square(), weight)]
        parts += [torch.einsum("bnw,bn->bw", found, inside.to(found.dtype)).float() for found in units]
        return torch.cat(parts, dim=1)

    def moments(self, sums: Tensor, counts: Tensor) -> Tensor:
        """What describes stretches [b, summed], from `sums` over `counts` [b] notes."""
        width = self.config.width
        means = sums / counts[:, None].clamp(min=1)
        mean, square, units = means[:, :width], means[:, width : 2 * width], means[:, 2 * width :]
        # The floors keep the gradients of the roots finite.
        deviation = (square - mean.square()).clamp(min=1e-4).sqrt()
        return torch.cat((mean, deviation, (units + 1e-4).sqrt()), dim=1)

    def next_losses(self, states: Tensor, notes: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Negative log-likelihood of the next note by attribute [len(PREDICTED)], nats a note.

        Notes of the first patch have no state before them and are not predicted.
        """
        patch = self.config.patch
        batch, patches, _ = states.shape
        if patches < 2:
            return states.new_zeros(len(PREDICTED)).float()
        heard = self.next_state(states[:, :-1]).view(batch, patches * patch - patch, -1)
        heard = heard + self.next_note(notes[:, patch - 1 : -1])
        place = torch.arange(patch, patches * patch, device=tokens.device)
        inside = place[None] < lengths[:, None]
        heard, coming = heard[inside], tokens[:, patch:][inside].long()
        losses = []
        names = list(COLUMNS)
        for i, name in enumerate(PREDICTED):
            target = coming[:, names.index(name)]
            inner = functional.relu(self.next_hidden[i](heard))
            losses.append(functional.cross_entropy(self.next_out[i](inner).float(), target))
            if i < len(self.known):
                heard = heard + self.known[i](target)
        return torch.stack(losses)


def flops_a_note(config: EnsembleConfig, length: int) -> float:
    """Multiply-adds of one note in a row of so many, forward, without the heads."""
    front = config.convolutions * (config.kernel + 1) * config.note_width * config.patterns
    block = (
        4 * config.width**2
        + 2 * config.width * config.hidden
        + config.width * math.ceil(length / config.patch)
    )
    return front + config.note_width * config.width + config.layers * block / config.patch
