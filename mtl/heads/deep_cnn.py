"""Deep convolutional classifier. Letters: B sentences, T tokens, H width, P width, K labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.errors import OptionError
from mtl.heads.classifier import Classifier, ClassifierOptions
from mtl.heads.pairs import Labelling
from mtl.layers.batch_norm import MaskedBatchNorm
from mtl.layers.sequence import k_max
from mtl.options import PositiveInt, Probability, RunContext, one_process


class DeepCNNClassifier(Classifier):
    """Stages of convolutions with max pooling between them, for characters (Conneau et al. 2017).

    A layer is relu(norm(W [x_{t−w} … x_{t+w}] + b)), with zeros beyond the text. A text of T tokens
    has ⌈T / pool⌉ positions in the second stage, and so on. After the last stage, the k largest
    values of each filter, in their order, are the sentence vector.

    The defaults are the network with nine layers of the paper, without its large layers before the
    output, and with a maximum over two positions in place of three. Zhang et al. (2015) have
    `layers: [1, 1, 4]`, `widths: [7, 7, 3]`, `maps: 256`, `doubling: false`, `pool: 3`,
    `batch_norm: false` and `hidden_size: 1024`.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, a `LabelSet`, a `Number`, or `Pairs` with such labels.
        layers: Number of layers of each stage.
        widths: Width of the filters of each stage, in tokens; one number applies to all stages.
        maps: Number of filters of the layers of the first stage.
        doubling: Whether each stage has twice as many filters as the stage before.
        pool: Number of positions whose maximum is a position of the next stage.
        k: Number of largest values per filter; missing values of short sentences are zero.
        batch_norm: Whether layers are normalised over the real tokens of a batch in training, and
            by running averages in evaluation (Ioffe & Szegedy 2015).
        hidden_size: Width of two layers of rectified units before the output; null for none.
        dropout: Dropout probability of the sentence vector, and between these two layers.
    """

    def __init__(
        self,
        in_features: int,
        labels: Labelling,
        *,
        layers: Sequence[PositiveInt] = (2, 2, 2, 2),
        widths: Sequence[PositiveInt] = (3,),
        maps: PositiveInt = 64,
        doubling: bool = True,
        pool: PositiveInt = 2,
        k: PositiveInt = 8,
        batch_norm: bool = True,
        hidden_size: PositiveInt | None = None,
        dropout: Probability = 0.5,
        **options: Unpack[ClassifierOptions],
    ) -> None:
        if not layers:
            raise OptionError("layers", "expected at least one stage, got none")
        if len(widths) not in (1, len(layers)):
            expected = f"1 or {len(layers)} widths, as there are {len(layers)} stages"
            raise OptionError("widths", f"expected {expected}, got {len(widths)}")
        all_widths = [*widths] * (1 if len(widths) == len(layers) else len(layers))
        sizes = [maps * (2**stage if doubling else 1) for stage in range(len(layers))]
        size = hidden_size or k * sizes[-1]
        super().__init__(in_features, labels, size, dropout, **options)
        self.pool = pool
        self.k = k
        self.stages = nn.ModuleList()
        for count, width, channels in zip(layers, all_widths, sizes, strict=True):
            stage = nn.ModuleList()
            for _ in range(count):
                stage.append(_Layer(in_features, channels, width, batch_norm))
                in_features = channels
            self.stages.append(stage)
        self.hidden: nn.Module = nn.Identity()
        if hidden_size:
            self.hidden = nn.Sequential(
                nn.Linear(k * in_features, hidden_size),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(hidden_size, hidden_size),
                nn.ReLU(),
            )

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for batch normalisation in several processes."""
        yield from super().check(options, context)
        if options.get("batch_norm"):
            yield from one_process("batch_norm", context)

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the sentence vectors, `[B, P]`."""
        lengths = mask.sum(1, keepdim=True)
        # A text without tokens is read as one position of padding.
        more = 1 - min(1, mask.shape[1])
        x = functional.pad((hidden * mask.unsqueeze(2)).mT, (0, more))  # [B, H, T]
        for number, stage in enumerate(self.stages):
            if number:
                # Values are at least zero, so zeros behind the text do not change a maximum.
                count = -(-x.shape[2] // self.pool)
                x = functional.pad(x, (0, count * self.pool - x.shape[2]))
                x = x.view(x.shape[0], x.shape[1], count, self.pool).amax(3)
            starts = torch.arange(x.shape[2], device=x.device) * self.pool**number
            real = (starts < lengths).unsqueeze(1)
            assert isinstance(stage, nn.ModuleList)
            for layer in stage:
                scores = layer(x, real)
                x = scores.relu() * real
        # Before the rectifier, where values are seldom equal: the order of equal ones is open.
        vectors: Tensor = self.hidden(k_max(scores, real, self.k).relu().flatten(1))
        return vectors


class _Layer(nn.Module):
    """A convolution that keeps the number of positions, with or without normalisation."""

    def __init__(self, in_features: int, channels: int, width: int, batch_norm: bool) -> None:
        super().__init__()
        self.beside = (width - 1) // 2, width // 2
        # A bias would be subtracted again by the normalisation.
        self.filters = nn.Conv1d(in_features, channels, width, bias=not batch_norm)
        self.norm = MaskedBatchNorm(channels) if batch_norm else None
        nn.init.kaiming_normal_(self.filters.weight, nonlinearity="relu")

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """Return `[B, C, T]`, anything on padding, given `x [B, H, T]`, which is zero there."""
        scores: Tensor = self.filters(functional.pad(x, self.beside))
        return scores if self.norm is None else self.norm(scores, real)
