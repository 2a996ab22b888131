"""Adaptive softmax. Letters: N tokens, H width, V words, D width of an embedding, C clusters.

Words are sorted by frequency, the most frequent first. A short list is scored at every token
together with C clusters of rarer words; the words of a cluster only where the target is in it, and
at a reduced width.
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
    """A linear layer over part of the words, behind a projection."""

    projection: nn.Module
    weight: Tensor
    bias: Tensor | None

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return linear_cross_entropy(self.projection(hidden), self.weight, targets, self.bias)

    def log_probs(self, hidden: Tensor) -> Tensor:
        scores = functional.linear(self.projection(hidden), self.weight, self.bias)
        return scores.log_softmax(1)


class _Clustered(NextWord):
    """What both forms share: p(word) = p(its cluster) · p(word | its cluster)."""

    def __init__(self, in_features: int, num_words: int, cutoffs: Sequence[int]) -> None:
        super().__init__(in_features, num_words)
        ends = [0, *cutoffs, num_words]
        if not cutoffs or any(end <= start for start, end in pairwise(ends)):
            raise ValueError(
                f"cutoffs: expected rising numbers between 0 and the {num_words} words, "
                f"got {list(cutoffs)}"
            )
        self.cutoffs = tuple(cutoffs)

    @abstractmethod
    def _parts(self) -> tuple[_Scores, list[_Scores]]:
        """Return what scores the short list with the clusters, and the words of each cluster."""

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return −log p(target) of each token in nats, `[N]`."""
        check_targets(targets, self.num_words)
        head, tail = self._parts()
        short = self.cutoffs[0]
        cluster = torch.bucketize(targets, targets.new_tensor(self.cutoffs), right=True)
        loss = head.loss(hidden, torch.where(cluster == 0, targets, short + cluster - 1))
        for number, (start, words) in enumerate(zip(self.cutoffs, tail, strict=True), start=1):
            (rows,) = (cluster == number).nonzero(as_tuple=True)
            loss = loss.index_add(0, rows, words.loss(hidden[rows], targets[rows] - start))
        return loss

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of all words, `[N, V]`."""
        head, tail = self._parts()
        short, *clusters = torch.split(
            head.log_probs(hidden), [self.cutoffs[0], *[1] * len(tail)], dim=1
        )
        inside = zip(clusters, tail, strict=True)
        rare = [cluster + words.log_probs(hidden) for cluster, words in inside]
        return torch.cat([short, *rare], dim=1)

    def _sizes(self) -> list[int]:
        """Return how many words the short list and each cluster have."""
        return [end - start for start, end in pairwise([0, *self.cutoffs, self.num_words])]


class AdaptiveSoftmax(_Clustered):
    """Softmax whose rare words cost little (Grave et al. 2016).

    The i-th cluster, counted from 1, is scored at width H / div_valueⁱ. Names and shapes of the
    parameters are those of `torch.nn.AdaptiveLogSoftmaxWithLoss`; state dicts load both ways.

    Args:
        in_features: Width H of the hidden states.
        num_words: The number of words V, which are sorted by frequency.
        cutoffs: Where each cluster begins, rising; the first is the length of the short list.
        div_value: How much narrower each cluster is than the one before.
    """

    def __init__(
        self,
        in_features: int,
        num_words: int,
        *,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
    ) -> None:
        super().__init__(in_features, num_words, cutoffs)
        short, *sizes = self._sizes()
        widths = _widths(in_features, len(sizes), div_value)
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
        """Return that the head has the short list and the clusters, and each tail its words."""
        words = range(self.num_words + len(self.cutoffs))
        ends = enumerate(pairwise([*self.cutoffs, self.num_words]))
        tail = {f"tail.{number}.1.weight": words[start:end] for number, (start, end) in ends}
        head = [*words[: self.cutoffs[0]], *words[self.num_words :]]
        return {"head.weight": head, **tail}


class TiedAdaptiveSoftmax(_Clustered):
    """Adaptive softmax over the vectors that words are read with (–).

    The embedding is a plain one, with one width for all words, whose rows are sorted by frequency.
    The short list is scored as in `TiedSoftmax`. Cluster i, counted from 1, takes the first
    dᵢ = D / div_valueⁱ numbers of its words' vectors: their scores are E[words, :dᵢ] Pᵢ h + b,
    with a projection Pᵢ from H to dᵢ. So nothing is computed or kept beside the embedding, and
    training moves into these numbers what tells rare words apart.

    Args:
        in_features: Width H of the hidden states.
        embedding: E `[V, D]`, shared, not copied; rows sorted by frequency.
        cutoffs: Where each cluster begins, rising; the first is the length of the short list.
        div_value: How much narrower each cluster is than the one before.
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
            for reduced in _widths(width, len(self.cutoffs), div_value)
        )
        self.bias = nn.Parameter(torch.zeros(num_words))

    def _parts(self) -> tuple[_Scores, list[_Scores]]:
        # One split has one gradient [V, D]; slices would each have one.
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
        """Return that embedding and bias have all words."""
        return dict.fromkeys(("embedding", "bias"), range(self.num_words))


def _widths(width: int, clusters: int, div_value: float) -> list[int]:
    return [max(1, int(width // div_value**number)) for number in range(1, clusters + 1)]
