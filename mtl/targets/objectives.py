"""Objectives: the loss and the predictions of a head, from its scores.

Letters: N rows, S scores, K labels.

A row is a sentence, or a token of a tagger that scores each token on its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor, nn
from torch.nn import functional

Answer: TypeAlias = "str | frozenset[str] | float | dict[str, float]"
"""The value of one row: a label, a set of labels, a number, or a distribution over labels."""


def frequencies(counts: Tensor, number: float) -> Tensor:
    """Return the frequency of each label, `[K]`, with half a label added to each count.

    Args:
        counts: `[K]`, the number of each label.
        number: The sum of the counts.
    """
    return (counts + 0.5) / (number + len(counts) / 2)


class Objective(nn.Module, ABC):
    """The loss and the predictions of a head, given the scores of each row.

    Args:
        labels: The K label names; ids count along them.
        size: The number S of scores per row.
    """

    def __init__(self, labels: Sequence[str], size: int) -> None:
        super().__init__()
        self.labels = tuple(labels)
        self.size = size

    @abstractmethod
    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row in nats, `[N]`, at least 0, given scores `[N, S]`."""

    @abstractmethod
    def decode(self, scores: Tensor) -> Tensor:
        """Return the best prediction of each row, `[N, …]`, given scores `[N, S]`."""

    @abstractmethod
    def log_probs(self, scores: Tensor) -> Tensor:
        """Return the log-probability of each label, `[N, K]`, given scores `[N, S]`."""

    def start(self, counts: Tensor, number: float) -> Tensor:
        """Return the scores `[S]` whose predictions are the frequencies of the labels.

        Half a label is added to each count, so that no frequency is zero. Without labels, the
        scores are zero.

        Args:
            counts: `[K]`, the number of each label.
            number: The number of rows.
        """
        return counts.new_zeros(self.size)

    @abstractmethod
    def named(self, decoded: Tensor) -> Sequence[Answer]:
        """Return the predictions of `decode` with label names, one value per row."""


class OneLabel(Objective):
    """One of K labels: p(k | x) = softmax(s)_k. Targets are ids, int64 `[N]`.

    Args:
        labels: The K label names.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__(labels, len(labels))

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy."""
        return functional.cross_entropy(scores, target, reduction="none")

    def decode(self, scores: Tensor) -> Tensor:
        """Return the most likely id, int64 `[N]`."""
        return scores.argmax(1)

    def log_probs(self, scores: Tensor) -> Tensor:
        """Return `[N, K]`; the probabilities of a row sum to one."""
        return scores.log_softmax(1)

    def start(self, counts: Tensor, number: float) -> Tensor:
        """Return the logarithms of the frequencies."""
        return frequencies(counts, number).log()

    def named(self, decoded: Tensor) -> list[str]:
        """Return the name of each label."""
        return [self.labels[i] for i in decoded.tolist()]
