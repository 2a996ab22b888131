"""Attention of tokens to tokens, by name. Letters: B sentences, T tokens, H width, N heads."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from mtl.layers.attention import KeyValueAttention, MultiHeadAttention, SelfAttention

TokenAttention: TypeAlias = Literal[
    "additive", "concat", "multiplicative", "scaled", "key_value", "multi_head"
]
TokenAttentionLayer: TypeAlias = SelfAttention | KeyValueAttention | MultiHeadAttention


def token_attention(name: TokenAttention, in_features: int, window: int) -> TokenAttentionLayer:
    """Return a layer over states by name: `layer(x, mask)` is contexts and weights.

    Args:
        name: `key_value`, `multi_head`, or the score of a `SelfAttention`.
        in_features: Width H of the hidden states.
        window: How many tokens `key_value` looks back.
    """
    if name == "key_value":
        return KeyValueAttention(in_features, window=window)
    if name == "multi_head":
        return MultiHeadAttention(in_features)
    return SelfAttention(in_features, score=name)


def token_weights(layer: TokenAttentionLayer, x: Tensor, mask: Tensor) -> Tensor:
    """Return how much each token looks at each other one, `[B, N, T, T]`.

    Rows of real tokens sum to one, but for those that see nothing, such as the first token of
    `key_value`; rows and columns of padding are zero. N is 1 for all layers but `multi_head`.

    Args:
        layer: What `token_attention` gave.
        x: The states, `[B, T, H]`.
        mask: `[B, T]` bool, True on real tokens, which come first.
    """
    weights: Tensor = layer(x, mask)[1]
    if isinstance(layer, KeyValueAttention):
        weights = _placed(weights)
    if weights.ndim == 3:
        weights = weights.unsqueeze(1)
    return weights.masked_fill(~mask[:, None, :, None], 0)


def _placed(weights: Tensor) -> Tensor:
    """Return `[B, T, T]`, given the weights `[B, T, L]` of the L tokens before each."""
    batch, length, window = weights.shape
    rows, places = (torch.arange(n, device=weights.device) for n in (length, window))
    columns = (rows.unsqueeze(1) + places).expand_as(weights)  # L to the right
    wide = weights.new_zeros(batch, length, length + window)
    return wide.scatter(2, columns, weights)[..., window:]
