"""Attention of language models to preceding tokens. Letters: B texts, T tokens, H width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtl.layers.attention import KeyValueAttention
from mtl.layers.token_attention import TokenAttention, token_attention


class LookBack(nn.Module):
    """h*_t = tanh(W [c_t; h_t]), with the context c_t of preceding states (Daniluk et al. 2017).

    With "key_value", h = [k; v], the context is a mean of values, and h*_t = tanh(W [c_t; v_t]).

    Args:
        in_features: Width H of the states and of the outputs.
        attention: How states are compared; see `token_attention`.
        window: The number of preceding tokens that a token attends to.
    """

    def __init__(self, in_features: int, attention: TokenAttention, window: int) -> None:
        super().__init__()
        self.attention = token_attention(attention, in_features, window, causal=True)
        own = (
            self.attention.values if isinstance(self.attention, KeyValueAttention) else slice(None)
        )
        self.own = own
        width = self.attention.out_features + len(range(in_features)[own])
        self.join = nn.Linear(width, in_features, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs `[B, T, H]` and the attention weights, given `x [B, T, H]`."""
        contexts, weights = self.attention(x, mask)
        return self.join(torch.cat([contexts, x[..., self.own]], dim=2)).tanh(), weights
