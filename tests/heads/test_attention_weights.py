"""Where heads look: weights of the tokens, and of tokens for each other."""

from __future__ import annotations

import pytest
import torch

from mtl.heads import (
    HEADS,
    AttentionClassifier,
    CRFTagger,
    Head,
    Pairs,
    PoolClassifier,
    SoftmaxTagger,
)
from tests.contracts.variants import prefix_mask, shaken, with_garbage

LENGTHS = [4, 1, 3, 0]
MASK = prefix_mask(LENGTHS)
NAMES = ["additive", "concat", "multiplicative", "scaled", "key_value", "multi_head"]
LABELS = ["O", "B-X", "I-X"]


def states() -> torch.Tensor:
    return torch.randn(4, 4, 6).double()


def looking() -> list[Head]:
    """Heads of every kind of attention."""
    options = [{"attention": name, "window": 2 if name == "key_value" else 5} for name in NAMES]
    tagger = [SoftmaxTagger(6, LABELS, **own) for own in options]
    pool = [PoolClassifier(6, LABELS, **own) for own in options]
    return [shaken(head) for head in (AttentionClassifier(6, LABELS, hops=3), *tagger, *pool)]


def test_weights_of_what_is_looked_at_sum_to_one() -> None:
    for head in looking():
        sums = head.attention_weights(states(), MASK).sum(-1)
        real = MASK.unsqueeze(1) if sums.ndim == 3 else MASK.any(1, keepdim=True)
        layer = getattr(head, "attention", None)
        if type(layer).__name__ == "KeyValueAttention":  # there are no tokens before the first
            real = real & (torch.arange(4) > 0)
        torch.testing.assert_close(sums, real.expand(sums.shape).double())


def test_padding_is_never_looked_at_and_changes_nothing() -> None:
    for head in looking():
        hidden = states()
        weights = head.attention_weights(hidden, MASK)
        other = head.attention_weights(with_garbage(hidden, MASK), MASK)
        torch.testing.assert_close(other, weights)
        assert not weights.movedim(-1, 1)[~MASK].any()


def test_neighbours_change_nothing() -> None:
    for head in looking():
        hidden = states()
        weights = head.attention_weights(hidden, MASK)
        alone = head.attention_weights(hidden[2:3, :3], MASK[2:3, :3])
        own = weights[2:3, ..., :3, :3] if weights.ndim == 4 else weights[2:3, :, :3]
        torch.testing.assert_close(alone, own)


@pytest.mark.parametrize("name", ["additive", "key_value"])
def test_contexts_are_means_under_the_weights(name: str) -> None:
    head, hidden = shaken(CRFTagger(6, LABELS, attention=name)), states()
    values = hidden[..., 3:] if name == "key_value" else hidden
    weights = head.attention_weights(hidden, MASK)[0, 0]
    contexts = head.attention(hidden, MASK)[0][0]
    torch.testing.assert_close(contexts, weights @ values[0])


def test_each_of_several_heads_has_its_matrix() -> None:
    head, hidden = shaken(SoftmaxTagger(6, LABELS, attention="multi_head")), states()
    found = head.attention_weights(hidden, MASK)
    assert torch.equal(found[0], head.attention(hidden, MASK)[1][0])
    assert found.shape == (4, 4, 4, 4)


def test_key_values_look_back_as_far_as_the_window() -> None:
    head = shaken(SoftmaxTagger(6, LABELS, attention="key_value", window=2))
    weights = head.attention_weights(states(), MASK)[0, 0]
    distance = torch.arange(4).unsqueeze(1) - torch.arange(4)
    assert torch.equal(weights > 0, (distance > 0) & (distance <= 2))


def test_of_pairs_both_sentences_are_looked_at() -> None:
    head = shaken(AttentionClassifier(6, Pairs(LABELS), hops=2))
    assert head.attention_weights(states(), MASK).shape == (4, 2, 4)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_heads_without_attention_have_none(name: str) -> None:
    weights = HEADS.find(name)(6, LABELS).attention_weights(states().float(), MASK)
    assert (weights is None) == (name not in ("attention", "hierarchical"))


@pytest.mark.parametrize("name", NAMES)
def test_taggers_can_look_back_with_every_attention(name: str) -> None:
    options = {} if name == "key_value" else {"look_back": True}
    head = shaken(SoftmaxTagger(6, LABELS, attention=name, **options))
    weights = head.attention_weights(states(), MASK)[0]  # of a text of four tokens
    assert not weights.triu().any()
    sums = weights.sum(-1)
    torch.testing.assert_close(sums, torch.tensor([0, 1, 1, 1]).double().expand_as(sums))


def test_the_values_of_a_token_can_stand_for_its_state() -> None:
    """Daniluk et al. (2017) join the context and v; keys serve for the scores alone."""
    head = shaken(SoftmaxTagger(6, LABELS, attention="key_value", values_alone=True))
    hidden = states()
    contexts = head.attention(hidden, MASK)[0]
    expected = head.output(torch.cat([hidden[..., 3:], contexts], dim=2))
    torch.testing.assert_close(head.scores(hidden, MASK), expected)
    assert head.output.in_features == 6


@pytest.mark.parametrize(
    "options",
    [
        {"look_back": True},
        {"attention": "key_value", "look_back": True},
        {"attention": "scaled", "values_alone": True},
    ],
)
def test_options_of_another_attention_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="has no effect unless attention is"):
        SoftmaxTagger(6, LABELS, **options)
