"""Attention, against its formulas in loops and against torch's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from mtl.layers.attention import (
    AdditiveScore,
    ConcatScore,
    KeyValueAttention,
    MultiHeadAttention,
    MultiplicativeScore,
    QueryPooling,
    ScaledDotScore,
    SelfAttention,
    SelfAttentionPooling,
    make_score,
    overlap,
)

Formula = Callable[[Tensor, Tensor], Tensor]
Make = Callable[[int], nn.Module]
SEEDED = torch.Generator().manual_seed(1)
STATES = torch.randn(2, 4, 3, generator=SEEDED).double()
QUERIES = torch.randn(2, 5, 6, generator=SEEDED).double()
MASK = torch.tensor([[True, True, True, False], [False] * 4])
LAYERS = {
    "additive": partial(SelfAttention, score="additive"),
    "key_value": partial(KeyValueAttention, window=2),
    "multi_head": partial(MultiHeadAttention, num_heads=2),
    "query": partial(QueryPooling, score="multiplicative", hops=2),
    "self": partial(SelfAttentionPooling, size=4, hops=2),
}
layers = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)


def each_pair(states: Tensor, queries: Tensor, formula: Formula) -> Tensor:
    """A formula of one state and one query, for all pairs of a text: `[B, Q, T]`."""
    texts = zip(states, queries, strict=True)
    scores = [[[formula(h, s).item() for h in own] for s in asked] for own, asked in texts]
    return torch.tensor(scores, dtype=states.dtype)


def test_both_additive_forms_are_one_function_with_split_weights() -> None:
    split, joint = AdditiveScore(3, 6, 7).double(), ConcatScore(3, 6, 7).double()
    weights = {
        "joint.weight": torch.cat([split.state.weight, split.query.weight], dim=1),
        "joint.bias": split.query.bias,
        "output.weight": split.output.weight,
    }
    joint.load_state_dict(weights)
    torch.testing.assert_close(joint(STATES, QUERIES), split(STATES, QUERIES))


def test_bahdanau_2015_additive() -> None:
    score = AdditiveScore(3, 6, 7).double()
    w1, w2, b, v = score.state.weight, score.query.weight, score.query.bias, score.output.weight[0]
    expected = each_pair(STATES, QUERIES, lambda h, s: v @ torch.tanh(w1 @ h + w2 @ s + b))
    torch.testing.assert_close(score(STATES, QUERIES), expected)


def test_luong_2015_multiplicative() -> None:
    score = MultiplicativeScore(3, 6).double()
    expected = each_pair(STATES, QUERIES, lambda h, s: h @ score.query.weight @ s)
    torch.testing.assert_close(score(STATES, QUERIES), expected)


def test_vaswani_2017_scaled_dot_product() -> None:
    queries = QUERIES[..., :3]
    expected = each_pair(STATES, queries, lambda h, s: h @ s / 3**0.5)
    torch.testing.assert_close(ScaledDotScore()(STATES, queries), expected)


def test_an_unknown_score_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected additive, concat, multiplicative or scaled"):
        make_score("dot", 3)


def test_lin_2017_equation_6_means_use_a_softmax_of_two_layers() -> None:
    layer, x = SelfAttentionPooling(3, size=4, hops=2).double(), STATES[0]
    a = torch.softmax(layer.output.weight @ torch.tanh(layer.inner.weight @ x.T), dim=1)
    means, weights = layer(x.unsqueeze(0), torch.ones(1, 4, dtype=torch.bool))
    torch.testing.assert_close(weights[0], a)
    torch.testing.assert_close(means[0], a @ x)


def test_lin_2017_the_penalty_is_the_squared_frobenius_norm() -> None:
    a = torch.rand(2, 3, 5).double()
    norms = [torch.linalg.matrix_norm(m @ m.T - torch.eye(3)) ** 2 for m in a]
    torch.testing.assert_close(overlap(a), torch.stack(norms))
    assert overlap(torch.eye(3).unsqueeze(0)).item() == 0  # each hop at a token of its own
    assert overlap(torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])).item() == 2  # both at the same


def test_daniluk_2017_a_token_attends_to_earlier_values_by_keys() -> None:
    layer, x = KeyValueAttention(5, window=2).double(), torch.randn(1, 4, 5).double()
    keys, values = x[0, :, :2], x[0, :, 2:]
    contexts, weights = layer(x, torch.ones(1, 4, dtype=torch.bool))
    assert not contexts[0, 0].any()
    for t in (1, 2, 3):
        past = range(max(0, t - 2), t)
        inner = [layer.state.weight @ keys[i] + layer.query(keys[t]) for i in past]
        a = torch.softmax(torch.stack([layer.output.weight[0] @ m.tanh() for m in inner]), dim=0)
        torch.testing.assert_close(contexts[0, t], a @ values[list(past)])
        torch.testing.assert_close(weights[0, t, -len(past) :], a)


def test_key_value_attention_never_looks_ahead() -> None:
    layer, x = KeyValueAttention(4, window=3), torch.randn(1, 6, 4)
    changed = torch.cat([x[:, :4], torch.randn(1, 2, 4)], dim=1)
    mask = torch.ones(1, 6, dtype=torch.bool)
    assert torch.equal(layer(changed, mask)[0][:, :4], layer(x, mask)[0][:, :4])


def test_key_value_attention_needs_a_key_and_a_value() -> None:
    with pytest.raises(ValueError, match="in_features: expected at least 2, got 1"):
        KeyValueAttention(1)


def test_multi_head_attention_equals_that_of_torch() -> None:
    ours, theirs = MultiHeadAttention(6, num_heads=3), nn.MultiheadAttention(6, 3, batch_first=True)
    nn.init.zeros_(theirs.in_proj_bias)
    theirs.in_proj_weight.data.copy_(ours.project.weight)
    theirs.out_proj.load_state_dict(ours.output.state_dict())
    x, mask = torch.randn(2, 4, 6), torch.tensor([[True] * 4, [True, True, False, False]])
    expected = theirs(x, x, x, key_padding_mask=~mask, average_attn_weights=False)
    torch.testing.assert_close(ours(x, mask), expected)


@layers
def test_weights_sum_to_one_or_there_is_nothing_to_look_at(make: Make) -> None:
    sums = make(3)(STATES.float(), MASK)[1].sum(-1)
    torch.testing.assert_close(sums, (sums > 0).float())
    assert sums[0].any()


@pytest.mark.parametrize("name", ["additive", "multi_head", "query", "self"])
def test_padding_has_no_weight(name: str) -> None:
    weights = LAYERS[name](3)(STATES.float(), MASK)[1]
    assert weights[0, ..., :3].all()
    assert not weights[0, ..., 3].any()
    assert not weights[1].any()


@layers
def test_a_sentence_without_tokens_has_finite_contexts_and_gradients(make: Make) -> None:
    x = STATES.float().requires_grad_()
    contexts, _ = make(3)(x, MASK)
    contexts.sum().backward()
    assert contexts.isfinite().all()
    assert x.grad.isfinite().all()
