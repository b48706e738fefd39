"""Aria's transformer under the parameter names of its released weights, with either head.

Causal, pre-norm LayerNorm with bias, SwiGLU feed-forward, rotary positions on the two halves of each head, no
linear biases (arXiv 2506.23869). Its layers may lie on several devices, one stretch after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core.errors import EncoderError
from ..kv_cache import KeyValues
from ..transformer import LAYERS, SIZES, attend_on, rotate
from .vocabulary import SIZE

__all__ = ["MEDIUM", "AriaConfig", "AriaTransformer"]

ROPE_BASE = 500_000.0
# Every id of the tokenizer has a row; with fewer positions there is no room for a prompt and what follows.
LEAST = {"vocabulary": SIZE, "positions": 64}


@dataclass(frozen=True)
class AriaConfig:
    """Size of an `AriaTransformer`.

    Attributes
    ----------
    width : size of the residual stream
    heads : attention heads
    layers : number of blocks
    hidden : width of the feed-forward layers
    vocabulary : number of ids
    positions : longest sequence
    embedding : length of a vector, None without a head for embedding
    language : whether there is a head for the next id
    """

    width: int
    heads: int
    layers: int
    hidden: int
    vocabulary: int
    positions: int = 8_192
    embedding: int | None = None
    language: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "heads", "layers", "hidden", "vocabulary", "positions", "embedding"):
            value, least = getattr(self, name), LEAST.get(name, 1)
            most = LAYERS if name == "layers" else SIZES
            if name == "embedding" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise EncoderError(
                    f"Aria's {name} must be a whole number from {least:,} to {most:,}, not {value!r}"
                )
        if not isinstance(self.language, bool):
            raise EncoderError(f"Aria's language must be true or false, not {self.language!r}")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise EncoderError(f"{self.heads} heads do not divide a width of {self.width} into even parts")

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Self:
        """Settings as `dataclasses.asdict` gives them; EncoderError if they do not fit."""
        known = {field.name: field.default for field in fields(cls)}
        for name in settings:
            if name not in known:
                raise EncoderError(f"{name} is no setting of Aria's model")
        for name, usual in known.items():
            if usual is MISSING and name not in settings:
                raise EncoderError(f"Aria's {name} is not stated")
        return cls(**settings)


# The released models; that for language has `embedding` None and `language` True.
MEDIUM = AriaConfig(1_536, 24, 16, 6_144, 17_727, embedding=512)


class _Block(nn.Module):
    def __init__(self, config: AriaConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.hidden
        self.heads = config.heads
        self.mixed_qkv = nn.Linear(width, 3 * width, bias=False)
        self.att_proj_linear = nn.Linear(width, width, bias=False)
        self.ff_gate_proj = nn.Linear(width, hidden, bias=False)
        self.ff_up_proj = nn.Linear(width, hidden, bias=False)
        self.ff_down_proj = nn.Linear(hidden, width, bias=False)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], past: KeyValues | None) -> Tensor:
        batch, length, width = x.shape
        mixed = self.mixed_qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        query, key = rotate(query, turn), rotate(key, turn)
        if past is None:
            heard = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            heard = attend_on(query, key, value, past)
        x = x + self.att_proj_linear(heard.transpose(1, 2).reshape(batch, length, width))
        inner = self.norm2(x)
        gated = functional.silu(self.ff_gate_proj(inner)) * self.ff_up_proj(inner)
        out: Tensor = x + self.ff_down_proj(gated)
        return out


class _Stack(nn.Module):
    """All but the head, which the released weights keep under the name `model`."""

    def __init__(self, config: AriaConfig) -> None:
        super().__init__()
        self.config = config
        self.tok_embeddings = nn.Embedding(config.vocabulary, config.width)
        self.encode_layers = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.out_layer_norm = nn.LayerNorm(config.width)


class AriaTransformer(nn.Module):
    """Ids [b, n] to hidden states, and from those to vectors or to the next id."""

    def __init__(self, config: AriaConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _Stack(config)
        if config.embedding is not None:
            self.emb_head = nn.Linear(config.width, config.embedding, bias=False)
        if config.language:
            self.lm_head = nn.Linear(config.width, config.vocabulary, bias=False)
        self._turns: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

    def forward(self, ids: Tensor, past: Sequence[KeyValues] | None = None) -> Tensor:
        """Hidden states [b, n, width] after the final norm.

        `past` holds the keys and values of the ids before these, one entry a layer, and is extended.

        Raises
        ------
        ValueError
            If the sequence is longer than `positions`.
        """
        first = past[0].length if past else 0
        if first + ids.shape[1] > self.config.positions:
            raise ValueError(f"a sequence of more than {self.config.positions:,} ids")
        x = self.model.tok_embeddings(ids.to(self.model.tok_embeddings.weight.device))
        for number, layer in enumerate(self.model.encode_layers):
            device = next(layer.parameters()).device
            x = x.to(device, non_blocking=True)
            cos, sin = self._turn(device, x.dtype)
            turn = cos[first : first + ids.shape[1]], sin[first : first + ids.shape[1]]
            x = layer(x, turn, past[number] if past else None)
        hidden: Tensor = self.model.out_layer_norm(x.to(self.model.out_layer_norm.weight.device))
        return hidden

    def _turn(self, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and sines of all positions [positions, head / 2], as the reference counts them."""
        if (device, dtype) not in self._turns:
            size = self.config.width // self.config.heads
            frequency = 1.0 / ROPE_BASE ** (torch.arange(0, size, 2).float() / size)
            angles = torch.outer(torch.arange(self.config.positions), frequency)
            with torch.inference_mode(False):  # training may use them later
                turn = angles.cos().to(device, dtype), angles.sin().to(device, dtype)
            self._turns[device, dtype] = turn
        return self._turns[device, dtype]

    def without_heads(self) -> Self:
        """This very model, without what it does with its states."""
        for head in ("emb_head", "lm_head"):
            if hasattr(self, head):
                delattr(self, head)
        self.config = replace(self.config, embedding=None, language=False)
        return self

    def vectors(self, ids: Tensor, ends: Tensor) -> Tensor:
        """Vectors [b, embedding] in float32 of sequences [b, n] whose last ids stand at `ends` [b]."""
        hidden = self.forward(ids)
        rows = torch.arange(len(ids), device=hidden.device)
        vectors: Tensor = self.emb_head(hidden[rows, ends.to(hidden.device)])
        return vectors.float()

    def next_logits(self, hidden: Tensor) -> Tensor:
        """Logits [..., vocabulary] in float32 of the id behind each state [..., width]."""
        logits: Tensor = self.lm_head(hidden)
        return logits.float()

    def caches(self, rows: int, length: int) -> list[KeyValues]:
        """Empty keys and values for `rows` sequences of at most `length` ids."""
        size = self.config.width // self.config.heads
        caches = []
        for layer in self.model.encode_layers:
            weight = next(layer.parameters())
            caches.append(
                KeyValues(rows, self.config.heads, length, size, device=weight.device, dtype=weight.dtype)
            )
        return caches
