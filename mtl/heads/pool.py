"""Classifier on pooled states. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from typing import Annotated, Literal, Unpack, get_args

import torch
from torch import Tensor

from mtl.heads.classifier import Classifier, ClassifierOptions
from mtl.heads.pairs import Labelling
from mtl.layers.sequence import Pooling, pool
from mtl.layers.token_attention import (
    TokenAttention,
    TokenAttentionLayer,
    token_attention,
    token_weights,
)
from mtl.options import PositiveInt, Probability, Requires, check_choice, complete, refuse_idle


class PoolClassifier(Classifier):
    """Linear classifier on pooled states: p(y | x) = softmax(W drop(pool_t h_t) + b) (–).

    It is the smallest classifier.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, a `LabelSet`, a `Number`, or `Pairs` with such labels.
        pooling: The mean, maximum or sum over the tokens, or the state of the last token. "concat"
            concatenates last, maximum and mean (Howard & Ruder 2018).
        attention: Self-attention before pooling; its contexts are concatenated with the states. The
            name is a score ("additive", "concat", "multiplicative", "scaled"), "key_value" for the
            previous tokens only, or "multi_head" with four heads; null for none.
        window: Number of previous tokens that "key_value" attends to.
        dropout: Dropout probability of the pooled vector.
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
        **options: Unpack[ClassifierOptions],
    ) -> None:
        options = complete(ClassifierOptions, options)
        check_choice("pooling", pooling, ("concat", *get_args(Pooling)))
        # Made before super().__init__, which needs the width of the pooled vector.
        refuse_idle(PoolClassifier, {"attention": attention, "window": window})
        layer = token_attention(attention, in_features, window) if attention else None
        width = in_features + (layer.out_features if layer else 0)
        poolings: tuple[Pooling, ...] = (
            ("last", "max", "mean") if pooling == "concat" else (pooling,)
        )
        super().__init__(in_features, labels, len(poolings) * width, dropout, **options)
        self.poolings = poolings
        self.attention: TokenAttentionLayer | None = layer

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the pooled states, `[B, P]`."""
        if self.attention is not None:
            contexts, _ = self.attention(hidden, mask)
            hidden = torch.cat([hidden, contexts], dim=2)
        return torch.cat([pool(hidden, mask, pooling) for pooling in self.poolings], dim=1)

    def attention_weights(self, hidden: Tensor, mask: Tensor) -> Tensor | None:
        """Return the token-to-token attention weights, `[B, N, T, T]`; None without attention."""
        if self.attention is None:
            return None
        return token_weights(self.attention, self.states(hidden, mask), mask)
