"""The transformer over notes: pre-norm, rotary positions, one position a note.

Attention is causal unless the configuration says otherwise, so the same weights predict the next note
(pretraining, continuation) and describe what was heard (embedding), and padding on the right needs no mask.
A model that hears both directions (masked modelling, melody) has to be told how long its rows are.

Sources: rotary positions, Su et al. 2021 (arXiv 2104.09864), turned in halves of each head as in Aria
(arXiv 2506.23869); squared ReLU, So et al. 2021 (arXiv 2109.08668), chosen over SwiGLU because it keeps
the share of matrix work high on CPUs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .core.errors import EncoderError
from .kv_cache import KeyValues
from .tokens import ATTRIBUTES

__all__ = ["ModelConfig", "NoteReader", "NoteTransformer"]

SHORT, SHORT_TRAINED = 512, 256  # notes, up to which attention is plain matrix products on a CPU
LAYERS, SIZES = 1_000, 1_048_576  # at most; what is beyond is a mistake


@dataclass(frozen=True)
class ModelConfig:
    """Size of a `NoteTransformer`.

    Attributes
    ----------
    width : size of the residual stream
    layers : number of blocks
    heads : attention heads; divides `width`
    hidden : width of the feed-forward layers
    positions : longest sequence, in notes
    rope_base : base of the rotary frequencies
    projection : size of the contrastive projection
    pooling : what is projected of a stretch of notes: the "mean" of its states, their "moments", mean and
        standard deviation side by side (statistics pooling of x-vectors, Snyder et al. 2018), or by
        "attention" a mean that each head weighs by the notes (Lin et al. 2017, arXiv 1703.03130)
    causal : whether a note hears only the notes before it
    """

    width: int = 256
    layers: int = 4
    heads: int = 4
    hidden: int = 1024
    positions: int = 2048
    rope_base: float = 10_000.0
    projection: int = 256
    pooling: str = "mean"
    causal: bool = True

    def __post_init__(self) -> None:
        if self.pooling not in ("mean", "moments", "attention"):
            raise EncoderError(f"model setting pooling is mean, moments or attention, not {self.pooling!r}")
        if not isinstance(self.causal, bool):
            raise EncoderError(f"model setting causal is true or false, not {self.causal!r}")
        for name, value in asdict(self).items():
            if name in ("pooling", "causal"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise EncoderError(f"model setting {name} must be a positive number, not {value!r}")
            most = LAYERS if name == "layers" else SIZES
            if name != "rope_base" and (not isinstance(value, int) or value > most):
                raise EncoderError(
                    f"model setting {name} must be a whole number up to {most:,}, not {value!r}"
                )
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise EncoderError("model setting heads must divide width into heads of even size")

    @property
    def pooled(self) -> int:
        """Numbers that a stretch of notes pools to."""
        return self.width * (2 if self.pooling == "moments" else 1)

    @property
    def summed(self) -> int:
        """Numbers that are summed over a stretch of notes before they pool."""
        return self.pooled + (self.heads if self.pooling == "attention" else 0)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> ModelConfig:
        """Settings by name, those that are not given as usual; EncoderError names the first that misfits."""
        known = {field.name for field in fields(cls)}
        for name in settings:
            if name not in known:
                raise EncoderError(f"model setting {name} is none that midikin knows")
        return cls(**settings)


class Block(nn.Module):
    """Attention and feed-forward, each behind a LayerNorm, each added to the stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(config.width)
        self.norm2 = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.attention_out = nn.Linear(config.width, config.width, bias=False)
        self.up = nn.Linear(config.width, config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)

    def start_as_identity(self) -> None:
        """Let the block add nothing at first, so that deep stacks train from the first step."""
        nn.init.zeros_(self.attention_out.weight)
        nn.init.zeros_(self.down.weight)

    def forward(
        self,
        x: Tensor,
        turn: tuple[Tensor, Tensor],
        causal: bool,
        inside: Tensor | None = None,
        past: KeyValues | None = None,
    ) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        query, key = rotate(query, turn), rotate(key, turn)
        if past is None:
            heard = attend(query, key, value, causal, inside)
        else:
            heard = attend_on(query, key, value, past)
        x = x + self.attention_out(heard.transpose(1, 2).reshape(batch, length, width))
        out: Tensor = x + self.down(functional.relu(self.up(self.norm2(x))).square())
        return out


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the two halves of each head [b, h, n, e] by the angles of their positions."""
    cos, sin = turn
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def attend(query: Tensor, key: Tensor, value: Tensor, causal: bool, inside: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention of heads [b, h, n, e]; `inside` [b, n] are the places that may be heard.

    On a CPU, plain matrix products over short sequences take half the time of the fused kernel (measured at
    128 notes in bfloat16), and with gradients a third of it (a fifth at 40).
    """
    length = query.shape[-2]
    mask = None if inside is None else inside[:, None, None]
    if query.device.type != "cpu" or length > (SHORT_TRAINED if torch.is_grad_enabled() else SHORT):
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.contiguous().transpose(-1, -2))
    if causal:
        scores += torch.full((length, length), float("-inf"), dtype=scores.dtype).triu_(1)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return torch.matmul(scores.softmax(-1), value.contiguous())


def attend_on(query: Tensor, key: Tensor, value: Tensor, past: KeyValues) -> Tensor:
    """Causal attention of new places [b, h, n, e] to themselves and to `past`, which is extended."""
    mask = past.mask(query.shape[-2])
    key, value = past.extend(key, value)
    causal = mask is None and query.shape[-2] == key.shape[-2]
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)


class NoteReader(nn.Module):
    """Token rows [b, n, 4] to hidden states [b, n, width]: embeddings, blocks and a last norm, no heads."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = nn.ModuleList(nn.Embedding(size, config.width) for size in ATTRIBUTES.values())
        blocks = [Block(config) for _ in range(config.layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(config.width)
        self.register_buffer("_angles", self._rotary_angles(), persistent=False)
        self.apply(self._initialise)
        for block in blocks:
            block.start_as_identity()

    def _rotary_angles(self) -> Tensor:
        half = self.config.width // self.config.heads // 2
        frequency = self.config.rope_base ** (-torch.arange(half, dtype=torch.float32) / half)
        return torch.arange(self.config.positions, dtype=torch.float32)[:, None] * frequency

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5)

    def forward(
        self, tokens: Tensor, *, lengths: Tensor | None = None, past: Sequence[KeyValues] | None = None
    ) -> Tensor:
        """Hidden states [b, n, width] of token rows [b, n, 4], after the final norm.

        `lengths` [b] says how many notes of each row are music; a causal model does without.
        `past` holds the keys and values of the rows before these, one entry a block, and is extended.
        """
        return self.read(self.embed(tokens), lengths=lengths, past=past)

    def embed(self, tokens: Tensor) -> Tensor:
        """What enters the first block: the sum of the embeddings of a note's attributes, [b, n, width]."""
        columns = tokens.long().unbind(-1)
        x: Tensor = self.embeddings[0](columns[0])
        for embedding, column in zip(self.embeddings[1:], columns[1:], strict=True):
            x = x + embedding(column)
        return x

    def read(
        self,
        x: Tensor,
        *,
        lengths: Tensor | None = None,
        past: Sequence[KeyValues] | None = None,
        layers: list[Tensor] | None = None,
    ) -> Tensor:
        """Hidden states as of `forward`, of inputs [b, n, width] as of `embed`.

        `layers` is a list that takes the stream [b, n, width] behind every block.
        """
        length = x.shape[1]
        inside = None
        if lengths is not None and not self.config.causal and bool((lengths < length).any()):
            inside = torch.arange(length, device=x.device)[None] < lengths[:, None].clamp(min=1)
        first = past[0].length if past else 0
        angles = self.get_buffer("_angles")[first : first + length]
        turn = (angles.cos().to(x.dtype), angles.sin().to(x.dtype))
        for number, block in enumerate(self.blocks):
            x = block(x, turn, self.config.causal, inside, past[number] if past else None)
            if layers is not None:
                layers.append(x)
        hidden: Tensor = self.norm(x)
        return hidden

    def caches(self, rows: int, length: int) -> list[KeyValues]:
        """Empty keys and values for `rows` sequences of at most `length` notes, one entry a block."""
        weight = self.norm.weight
        size = self.config.width // self.config.heads
        return [
            KeyValues(rows, self.config.heads, length, size, device=weight.device, dtype=weight.dtype)
            for _ in self.blocks
        ]


class NoteTransformer(NoteReader):
    """A reader with its two heads: the next note, and the vector of a stretch of notes.

    The next note is predicted attribute by attribute, each given those before it:
    p(gap) p(pitch | gap) p(duration | gap, pitch) p(velocity | gap, pitch, duration).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        sizes = list(ATTRIBUTES.values())
        inner = config.width // 2
        self.next_hidden = nn.ModuleList(nn.Linear(config.width, inner) for _ in sizes)
        # known[i][j] tells the predictor of attribute i the value of attribute j < i.
        self.known = nn.ModuleList(
            nn.ModuleList(nn.Embedding(size, inner) for size in sizes[:i]) for i in range(len(sizes))
        )
        self.next_out = nn.ModuleList(nn.Linear(inner, size) for size in sizes)
        self.project = nn.Sequential(
            nn.Linear(config.pooled, config.width), nn.ReLU(), nn.Linear(config.width, config.projection)
        )
        for head in (self.next_hidden, self.known, self.next_out, self.project):
            head.apply(self._initialise)
        if config.pooling == "attention":
            self.weigh = nn.Linear(config.width, config.heads)
            nn.init.zeros_(self.weigh.weight)  # at first all notes weigh alike
            nn.init.zeros_(self.weigh.bias)

    def next_logits(self, hidden: Tensor, following: Tensor, attribute: int) -> Tensor:
        """Logits [..., size] of one attribute of the next note.

        `hidden` [..., width] are states, `following` [..., 4] the next note's token rows, of which only
        the columns before `attribute` are read.
        """
        inner = self.next_hidden[attribute](hidden)
        tables = self.known[attribute]
        assert isinstance(tables, nn.ModuleList)
        for column, table in enumerate(tables):
            inner = inner + table(following[..., column].long())
        logits: Tensor = self.next_out[attribute](functional.relu(inner))
        return logits

    def sums(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Sums over the first `lengths` [b] notes of each row, [b, summed] float32; stretches add up.

        Of the states, and for pooling by moments of their squares too; by attention of the weighed states,
        and of the weights.
        """
        inside = torch.arange(hidden.shape[1], device=hidden.device)[None] < lengths[:, None]
        if self.config.pooling == "attention":
            # Weights stay within what sums of thousands of them can hold.
            weight = self.weigh(hidden).float().clamp(-8, 8).exp() * inside[..., None]
            parts = hidden.float().view(*hidden.shape[:2], self.config.heads, -1)
            weighed = torch.einsum("bnhe,bnh->bhe", parts, weight).flatten(1)
            return torch.cat((weighed, weight.sum(1)), dim=1)
        if self.config.pooling == "mean":
            return torch.einsum("bnw,bn->bw", hidden, inside.to(hidden.dtype)).float()
        # A variance is a small difference of large sums: bfloat16 would not do.
        hidden, inside = hidden.float(), inside.float()
        squares = torch.einsum("bnw,bn->bw", hidden.square(), inside)
        return torch.cat((torch.einsum("bnw,bn->bw", hidden, inside), squares), dim=1)

    def moments(self, sums: Tensor, counts: Tensor) -> Tensor:
        """What `project` takes [b, pooled], from `sums` over `counts` [b] notes."""
        if self.config.pooling == "attention":
            weighed, weight = sums[:, : self.config.width], sums[:, self.config.width :]
            parts = weighed.reshape(len(sums), self.config.heads, -1)
            return torch.div(parts, weight.clamp(min=1e-6)[..., None]).flatten(1)
        means = sums / counts[:, None].clamp(min=1)
        if self.config.pooling == "mean":
            return means
        mean, square = means.chunk(2, dim=1)
        # The floor keeps the gradient of the root finite where a state never moves.
        deviation = (square - mean.square()).clamp(min=1e-4).sqrt()
        return torch.cat((mean, deviation), dim=1)

    def pool(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """What `project` takes of the first `lengths` [b] notes of each row, [b, pooled] float32."""
        return self.moments(self.sums(hidden, lengths), lengths)
