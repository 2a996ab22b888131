"""What the scores of a sentence mean. Letters: B sentences, S scores a sentence, K labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

Answer: TypeAlias = "str | frozenset[str] | float"
"""What a sentence has: one label, a set of labels, or a number."""


class Objective(nn.Module, ABC):
    """How a classifier learns from the scores of sentences, and what it makes of them.

    Args:
        labels: The K label names; ids count along them.
        size: The number S of scores that a sentence needs.
    """

    def __init__(self, labels: Sequence[str], size: int) -> None:
        super().__init__()
        self.labels = tuple(labels)
        self.size = size

    @abstractmethod
    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sentence in nats, `[B]`, from 0, given scores `[B, S]`."""

    @abstractmethod
    def decode(self, scores: Tensor) -> Tensor:
        """Return the best target of each sentence, `[B, …]`, given scores `[B, S]`."""

    @abstractmethod
    def log_probs(self, scores: Tensor) -> Tensor:
        """Return the log-probability of every label, `[B, K]`, given scores `[B, S]`."""

    @abstractmethod
    def named(self, decoded: Tensor) -> Sequence[Answer]:
        """Return what `decode` gave, in the words of a user."""


class OneLabel(Objective):
    """One of K labels: p(k | x) = softmax(s)_k. Targets are ids, int64 `[B]`.

    Args:
        labels: The K label names.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__(labels, len(labels))

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy."""
        return functional.cross_entropy(scores, target, reduction="none")

    def decode(self, scores: Tensor) -> Tensor:
        """Return the most likely id, int64 `[B]`."""
        return scores.argmax(1)

    def log_probs(self, scores: Tensor) -> Tensor:
        """Return `[B, K]`; the probabilities of a sentence sum to one."""
        return scores.log_softmax(1)

    def named(self, decoded: Tensor) -> list[str]:
        """Return the name of each label."""
        return [self.labels[i] for i in decoded.tolist()]


class LabelSet(Objective):
    """Any of K labels, or none: p(k in set | x) = sigmoid(s_k), each label on its own.

    Targets are `[B, K]`: 1.0 for the labels in the set, else 0.0. A label is given if it is more
    probable than its threshold. Thresholds are part of the weights that are saved.

    Args:
        labels: The K label names.
    """

    thresholds: Tensor

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__(labels, len(labels))
        self.register_buffer("thresholds", torch.full((len(labels),), 0.5))

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the binary cross-entropy, summed over labels: that of the set as a whole."""
        losses = functional.binary_cross_entropy_with_logits(scores, target, reduction="none")
        return losses.sum(1)

    def decode(self, scores: Tensor) -> Tensor:
        """Return the labels above their thresholds, `[B, K]` of 1.0 and 0.0."""
        return (scores.sigmoid() > self.thresholds).to(scores.dtype)

    def log_probs(self, scores: Tensor) -> Tensor:
        """Return `[B, K]`: how probable it is that each label is in the set."""
        return functional.logsigmoid(scores)

    def named(self, decoded: Tensor) -> list[frozenset[str]]:
        """Return the names of the labels in each set."""
        return [
            frozenset(self.labels[i] for i in row.nonzero().flatten().tolist()) for row in decoded
        ]

    @torch.no_grad()
    def fit(self, scores: Tensor, target: Tensor) -> None:
        """Set the threshold of each label to that with the highest F1 (Yang 2001, SCut).

        Args:
            scores: `[N, K]`, of sentences that were not trained on.
            target: `[N, K]`, their sets.
        """
        columns = zip(scores.sigmoid().T, target.T, strict=True)
        best = [best_threshold(own, gold) for own, gold in columns]
        self.thresholds.copy_(torch.tensor(best))


def best_threshold(probabilities: Tensor, gold: Tensor) -> float:
    """Return the threshold above which a label has the highest F1: 0.5 unless another is better.

    It lies midway between two probabilities, of equally good ones nearest to 0.5.

    Args:
        probabilities: `[N]`, how probable the label is in each sentence.
        gold: `[N]`, 1.0 where it is there, else 0.0.
    """
    above = probabilities > 0.5
    at_half = 2 * gold[above].sum() / (above.sum() + gold.sum()).clamp(min=1)
    ordered, order = probabilities.sort(descending=True)
    lower = torch.cat([ordered[1:], ordered.new_zeros(1)])
    given = torch.arange(1, len(ordered) + 1, device=ordered.device)
    f1 = 2 * gold[order].cumsum(0) / (given + gold.sum())
    f1 = f1.masked_fill(ordered == lower, 0)  # no threshold lies between equal ones
    if not (f1 > at_half).any():
        return 0.5
    middle = (ordered + lower) / 2
    middle = torch.where(middle < ordered, middle, lower)  # neighbours that have no number between
    nearest = (middle - 0.5).abs().masked_fill(f1 < f1.max(), torch.inf).argmin()
    return float(middle[nearest])


class Number(Objective):
    """A number y: the score is its expectation, in deviations from the mean of the training data.

    The loss is ½((y − mean) / scale − s)²: the negative log-likelihood of a normal distribution
    whose variance is one, less its least value ½ log 2π, so that a right answer costs nothing, as
    under labels. Who always gives the mean of the training data has ½. Targets are `[B]`.

    Args:
        mean: The mean of the numbers.
        scale: Their standard deviation, above 0.
    """

    def __init__(self, mean: float = 0.0, scale: float = 1.0) -> None:
        if not scale > 0:
            raise ValueError(f"scale: expected a number above 0, got {scale}")
        super().__init__((), 1)
        self.mean = mean
        self.scale = scale

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return half the squared error in deviations."""
        return ((target - self.mean) / self.scale - scores.squeeze(1)) ** 2 / 2

    def decode(self, scores: Tensor) -> Tensor:
        """Return the expected number, `[B]`."""
        return self.mean + self.scale * scores.squeeze(1)

    def log_probs(self, scores: Tensor) -> Tensor:
        """Return `[B, 0]`: there are no labels."""
        return scores[:, :0]

    def named(self, decoded: Tensor) -> list[float]:
        """Return the numbers."""
        numbers: list[float] = decoded.tolist()
        return numbers
