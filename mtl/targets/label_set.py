"""A set of labels per sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from mtl.errors import MtlError
from mtl.targets.base import SentenceTarget
from mtl.targets.label import ListedTarget
from mtl.targets.objectives import Objective
from mtl.text.example import Labels, Values


class LabelSet(Objective):
    """Any of K labels, or none: p(k in set | x) = sigmoid(s_k), each label independently.

    Targets are `[N, K]`: 1.0 for the labels in the set, else 0.0. A label is given if it is more
    probable than its threshold. Thresholds are part of the weights that are saved.

    Args:
        labels: The K label names.
    """

    thresholds: Tensor

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__(labels, len(labels))
        self.register_buffer("thresholds", torch.full((len(labels),), 0.5))

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the binary cross-entropy summed over labels: the loss of the whole set."""
        losses = functional.binary_cross_entropy_with_logits(scores, target, reduction="none")
        return losses.sum(1)

    def decode(self, scores: Tensor) -> Tensor:
        """Return the labels above their thresholds, `[N, K]` of 1.0 and 0.0."""
        return (scores.sigmoid() > self.thresholds).to(scores.dtype)

    def log_probs(self, scores: Tensor) -> Tensor:
        """Return the log-probability that each label is in the set, `[N, K]`."""
        return functional.logsigmoid(scores)

    def start(self, counts: Tensor, number: float) -> Tensor:
        """Return the log-odds of the frequencies."""
        return ((counts + 0.5) / (number + 1)).logit()

    def named(self, decoded: Tensor) -> list[frozenset[str]]:
        """Return the names of the labels in each set."""
        return [
            frozenset(self.labels[i] for i in row.nonzero().flatten().tolist()) for row in decoded
        ]

    @torch.no_grad()
    def fit(self, scores: Tensor, target: Tensor) -> None:
        """Set the threshold of each label to the value with the highest F1 (Yang 2001, SCut).

        Args:
            scores: `[N, K]`, of sentences that were not trained on.
            target: `[N, K]`, their sets.
        """
        columns = zip(scores.sigmoid().T, target.T, strict=True)
        best = [best_threshold(own, gold) for own, gold in columns]
        self.thresholds.copy_(torch.tensor(best))


def best_threshold(probabilities: Tensor, gold: Tensor) -> float:
    """Return the threshold above which a label has the highest F1: 0.5 unless another is better.

    Candidates are the midpoints between neighbouring probabilities. Among equally good ones, the
    nearest to 0.5 is returned.

    Args:
        probabilities: `[N]`, the probability of the label in each sentence.
        gold: `[N]`, 1.0 where the sentence has the label, else 0.0.
    """
    above = probabilities > 0.5
    at_half = 2 * gold[above].sum() / (above.sum() + gold.sum()).clamp(min=1)
    ordered, order = probabilities.sort(descending=True)
    lower = torch.cat([ordered[1:], ordered.new_zeros(1)])
    predicted = torch.arange(1, len(ordered) + 1, device=ordered.device)
    f1 = 2 * gold[order].cumsum(0) / (predicted + gold.sum())
    f1 = f1.masked_fill(ordered == lower, 0)  # no threshold separates equal ones
    if not (f1 > at_half).any():
        return 0.5
    middle = (ordered + lower) / 2
    middle = torch.where(middle < ordered, middle, lower)  # adjacent floats have no midpoint
    nearest = (middle - 0.5).abs().masked_fill(f1 < f1.max(), torch.inf).argmin()
    return float(middle[nearest])


class SetTarget(ListedTarget):
    """The shared part of targets whose values are sets of labels.

    Args:
        labels: The label names; sorted here.
    """

    values: ClassVar[Values] = "sets"
    has_items: ClassVar[bool] = True

    def row(self, labels: Iterable[str]) -> list[float]:
        """Return 1.0 for each label in a set, 0.0 for the others; unknown labels are left out."""
        row = [0.0] * len(self.labels)
        for label in labels:
            if label in self._index:
                row[self._index[label]] = 1.0
        return row

    def labelling(self) -> LabelSet:
        """Return the objective."""
        return LabelSet(self.labels)

    def problem(self) -> str | None:
        """Return an error if all sets are empty."""
        return None if self.labels else "all sets of the training data are empty"

    def summary(self) -> str:
        """Return the number of labels in words."""
        return f"any of {len(self.labels)} labels"

    @classmethod
    def plain_item(cls, item: Any) -> list[str]:
        """Return the labels in alphabetical order."""
        return sorted(item)

    @classmethod
    def item_text(cls, item: Any) -> str:
        """Return the labels in alphabetical order."""
        return ", ".join(sorted(item))

    @classmethod
    def confidence(cls, value: Any, probabilities: Mapping[str, float]) -> dict[str, float]:
        """Return the probability that each label is in the set."""
        return dict(probabilities)


def read_set(value: Any, separator: str | None) -> frozenset[str]:
    """Return the set of labels in a list, or in a string with separators.

    Raises:
        ValueError: The value is neither a list of labels nor a string, or it is a string and no
            separator is given.
    """
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return frozenset(value)
    if not isinstance(value, str):
        raise ValueError(f"expected a list of labels, found {value!r}")
    if value and separator is None:
        hint = "set `separator:` to the sign between the labels"
        raise ValueError(f"expected a list of labels, found {value!r}; {hint}")
    parts = (part.strip() for part in value.split(separator))
    return frozenset(part for part in parts if part)


class LabelSetTarget(SetTarget, SentenceTarget):
    """A set of labels per sentence, which may be empty.

    >>> LabelSetTarget(["a", "b"]).row(["b", "new"])
    [0.0, 1.0]
    """

    name: ClassVar[str] = "label_set"
    noun: ClassVar[str] = "sets"
    tuned: ClassVar[bool] = True

    @classmethod
    def read(cls, value: Any, separator: str | None) -> frozenset[str] | None:
        """Return the set; an empty string is the empty set."""
        return None if value is None else read_set(value, separator)

    @classmethod
    def pack(cls, gold: Labels) -> list[str]:
        """Return the labels in alphabetical order."""
        return sorted(cls.names(gold))

    @classmethod
    def unpack(cls, strings: Sequence[str]) -> frozenset[str]:
        """Return the set."""
        return frozenset(strings)

    @classmethod
    def names(cls, gold: Labels) -> Iterable[str]:
        """Return the labels."""
        if not isinstance(gold, frozenset):
            raise MtlError(f"expected a set of labels per sentence, got {gold!r}")
        return gold

    def tensor(self, gold: Sequence[Labels | None], tokens: int) -> Tensor:
        """Return rows of ones and zeros, `[B, K]`, NaN where a set is missing."""
        missing = [math.nan] * len(self.labels)
        return torch.tensor([missing if v is None else self.row(self.names(v)) for v in gold])
