"""Sentence classifier on pooled states. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from mtl.heads.classifier import Classifier
from mtl.layers.sequence import last_real
from mtl.options import Probability


class PoolClassifier(Classifier):
    """p(y | x) = softmax(W drop(pool_t h_t) + b): the smallest classifier there is (–).

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names.
        pooling: The mean or the maximum over the tokens, or the state of the last one.
        dropout: Probability of dropping a unit of the pooled vector.
    """

    def __init__(
        self,
        in_features: int,
        labels: Sequence[str],
        *,
        pooling: Literal["mean", "max", "last"] = "max",
        dropout: Probability = 0.5,
    ) -> None:
        super().__init__(in_features, labels, in_features, dropout)
        self.pooling = pooling

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return `[B, H]`."""
        real = mask.unsqueeze(-1)
        if self.pooling == "mean":
            return (hidden * real).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        if self.pooling == "max":
            empty = ~mask.any(1, keepdim=True)
            return hidden.masked_fill(~real, -torch.inf).amax(1).masked_fill(empty, 0)
        return last_real(hidden * real, mask)
