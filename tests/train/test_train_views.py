"""The chain of alterations: each does what it says, and no more than it may."""

from dataclasses import fields

import numpy as np
import pytest

from embedder import CorpusError
from embedder.tokens import to_tokens
from train.augment import Chain, alter, cut, to_batch
from train.corpus import Corpus

PROBABILITIES = [f.name for f in fields(Chain) if "_most" not in f.name and "_least" not in f.name]
NOTHING = dict.fromkeys(PROBABILITIES, 0.0)


def chain(**settings: float) -> Chain:
    return Chain.from_dict({**NOTHING, **settings})


def rows(corpus: Corpus):
    return cut(corpus, [(0, 100), (300, 380), (650, 653)], 120)


def test_a_chain_of_nothing_changes_nothing(corpus: Corpus) -> None:
    tokens, lengths = to_batch(alter(rows(corpus), chain(), np.random.default_rng(0), 120))
    assert lengths.tolist() == [100, 80, 3]
    np.testing.assert_array_equal(tokens[0, :100], to_tokens(corpus.notes(0).slice_notes(0, 100)))
    assert not tokens[1, 80:].any()


def test_each_alteration_alone(corpus: Corpus) -> None:
    plain = rows(corpus)

    def altered(**settings: float):
        return alter(rows(corpus), chain(**settings), np.random.default_rng(3), 240)

    inside = np.isfinite(plain.onset)
    shift = altered(transpose=1.0).pitch[:, :120] - plain.pitch
    assert all(len(set(row[ok])) == 1 for row, ok in zip(shift, inside, strict=True))
    ratio = altered(tempo=1.0).onset[0, 1:100] / np.where(
        plain.onset[0, 1:100] > 0, plain.onset[0, 1:100], np.nan
    )
    assert np.nanmax(ratio) == pytest.approx(np.nanmin(ratio), rel=1e-2)
    assert len(set(altered(flat=1.0).velocity[0, :100])) == 1
    assert 60 < altered(dropout=1.0, dropout_most=0.3).lengths[0] < 100
    cropped = altered(crop=1.0, crop_least=0.5)
    assert 50 <= cropped.lengths[0] < 100
    kept = cropped.pitch[0, : cropped.lengths[0]].tolist()
    whole = plain.pitch[0, :100].tolist()
    assert any(whole[i : i + len(kept)] == kept for i in range(100))
    doubled = altered(doubling=1.0)
    assert doubled.lengths[0] > 100
    assert (np.diff(doubled.onset[0, : doubled.lengths[0]]) >= 0).all()
    one_hand = altered(hand=1.0)
    assert 24 <= one_hand.lengths[0] < 100
    assert one_hand.lengths[2] == 3  # too few notes to lose any


def test_the_chain_gives_the_same_for_the_same_seed(corpus: Corpus) -> None:
    first, second = (to_batch(alter(rows(corpus), Chain(), np.random.default_rng(1), 100)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])


@pytest.mark.parametrize("settings", [{"transpose": 1.5}, {"tempo_most": 0.5}, {"reverb": 1.0}])
def test_settings_that_do_not_fit_are_refused(settings: dict) -> None:
    with pytest.raises(CorpusError):
        Chain.from_dict(settings)
