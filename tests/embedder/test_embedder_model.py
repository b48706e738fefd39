"""The transformer: causality, padding, and that its next-note prediction is a distribution."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from embedder.core.errors import EncoderError
from embedder.tokens import ATTRIBUTES
from embedder.transformer import ModelConfig, NoteTransformer

SMALL = ModelConfig(width=32, layers=2, heads=2, hidden=64, positions=64, projection=16)


@pytest.fixture
def model() -> NoteTransformer:
    torch.manual_seed(0)
    model = NoteTransformer(SMALL).eval()
    for parameter in model.parameters():  # blocks begin as the identity; give them something to do
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def rows(batch: int = 2, length: int = 20) -> torch.Tensor:
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, size - 1, (batch, length)) for size in ATTRIBUTES.values()]
    return torch.from_numpy(np.stack(columns, axis=-1).astype(np.uint8))


@torch.no_grad()
def test_later_notes_do_not_change_earlier_states(model: NoteTransformer) -> None:
    tokens = rows()
    changed = tokens.clone()
    changed[:, 12:] = 3
    assert torch.allclose(model(tokens)[:, :12], model(changed)[:, :12], atol=1e-5)
    assert not torch.allclose(model(tokens)[:, 12:], model(changed)[:, 12:], atol=1e-2)


@torch.no_grad()
def test_padding_does_not_reach_the_pooled_vector(model: NoteTransformer) -> None:
    tokens = rows()
    padded = torch.cat([tokens, torch.zeros(2, 9, 4, dtype=torch.uint8)], dim=1)
    lengths = torch.tensor([20, 20])
    assert torch.allclose(model.pool(model(tokens), lengths), model.pool(model(padded), lengths), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("gradients", [False, True])
def test_a_model_that_hears_both_directions_is_told_where_rows_end(gradients: bool) -> None:
    torch.manual_seed(0)
    model = NoteTransformer(replace(SMALL, causal=False)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    tokens = rows()
    padded = torch.cat([tokens, torch.zeros(2, 9, 4, dtype=torch.uint8)], dim=1)
    changed = tokens.clone()
    changed[:, 12:] = 3
    with torch.set_grad_enabled(gradients):  # the two ways of attention
        plain = model(tokens)
        told = model(padded, lengths=torch.tensor([20, 20]))[:, :20]
        assert torch.allclose(plain, told, atol=1e-4)
        assert not torch.allclose(plain, model(padded)[:, :20], atol=1e-2)
        assert not torch.allclose(plain[:, :12], model(changed)[:, :12], atol=1e-2)
    with pytest.raises(EncoderError, match="causal is true or false"):
        replace(SMALL, causal=1)


@torch.no_grad()
def test_layers_are_kept_when_asked_for(model: NoteTransformer) -> None:
    layers: list[torch.Tensor] = []
    hidden = model.read(model.embed(rows()), layers=layers)
    assert len(layers) == SMALL.layers
    assert torch.equal(model.norm(layers[-1]), hidden)
    assert torch.equal(hidden, model(rows()))


@torch.no_grad()
def test_moments_are_mean_and_deviation_and_stretches_add_up() -> None:
    torch.manual_seed(0)
    model = NoteTransformer(replace(SMALL, pooling="moments")).eval()
    hidden = model(rows())
    lengths = torch.tensor([20, 7])
    pooled = model.pool(hidden, lengths)
    assert pooled.shape == (2, 64)
    for row, length in enumerate(lengths.tolist()):
        of_row = hidden[row, :length]
        expected = torch.cat((of_row.mean(0), of_row.std(0, correction=0)))
        assert torch.allclose(pooled[row], expected, atol=1e-3)
    in_parts = model.sums(hidden[:, :5], torch.tensor([5, 5])) + model.sums(hidden[:, 5:], lengths - 5)
    assert torch.allclose(model.moments(in_parts, lengths), pooled, atol=1e-4)
    assert model.project(pooled).shape == (2, 16)
    with pytest.raises(EncoderError, match="pooling is mean, moments or attention"):
        replace(SMALL, pooling="max")


@torch.no_grad()
def test_attention_pools_by_weights_that_begin_alike_and_stretches_add_up() -> None:
    torch.manual_seed(0)
    model = NoteTransformer(replace(SMALL, pooling="attention")).eval()
    hidden, lengths = model(rows()), torch.tensor([20, 7])
    means = torch.stack([hidden[0].mean(0), hidden[1, :7].mean(0)])
    assert torch.allclose(model.pool(hidden, lengths), means, atol=1e-5)
    model.weigh.weight.normal_(std=0.2)
    pooled = model.pool(hidden, lengths)
    for row, length in enumerate(lengths.tolist()):
        weight = model.weigh(hidden[row, :length]).softmax(0)  # [n, heads]
        parts = hidden[row, :length].unflatten(1, (SMALL.heads, -1))
        assert torch.allclose(pooled[row], (parts * weight[..., None]).sum(0).flatten(), atol=1e-5)
    in_parts = model.sums(hidden[:, :5], torch.tensor([5, 5])) + model.sums(hidden[:, 5:], lengths - 5)
    assert torch.allclose(model.moments(in_parts, lengths), pooled, atol=1e-5)


@torch.no_grad()
def test_an_attribute_is_predicted_from_those_before_it_only(model: NoteTransformer) -> None:
    tokens = rows()
    hidden = model(tokens)
    following = tokens.long()
    for attribute, size in enumerate(ATTRIBUTES.values()):
        logits = model.next_logits(hidden, following, attribute)
        assert logits.shape == (2, 20, size)
        later = following.clone()
        later[..., attribute:] = 0
        assert torch.equal(logits, model.next_logits(hidden, later, attribute))
        if attribute:
            earlier = following.clone()
            earlier[..., attribute - 1] = 1
            assert not torch.allclose(logits, model.next_logits(hidden, earlier, attribute))


@pytest.mark.parametrize("settings", [{"heads": 7}, {"width": 0}, {"layers": "4"}, {"hidden": True}])
def test_sizes_that_do_not_fit_are_refused(settings: dict) -> None:
    with pytest.raises(EncoderError):
        ModelConfig.from_dict(settings)
    with pytest.raises(EncoderError):
        ModelConfig.from_dict({"size": 3})
