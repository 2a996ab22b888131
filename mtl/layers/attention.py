"""Attention. Letters: B sentences, T tokens, Q queries, H width of states, S width of queries.

A score module compares each state with each query. An attention layer normalises the scores over
the real tokens to weights that sum to one, and returns the weighted means and the weights.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Score = Literal["additive", "concat", "multiplicative", "scaled"]


class AdditiveScore(nn.Module):
    """vᵀ tanh(W₁ h + W₂ s + b), with separate state and query matrices (Bahdanau et al. 2015).

    Args:
        in_features: Width H of the states.
        query_features: Width S of the queries.
        size: Width of the inner layer.
    """

    def __init__(self, in_features: int, query_features: int, size: int) -> None:
        super().__init__()
        self.state = nn.Linear(in_features, size, bias=False)
        self.query = nn.Linear(query_features, size)
        self.output = nn.Linear(size, 1, bias=False)

    def forward(self, states: Tensor, queries: Tensor) -> Tensor:
        """Return `[B, Q, T]`, given states `[B, T, H]` and queries `[B, Q, S]`."""
        # Projecting before the broadcast costs T + Q products rather than T · Q.
        inner = self.query(queries).unsqueeze(2) + self.state(states).unsqueeze(1)  # [B, Q, T, ·]
        scores: Tensor = self.output(inner.tanh()).squeeze(3)
        return scores


class ConcatScore(nn.Module):
    """vᵀ tanh(W [h; s] + b): additive attention with one matrix (Bahdanau et al. 2015).

    It computes the same function as `AdditiveScore` with W = [W₁ W₂]; `AdditiveScore` is faster.

    Args:
        in_features: Width H of the states.
        query_features: Width S of the queries.
        size: Width of the inner layer.
    """

    def __init__(self, in_features: int, query_features: int, size: int) -> None:
        super().__init__()
        self.joint = nn.Linear(in_features + query_features, size)
        self.output = nn.Linear(size, 1, bias=False)

    def forward(self, states: Tensor, queries: Tensor) -> Tensor:
        """Return `[B, Q, T]`, given states `[B, T, H]` and queries `[B, Q, S]`."""
        shape = (states.shape[0], queries.shape[1], states.shape[1], -1)
        pairs = [states.unsqueeze(1).expand(shape), queries.unsqueeze(2).expand(shape)]
        scores: Tensor = self.output(self.joint(torch.cat(pairs, dim=3)).tanh()).squeeze(3)
        return scores


class MultiplicativeScore(nn.Module):
    """hᵀ W s (Luong et al. 2015).

    Args:
        in_features: Width H of the states.
        query_features: Width S of the queries.
    """

    def __init__(self, in_features: int, query_features: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_features, in_features, bias=False)

    def forward(self, states: Tensor, queries: Tensor) -> Tensor:
        """Return `[B, Q, T]`, given states `[B, T, H]` and queries `[B, Q, S]`."""
        scores: Tensor = self.query(queries) @ states.mT
        return scores


class ScaledDotScore(nn.Module):
    """hᵀ s / √H, for queries as wide as the states (Vaswani et al. 2017)."""

    def forward(self, states: Tensor, queries: Tensor) -> Tensor:
        """Return `[B, Q, T]`, given states `[B, T, H]` and queries `[B, Q, H]`."""
        return queries @ states.mT / math.sqrt(states.shape[2])


def make_score(score: Score, features: int) -> nn.Module:
    """Return the score module of this name for states and queries of width `features`.

    Raises:
        ValueError: The name is unknown.
    """
    if score == "additive":
        return AdditiveScore(features, features, features)
    if score == "concat":
        return ConcatScore(features, features, features)
    if score == "multiplicative":
        return MultiplicativeScore(features, features)
    if score == "scaled":
        return ScaledDotScore()
    raise ValueError(f"score: expected additive, concat, multiplicative or scaled, got {score!r}")


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Return the softmax over the last dimension, restricted to positions where the mask is True.

    Other positions get a weight of zero. Rows without any True position are all zero.

    Args:
        scores: `[…, T]`.
        mask: bool, broadcastable to the shape of the scores.
    """
    scores = scores.masked_fill(~mask, -torch.inf)
    # A softmax over −∞ alone is NaN, and so is its gradient: such rows are set to 0 first.
    weights = scores.masked_fill(~mask.any(-1, keepdim=True), 0).softmax(-1)
    return weights.masked_fill(~mask, 0)


def earlier(scores: Tensor, window: int | None) -> Tensor:
    """Return whether a column of scores `[…, T, T]` precedes its row, `[T, T]` bool.

    Args:
        scores: The scores of tokens (rows) for tokens (columns).
        window: The largest distance; None: any distance.
    """
    positions = torch.arange(scores.shape[-1], device=scores.device)
    distance = positions.unsqueeze(1) - positions
    return (distance > 0) & (distance <= (window or scores.shape[-1]))


class QueryPooling(nn.Module):
    """Attention pooling with learned queries, one mean of the states per query (Yang et al. 2016).

    Args:
        in_features: Width H of the states.
        score: How states and queries are compared.
        hops: The number Q of queries.
    """

    def __init__(self, in_features: int, *, score: Score, hops: int = 1) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, hops, in_features))
        self.score = make_score(score, in_features)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means `[B, Q, H]` and the weights `[B, Q, T]`, given `x [B, T, H]`."""
        weights = masked_softmax(self.score(x, self.queries), mask.unsqueeze(1))
        return weights @ x, weights


class SelfAttentionPooling(nn.Module):
    """Structured self-attention: Q weighted means of the states (Lin et al. 2017).

    A = softmax(V tanh(W Hᵀ)), M = A H. The penalty `overlap(A)` keeps the means different.

    Args:
        in_features: Width H of the states.
        size: Width of the inner layer.
        hops: The number Q of means.
    """

    def __init__(self, in_features: int, *, size: int, hops: int = 1) -> None:
        super().__init__()
        self.inner = nn.Linear(in_features, size, bias=False)
        self.output = nn.Linear(size, hops, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means `[B, Q, H]` and the weights `[B, Q, T]`, given `x [B, T, H]`."""
        weights = masked_softmax(self.output(self.inner(x).tanh()).mT, mask.unsqueeze(1))
        return weights @ x, weights


def overlap(weights: Tensor) -> Tensor:
    """Return ‖A Aᵀ − I‖²_F of each sentence, `[B]`, given weights `[B, Q, T]` (Lin et al. 2017).

    It is zero if each query attends to a single token, and no two queries to the same one.
    """
    identity = torch.eye(weights.shape[1], dtype=weights.dtype, device=weights.device)
    return (weights @ weights.mT - identity).square().sum((1, 2))


class SelfAttention(nn.Module):
    """Self-attention with a single head: each state is the query over all states of its sentence.

    The score decides the source: see `AdditiveScore`, `ConcatScore`, `MultiplicativeScore` and
    `ScaledDotScore`.

    Args:
        in_features: Width H of the states.
        score: How two states are compared.
        causal: Whether a token attends to the tokens before it alone. The first token has a context
            of zeros.
        window: The number of preceding tokens that a causal token attends to; None: all.
    """

    def __init__(
        self, in_features: int, *, score: Score, causal: bool = False, window: int | None = None
    ) -> None:
        super().__init__()
        self.out_features = in_features
        self.score = make_score(score, in_features)
        self.causal = causal
        self.window = window

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return contexts `[B, T, H]` and weights `[B, T, T]`, given `x [B, T, H]`."""
        scores = self.score(x, x)
        seen = mask.unsqueeze(1)
        if self.causal:
            seen = seen & earlier(scores, self.window)
        weights = masked_softmax(scores, seen)
        return weights @ x, weights


class KeyValueAttention(nn.Module):
    """Attention to the previous L tokens, with separate keys and values (Daniluk et al. 2017).

    [k; v] = h, a_t = softmax_i(wᵀ tanh(W₁ k_i + W₂ k_t + b)), c_t = Σ_i a_ti v_i, for i from t−L to
    t−1. It never attends to later tokens, so it suits language models. The first token has c = 0.

    Args:
        in_features: Width H of the states, at least 2.
        window: The number L of previous tokens.

    Raises:
        ValueError: `in_features` is below 2.
    """

    def __init__(self, in_features: int, *, window: int = 5) -> None:
        super().__init__()
        if in_features < 2:
            raise ValueError(f"in_features: expected at least 2, got {in_features}")
        keys = in_features // 2
        self.keys = keys
        self.values = slice(keys, None)
        """The part of a state that contexts are means of."""
        self.out_features = in_features - keys
        self.window = window
        self.state = nn.Linear(keys, keys, bias=False)
        self.query = nn.Linear(keys, keys)
        self.output = nn.Linear(keys, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return contexts and attention weights.

        Args:
            x: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens. It is not used: real tokens come first, so
                none attends to padding.

        Returns:
            The contexts `[B, T, H - H // 2]` and the weights `[B, T, L]`, from token t−L to t−1.
        """
        keys, values = x[..., : self.keys], x[..., self.values]
        inner = self._before(self.state(keys)) + self.query(keys).unsqueeze(2)  # [B, T, L, ·]
        positions, offsets = (torch.arange(n, device=x.device) for n in (x.shape[1], self.window))
        # Early tokens have fewer than L predecessors; the zeros before the text get no weight.
        exists = positions.unsqueeze(1) + offsets >= self.window  # [T, L]
        weights = masked_softmax(self.output(inner.tanh()).squeeze(3), exists)
        return (weights.unsqueeze(2) @ self._before(values)).squeeze(2), weights

    def _before(self, x: Tensor) -> Tensor:
        """Return the L vectors before each token, `[B, T, L, ·]`, padded with zeros."""
        padded = functional.pad(x, (0, 0, self.window, 0))
        return padded.unfold(1, self.window, 1)[:, : x.shape[1]].mT


class MultiHeadAttention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017).

    c = W_o [softmax(Q_n K_nᵀ / √d) V_n]_n, with d = ⌈H / N⌉

    Args:
        in_features: Width H of the states.
        num_heads: The number N of attention heads. It need not divide H.
        causal: Whether a token attends to the tokens before it alone.
        window: The number of preceding tokens that a causal token attends to; None: all.
    """

    def __init__(
        self,
        in_features: int,
        *,
        num_heads: int = 4,
        causal: bool = False,
        window: int | None = None,
    ) -> None:
        super().__init__()
        self.causal = causal
        self.window = window
        self.out_features = in_features
        self.num_heads = num_heads
        width = -(-in_features // num_heads)  # rounded up, so that any number of heads works
        self.project = nn.Linear(in_features, 3 * num_heads * width, bias=False)
        self.output = nn.Linear(num_heads * width, in_features)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return contexts `[B, T, H]` and weights `[B, N, T, T]`, given `x [B, T, H]`."""
        parts = self.project(x).unflatten(2, (3, self.num_heads, -1))
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)  # each [B, N, T, d]
        scores = queries @ keys.mT / math.sqrt(keys.shape[3])
        seen = mask[:, None, None]
        if self.causal:
            seen = seen & earlier(scores, self.window)
        weights = masked_softmax(scores, seen)
        contexts = (weights @ values).transpose(1, 2).flatten(2)
        return self.output(contexts), weights
