"""Sentence classifier on pooled states. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import torch
from torch import Tensor

from mtl.heads.classifier import Classifier
from mtl.heads.pairs import Labelling
from mtl.layers.sequence import Pooling, pool
from mtl.layers.token_attention import (
    TokenAttention,
    TokenAttentionLayer,
    token_attention,
    token_weights,
)
from mtl.options import PositiveInt, Probability, Requires, check_choice, refuse_idle


class PoolClassifier(Classifier):
    """p(y | x) = softmax(W drop(pool_t h_t) + b): the smallest classifier there is (–).

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, a `LabelSet`, a `Number`, or `Pairs` of these.
        pooling: The mean or the maximum over the tokens, or the state of the last one; concat for
            all three side by side (Howard & Ruder 2018).
        attention: What is pooled of each token beside its own state: the other tokens of the
            sentence, weighted by a score of both states, by key_value those just before it, or
            by multi_head in four ways at once; null for nothing.
        window: How many tokens key_value looks back.
        dropout: Probability of dropping a unit of the pooled vector.
    """

    attention_option = "attention"

    def __init__(
        self,
        in_features: int,
        labels: Labelling,
        *,
        pooling: Pooling | Literal["concat"] = "max",
        attention: TokenAttention | None = None,
        window: Annotated[PositiveInt, Requires("attention", ("key_value",))] = 5,
        dropout: Probability = 0.5,
    ) -> None:
        check_choice("pooling", pooling, ("concat", *get_args(Pooling)))
        refuse_idle(PoolClassifier, {"attention": attention, "window": window})
        layer = token_attention(attention, in_features, window) if attention else None
        width = in_features + (layer.out_features if layer else 0)
        poolings: tuple[Pooling, ...] = (
            ("last", "max", "mean") if pooling == "concat" else (pooling,)
        )
        super().__init__(in_features, labels, len(poolings) * width, dropout)
        self.poolings = poolings
        self.attention: TokenAttentionLayer | None = layer

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the pooled states, `[B, P]`."""
        if self.attention is not None:
            contexts, _ = self.attention(hidden, mask)
            hidden = torch.cat([hidden, contexts], dim=2)
        return torch.cat([pool(hidden, mask, pooling) for pooling in self.poolings], dim=1)

    def attention_weights(self, hidden: Tensor, mask: Tensor) -> Tensor | None:
        """Return how much each token looks at each other one, `[B, N, T, T]`; None: not at all."""
        return token_weights(self.attention, hidden, mask) if self.attention else None
