"""Adaptive softmax. Letters: N tokens, H width, V words, D width of an embedding, C clusters.

Words are sorted by frequency, the most frequent first. At every token, one softmax scores a short
list of frequent words and C clusters of rarer words. The words of a cluster are scored only where
the target is in that cluster, and at a reduced width.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.layers.linear_cross_entropy import check_targets, linear_cross_entropy
from mtl.layers.next_word import NextWord, to_width


class _Scores(NamedTuple):
    """A projection followed by a linear layer over a part of the vocabulary."""

    projection: nn.Module
    weight: Tensor
    bias: Tensor | None

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return linear_cross_entropy(self.projection(hidden), self.weight, targets, self.bias)

    def log_probs(self, hidden: Tensor) -> Tensor:
        scores = functional.linear(self.projection(hidden), self.weight, self.bias)
        return scores.log_softmax(1)


class _Clustered(NextWord):
    """Base of the adaptive softmaxes: p(word) = p(cluster) · p(word | cluster)."""

    def __init__(self, in_features: int, num_words: int, cutoffs: Sequence[int]) -> None:
        super().__init__(in_features, num_words)
        check_cutoffs(cutoffs, num_words)
        self.cutoffs = tuple(cutoffs)

    @abstractmethod
    def _parts(self) -> tuple[_Scores, list[_Scores]]:
        """Return the scorer of short list and clusters, and one scorer per cluster."""

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return −log p(target) of each token in nats, `[N]`."""
        check_targets(targets, self.num_words)
        head, tail = self._parts()
        short = self.cutoffs[0]
        # Cluster 0 is the short list. In the head, cluster c > 0 has the id short + c − 1.
        cluster = torch.bucketize(targets, targets.new_tensor(self.cutoffs), right=True)
        loss = head.loss(hidden, torch.where(cluster == 0, targets, short + cluster - 1))
        for i, (start, words) in enumerate(zip(self.cutoffs, tail, strict=True), start=1):
            (rows,) = (cluster == i).nonzero(as_tuple=True)
            loss = loss.index_add(0, rows, words.loss(hidden[rows], targets[rows] - start))
        return loss

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of all words, `[N, V]`."""
        head, tail = self._parts()
        short, *clusters = torch.split(
            head.log_probs(hidden), [self.cutoffs[0], *[1] * len(tail)], dim=1
        )
        rare = [
            cluster + words.log_probs(hidden) for cluster, words in zip(clusters, tail, strict=True)
        ]
        return torch.cat([short, *rare], dim=1)

    def _sizes(self) -> list[int]:
        """Return the number of words of the short list and of each cluster."""
        return [end - start for start, end in pairwise([0, *self.cutoffs, self.num_words])]


class AdaptiveSoftmax(_Clustered):
    """Softmax with cheap rare words (Grave et al. 2016).

    Cluster i, counted from 1, is scored at width ⌊H / div_valueⁱ⌋. Parameters have the same names
    and shapes as in `torch.nn.AdaptiveLogSoftmaxWithLoss`, so state dicts are interchangeable. In
    both, a cluster of width 0 gives all its words the same probability.

    Args:
        in_features: Width H of the hidden states.
        num_words: The number of words V, sorted by frequency.
        cutoffs: The id of the first word of each cluster, increasing. The first is also the length
            of the short list.
        div_value: The factor by which each cluster is narrower than the previous one.
        min_width: The smallest width of a cluster; 0 is the rule of torch.

    Raises:
        ValueError: The cutoffs do not increase between 0 and V.
    """

    def __init__(
        self,
        in_features: int,
        num_words: int,
        *,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        min_width: int = 0,
    ) -> None:
        super().__init__(in_features, num_words, cutoffs)
        short, *sizes = self._sizes()
        widths = _widths(in_features, len(sizes), div_value, min_width)
        self.head = nn.Linear(in_features, short + len(sizes), bias=False)
        self.tail = nn.ModuleList(
            nn.Sequential(
                nn.Linear(in_features, width, bias=False), nn.Linear(width, size, bias=False)
            )
            for width, size in zip(widths, sizes, strict=True)
        )

    def _parts(self) -> tuple[_Scores, list[_Scores]]:
        clusters = cast("Sequence[Sequence[nn.Linear]]", self.tail)
        tail = [_Scores(projection, words.weight, None) for projection, words in clusters]
        return _Scores(nn.Identity(), self.head.weight, None), tail

    def rows(self) -> Mapping[str, Sequence[int]]:
        """Return word ids: short list and clusters for the head, and each cluster for its tail."""
        words = range(self.num_words + len(self.cutoffs))
        ends = enumerate(pairwise([*self.cutoffs, self.num_words]))
        tail = {f"tail.{i}.1.weight": words[start:end] for i, (start, end) in ends}
        head = [*words[: self.cutoffs[0]], *words[self.num_words :]]
        return {"head.weight": head, **tail}


class TiedAdaptiveSoftmax(_Clustered):
    """Adaptive softmax with the input embedding as output weights (–).

    The embedding has one width for all words, and its rows are sorted by frequency. The short list
    is scored as in `TiedSoftmax`. Cluster i, counted from 1, uses the first dᵢ = D / div_valueⁱ
    dimensions of its word vectors: the scores are E[words, :dᵢ] Pᵢ h + b, with a projection Pᵢ from
    H to dᵢ. The layer therefore needs no vectors beside the embedding, and training moves the
    differences between rare words into these dimensions.

    Args:
        in_features: Width H of the hidden states.
        embedding: E `[V, D]`, shared, not copied; rows sorted by frequency.
        cutoffs: The id of the first word of each cluster, increasing. The first is also the length
            of the short list.
        div_value: The factor by which each cluster is narrower than the previous one.

    Raises:
        ValueError: The cutoffs do not increase between 0 and V.
    """

    def __init__(
        self,
        in_features: int,
        embedding: nn.Parameter,
        *,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
    ) -> None:
        num_words, width = embedding.shape
        super().__init__(in_features, num_words, cutoffs)
        self.embedding = embedding
        self.projection = to_width(in_features, width)
        self.clusters = nn.Linear(width, len(self.cutoffs))
        self.tail = nn.ModuleList(
            nn.Linear(in_features, reduced, bias=False)
            for reduced in _widths(width, len(self.cutoffs), div_value, 1)
        )
        self.bias = nn.Parameter(torch.zeros(num_words))

    def _parts(self) -> tuple[_Scores, list[_Scores]]:
        # torch.split accumulates one gradient [V, D]; indexing would allocate one per cluster.
        short, *words = torch.split(self.embedding, self._sizes())
        short_bias, *biases = torch.split(self.bias, self._sizes())
        head = _Scores(
            self.projection,
            torch.cat([short, self.clusters.weight]),
            torch.cat([short_bias, self.clusters.bias]),
        )
        projections = cast("Sequence[nn.Linear]", self.tail)
        tail = [
            _Scores(projection, vectors[:, : projection.out_features], bias)
            for projection, vectors, bias in zip(projections, words, biases, strict=True)
        ]
        return head, tail

    def rows(self) -> Mapping[str, Sequence[int]]:
        """Return the word ids of the rows: embedding and bias have one row per word."""
        return dict.fromkeys(("embedding", "bias"), range(self.num_words))


def check_cutoffs(cutoffs: Sequence[int], num_words: int) -> None:
    """Raise ValueError unless the cutoffs increase between 0 and the number of words."""
    ends = [0, *cutoffs, num_words]
    if not cutoffs or any(end <= start for start, end in pairwise(ends)):
        raise ValueError(
            f"cutoffs: expected increasing ids between 0 and {num_words}, the number of words, "
            f"got {list(cutoffs)}"
        )


def _widths(width: int, clusters: int, div_value: float, least: int) -> list[int]:
    return [max(least, int(width // div_value**i)) for i in range(1, clusters + 1)]
