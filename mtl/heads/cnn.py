"""Convolutional sentence classifier. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.errors import OptionError
from mtl.heads.classifier import Classifier
from mtl.heads.pairs import Labelling
from mtl.options import PositiveInt, Probability, check_choice

CNNPooling = Literal["max", "mean"]


class CNNClassifier(Classifier):
    """Filters over windows of tokens, the maximum of each over the sentence (Kim 2014).

    c = [max_t relu(w_j · h_t:t+w-1 + b_j)]_j, p(y | x) = softmax(W drop(c) + b)

    Other poolings: the k largest values in their order (Kalchbrenner et al. 2014), or the mean
    (Zhang and Wallace 2015).

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, a `LabelSet`, a `Number`, or `Pairs` of these.
        widths: How many tokens the filters see, one group of filters each.
        maps: The number of filters of each width.
        pooling: The maximum or the mean over the sentence.
        k: How many of the largest values of each filter are kept, in their order; zeros stand
            for those that a short sentence lacks.
        dropout: Probability of dropping a unit of c.
    """

    def __init__(
        self,
        in_features: int,
        labels: Labelling,
        *,
        widths: Sequence[PositiveInt] = (3, 4, 5),
        maps: PositiveInt = 100,
        pooling: CNNPooling = "max",
        k: PositiveInt = 1,
        dropout: Probability = 0.5,
    ) -> None:
        check_choice("pooling", pooling, get_args(CNNPooling))
        if not widths:
            raise OptionError("widths", "expected at least one width, got none")
        if pooling == "mean" and k > 1:
            raise OptionError("k", f"expected 1 with pooling mean, which is one value, got {k}")
        super().__init__(in_features, labels, k * maps * len(widths), dropout)
        self.widths = tuple(widths)
        self.pooling = pooling
        self.k = k
        self.filters = nn.ModuleList(nn.Conv1d(in_features, maps, width) for width in widths)

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return what is kept of all filters, `[B, P]`.

        A sentence shorter than a filter is seen by it once, with zeros behind.
        """
        x = (hidden * mask.unsqueeze(-1)).transpose(1, 2)  # [B, H, T]
        # One more where no sentence has a word, so that the widest filter fits.
        x = functional.pad(x, (0, max(self.widths) - min(1, x.shape[2])))
        lengths = mask.sum(1, keepdim=True)
        pooled = []
        for width, filters in zip(self.widths, self.filters, strict=True):
            values = filters(x)  # [B, maps, windows]
            windows = torch.arange(values.shape[2], device=x.device)
            inside = windows <= (lengths - width).clamp(min=0)  # [B, windows]
            pooled.append(self._pool(values, inside.unsqueeze(1)))
        return torch.cat(pooled, dim=1)

    def _pool(self, values: Tensor, inside: Tensor) -> Tensor:
        """Return `[B, k maps]`, given values `[B, maps, windows]` and which windows there are."""
        if self.pooling == "mean":
            return (values.relu() * inside).sum(2) / inside.sum(2)
        values = values.masked_fill(~inside, -torch.inf)
        if self.k == 1:
            return values.amax(2).relu()
        values = functional.pad(values, (0, self.k - 1), value=-torch.inf)  # at least k windows
        largest = values.topk(self.k, dim=2).indices.sort(dim=2).values
        return values.gather(2, largest).relu().flatten(1)
