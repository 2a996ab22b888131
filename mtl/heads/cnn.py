"""Convolutional sentence classifier. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.heads.classifier import Classifier
from mtl.options import PositiveInt, Probability


class CNNClassifier(Classifier):
    """Filters over windows of tokens, the maximum of each over the sentence (Kim 2014).

    c = [max_t relu(w_j · h_t:t+w-1 + b_j)]_j, p(y | x) = softmax(W drop(c) + b)

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names.
        widths: How many tokens the filters see, one group of filters each.
        maps: The number of filters of each width.
        dropout: Probability of dropping a unit of c.
    """

    def __init__(
        self,
        in_features: int,
        labels: Sequence[str],
        *,
        widths: Sequence[PositiveInt] = (3, 4, 5),
        maps: PositiveInt = 100,
        dropout: Probability = 0.5,
    ) -> None:
        if not widths:
            raise ValueError("widths: expected at least one")
        super().__init__(in_features, labels, maps * len(widths), dropout)
        self.widths = tuple(widths)
        self.filters = nn.ModuleList(nn.Conv1d(in_features, maps, width) for width in widths)

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the maxima of all filters, `[B, P]`.

        A sentence shorter than a filter is seen by it once, with zeros behind.
        """
        x = (hidden * mask.unsqueeze(-1)).transpose(1, 2)  # [B, H, T]
        x = functional.pad(x, (0, max(self.widths) - 1))
        lengths = mask.sum(1, keepdim=True)
        pooled = []
        for width, filters in zip(self.widths, self.filters, strict=True):
            maps = filters(x)  # [B, maps, windows]
            windows = torch.arange(maps.shape[2], device=x.device)
            inside = windows <= (lengths - width).clamp(min=0)  # [B, windows]
            pooled.append(maps.masked_fill(~inside.unsqueeze(1), -torch.inf).amax(2).relu())
        return torch.cat(pooled, dim=1)
