"""Convolutional sentence classifier. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Unpack, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.errors import OptionError
from mtl.heads.classifier import Classifier, ClassifierOptions
from mtl.heads.pairs import Labelling
from mtl.layers.batch_norm import MaskedBatchNorm
from mtl.layers.sequence import k_max
from mtl.options import PositiveInt, Probability, RunContext, check_choice, one_process

CNNPooling = Literal["max", "mean"]


class CNNClassifier(Classifier):
    """CNN classifier: convolution filters over token windows, max-pooled per sentence (Kim 2014).

    c = [max_t relu(w_j · h_t:t+w-1 + b_j)]_j, p(y | x) = softmax(W drop(c) + b)

    Alternatives are k-max pooling, the k largest values in their order (Kalchbrenner et al. 2014),
    and mean pooling (Zhang and Wallace 2015).

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, a `LabelSet`, a `Number`, or `Pairs` with such labels.
        widths: Filter widths in tokens; each has its own filters.
        maps: Number of filters per width.
        pooling: The maximum or the mean over the sentence.
        k: Number of largest values per filter that max pooling returns, in their order; missing
            values of short sentences are zero.
        batch_norm: Whether the filter outputs are normalised before the rectifier: over the windows
            of the batch in training, and by running averages in evaluation (Ioffe & Szegedy 2015).
        dropout: Dropout probability of c.
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
        batch_norm: bool = False,
        dropout: Probability = 0.5,
        **options: Unpack[ClassifierOptions],
    ) -> None:
        check_choice("pooling", pooling, get_args(CNNPooling))
        if not widths:
            raise OptionError("widths", "expected at least one width, got none")
        if pooling == "mean" and k > 1:
            raise OptionError("k", f"expected 1 with pooling mean, which is one value, got {k}")
        super().__init__(in_features, labels, k * maps * len(widths), dropout, **options)
        self.widths = tuple(widths)
        self.pooling = pooling
        self.k = k
        self.filters = nn.ModuleList(nn.Conv1d(in_features, maps, width) for width in widths)
        self.norms = nn.ModuleList(MaskedBatchNorm(maps) for _ in widths if batch_norm)

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for batch normalisation in several processes."""
        yield from super().check(options, context)
        if options.get("batch_norm"):
            yield from one_process("batch_norm", context)

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the pooled filter outputs, `[B, P]`.

        For a sentence shorter than a filter, the filter has one window, padded with zeros.
        """
        x = (hidden * mask.unsqueeze(-1)).transpose(1, 2)  # [B, H, T]
        # Pad by the widest filter less one token, or by all of it if T is 0, so that every filter
        # has at least one window.
        x = functional.pad(x, (0, max(self.widths) - min(1, x.shape[2])))
        lengths = mask.sum(1, keepdim=True)
        pooled = []
        for number, (width, filters) in enumerate(zip(self.widths, self.filters, strict=True)):
            values = filters(x)  # [B, maps, windows]
            windows = torch.arange(values.shape[2], device=x.device)
            inside = windows <= (lengths - width).clamp(min=0)  # [B, windows]
            inside = inside.unsqueeze(1)
            if self.norms:
                values = self.norms[number](values, inside)
            pooled.append(self._pool(values, inside))
        return torch.cat(pooled, dim=1)

    def _pool(self, values: Tensor, inside: Tensor) -> Tensor:
        """Return `[B, k · maps]`, pooled over the windows inside each sentence.

        Args:
            values: `[B, maps, windows]`.
            inside: `[B, 1, windows]` bool, True on windows that belong to the sentence.
        """
        if self.pooling == "mean":
            return (values.relu() * inside).sum(2) / inside.sum(2)
        return k_max(values, inside, self.k).relu().flatten(1)  # missing values become zeros
