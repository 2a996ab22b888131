"""Token-to-token attention by name. Letters: B sentences, T tokens, H width, N heads."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from mtl.layers.attention import KeyValueAttention, MultiHeadAttention, SelfAttention

TokenAttention: TypeAlias = Literal[
    "additive", "concat", "multiplicative", "scaled", "key_value", "multi_head"
]
BOTH_SIDES = ("additive", "concat", "multiplicative", "scaled", "multi_head")
"""The kinds that read the tokens on both sides, unless they are causal."""
TokenAttentionLayer: TypeAlias = SelfAttention | KeyValueAttention | MultiHeadAttention


def token_attention(
    name: TokenAttention,
    in_features: int,
    window: int | None,
    *,
    causal: bool = False,
) -> TokenAttentionLayer:
    """Return the attention layer of this name; `layer(x, mask)` returns contexts and weights.

    Args:
        name: `key_value`, `multi_head`, or the score of a `SelfAttention`.
        in_features: Width H of the hidden states.
        window: The number of previous tokens that `key_value` and causal layers attend to; None:
            all, for layers other than `key_value`.
        causal: Whether tokens attend to the tokens before them alone, as with `key_value`.
    """
    if name == "key_value":
        assert window is not None
        return KeyValueAttention(in_features, window=window)
    window = window if causal else None
    if name == "multi_head":
        return MultiHeadAttention(in_features, causal=causal, window=window)
    return SelfAttention(in_features, score=name, causal=causal, window=window)


def token_weights(layer: TokenAttentionLayer, x: Tensor, mask: Tensor) -> Tensor:
    """Return the attention weights of each token (row) on each token (column), `[B, N, T, T]`.

    The rows of real tokens sum to one, except for tokens that attend to nothing, such as the first
    token of `key_value`. Rows and columns of padding are zero. N is 1 except for `multi_head`.

    Args:
        layer: A layer from `token_attention`.
        x: The states, `[B, T, H]`.
        mask: `[B, T]` bool, True on real tokens, which come first.
    """
    weights: Tensor = layer(x, mask)[1]
    if isinstance(layer, KeyValueAttention):
        weights = _to_square(weights)
    if weights.ndim == 3:
        weights = weights.unsqueeze(1)
    return weights.masked_fill(~mask[:, None, :, None], 0)


def _to_square(weights: Tensor) -> Tensor:
    """Return `[B, T, T]`, given the weights `[B, T, L]` of the L tokens before each token."""
    batch, length, window = weights.shape
    rows, offsets = (torch.arange(n, device=weights.device) for n in (length, window))
    # Shifted right by L, so that positions before the text fall into columns that are cut off.
    columns = (rows.unsqueeze(1) + offsets).expand_as(weights)
    wide = weights.new_zeros(batch, length, length + window)
    return wide.scatter(2, columns, weights)[..., window:]
