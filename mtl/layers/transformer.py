"""A transformer encoder layer. Letters: B sentences, T tokens, H width, N heads, d = H / N."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.errors import OptionError

Activation = Literal["gelu", "relu"]


class TransformerLayer(nn.Module):
    """Transformer encoder layer with post-normalisation (Vaswani et al. 2017), as in BERT.

    Self-attention and a feed-forward block, each followed by a residual connection and layer
    normalisation. Dropout applies to the attention weights and to the output of both blocks
    (Devlin et al. 2019).

    Args:
        in_features: Width H.
        num_heads: The number N of attention heads; must divide H.
        feed_forward: Inner width of the feed-forward block.
        activation: Activation of the feed-forward block.
        epsilon: Constant added to the variance in layer normalisation.
        dropout: Dropout probability.

    Raises:
        ValueError: `num_heads` does not divide `in_features`.
    """

    def __init__(
        self,
        in_features: int,
        *,
        num_heads: int,
        feed_forward: int,
        activation: Activation = "gelu",
        epsilon: float = 1e-12,
        dropout: float = 0.1,
    ) -> None:
        if in_features % num_heads:
            raise OptionError("num_heads", f"expected a divisor of {in_features}, got {num_heads}")
        super().__init__()
        self.num_heads = num_heads
        self.activation = activation
        self.dropout = dropout
        self.project = nn.Linear(in_features, 3 * in_features)
        self.output = nn.Linear(in_features, in_features)
        self.attention_norm = nn.LayerNorm(in_features, eps=epsilon)
        self.widen = nn.Linear(in_features, feed_forward)
        self.narrow = nn.Linear(feed_forward, in_features)
        self.norm = nn.LayerNorm(in_features, eps=epsilon)

    def forward(self, x: Tensor, mask: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return `[B, T, H]`, zero on padding.

        Args:
            x: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens.
            bias: `[N, T, T]`, added to the attention scores before the softmax; None for none.
        """
        x = self.attention_norm(x + self._drop(self.output(self._attend(x, mask, bias))))
        inner = getattr(functional, self.activation)(self.widen(x))
        x = self.norm(x + self._drop(self.narrow(inner)))
        return x.masked_fill(~mask.unsqueeze(2), 0)

    def _attend(self, x: Tensor, mask: Tensor, bias: Tensor | None) -> Tensor:
        parts = self.project(x).unflatten(2, (3, self.num_heads, -1))
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)  # each [B, N, T, d]
        # A softmax over no positions is NaN, so a sentence without tokens attends to its padding.
        seen = (mask | ~mask.any(1, keepdim=True))[:, None, None]
        if bias is not None:
            bias = bias.to(queries.dtype).masked_fill(~seen, -math.inf)
        contexts = functional.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=seen if bias is None else bias,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return contexts.transpose(1, 2).flatten(2)

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class RelativePositionBias(nn.Module):
    """A learned bias of attention scores by the distance of two tokens, in buckets.

    As in T5 (Raffel et al. 2020) and MPNet (Song et al. 2020): half of the buckets are for tokens
    to the left, half for tokens to the right. The first half of each side has one bucket per
    distance, and the others grow logarithmically up to `FARTHEST` tokens.

    Args:
        num_heads: The number N of attention heads.
    """

    BUCKETS = 32
    FARTHEST = 128

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.table = nn.Embedding(self.BUCKETS, num_heads)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, length: int) -> Tensor:
        """Return `[N, T, T]`: the bias of each pair of a query (row) and a key (column).

        Args:
            length: The number T of tokens.
        """
        distances = torch.arange(1 - length, length, device=self.table.weight.device)
        by_distance: Tensor = self.table(self.buckets(distances)).T  # [N, 2T - 1]
        # The row of query i holds the distances -i … T - 1 - i: a window that starts at T - 1 - i.
        return by_distance.unfold(1, length, 1).flip(1)

    @classmethod
    def buckets(cls, distances: Tensor) -> Tensor:
        """Return the bucket of each distance, of the same shape.

        Args:
            distances: int64, the position of the key minus the position of the query.
        """
        half = cls.BUCKETS // 2
        exact = half // 2
        steps = distances.abs()
        # In float32, as in the library `transformers`: some distances are at the border of buckets.
        growth = (steps.clamp(min=1).float() / exact).log() / math.log(cls.FARTHEST / exact)
        far = (exact + (growth * (half - exact)).long()).clamp(max=half - 1)
        return half * (distances > 0) + torch.where(steps < exact, steps, far)
