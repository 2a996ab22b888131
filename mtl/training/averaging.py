"""Averages of the weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtl.options import Checked, PositiveInt, Probability
from mtl.registry import Registry


class Average(Checked, ABC):
    """A mean ā of the weights θ of a run, step by step: ā ← ā + s·(θ − ā).

    What is averaged is validated and saved; training goes on with the raw weights. Weights that
    never train are left out.

    Args:
        model: The model whose parameters are averaged.
    """

    needs_scores: ClassVar[bool] = False
    """Whether it does nothing without a development set."""
    average: dict[str, Tensor]
    """Name to the average of a parameter; empty as long as the average has not begun."""
    updates: int
    """How often weights were taken in since it began."""

    def __init__(self, model: nn.Module) -> None:
        self._parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.reset()

    def reset(self) -> None:
        """Forget all weights so far, as at the start of a run."""
        self.average, self.updates = {}, 0

    def begin(self) -> None:
        """Begin with the present weights."""
        self.average = {name: p.detach().clone() for name, p in self._parameters.items()}
        self.updates = 0

    def restore(self, average: Mapping[str, Tensor], updates: int) -> None:
        """Go on from an `average` after so many `updates`."""
        parameters = self._parameters if average else {}
        self.average = {name: average[name].to(p.device) for name, p in parameters.items()}
        self.updates = updates

    def update(self) -> None:
        """Take the present weights in, once the average has begun."""
        if self.average:
            present = [p.detach() for p in self._parameters.values()]
            torch._foreach_lerp_(list(self.average.values()), present, self.share())
            self.updates += 1

    @abstractmethod
    def share(self) -> float:
        """Return the share s that the weights taken in next have in the average."""

    def begin_if_due(self, scores: Sequence[float]) -> None:
        """Begin if `begins` says so.

        Args:
            scores: The score of the run after each epoch so far; higher is better.
        """
        if not self.average and self.begins(scores):
            self.begin()

    def begins(self, scores: Sequence[float]) -> bool:
        """Return whether the average begins now; arguments as `begin_if_due`."""
        return False

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averaged weights for as long as the context lasts."""
        raw = {name: self._parameters[name].detach().clone() for name in self.average}
        self._set(self.average)
        try:
            yield
        finally:
            self._set(raw)

    @torch.no_grad()
    def _set(self, weights: dict[str, Tensor]) -> None:
        for name, value in weights.items():
            self._parameters[name].copy_(value)


class ExponentialAverage(Average):
    """An exponential moving average of the weights (Polyak & Juditsky 1992; Kingma & Ba 2015).

    ā ← d·ā + (1 − d)·θ with d = min(decay, (1 + n) / (10 + n)) after n updates, so that the
    untrained weights are soon forgotten.

    Args:
        model: The model whose parameters are averaged.
        decay: The decay d.
    """

    def __init__(self, model: nn.Module, *, decay: Probability = 0.999) -> None:
        self.decay = decay
        super().__init__(model)

    def reset(self) -> None:
        """Begin with the present weights."""
        self.begin()

    def share(self) -> float:
        """Return 1 − d."""
        return 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))


class TriggeredAverage(Average):
    """The mean of the weights after each step since the score stopped rising (Merity et al. 2017).

    NT-ASGD, where the optimiser is plain SGD: averaging begins after the first epoch whose score
    is below one that is more than `trigger` epochs old, as in the code released with the paper;
    until then the raw weights are validated and saved.

    Args:
        model: The model whose parameters are averaged.
        trigger: How many epochs the score may take to rise again.
    """

    needs_scores = True

    def __init__(self, model: nn.Module, *, trigger: PositiveInt = 5) -> None:
        self.trigger = trigger
        super().__init__(model)

    def share(self) -> float:
        """Return what makes all weights, those at the beginning included, count alike."""
        return 1 / (self.updates + 2)

    def begins(self, scores: Sequence[float]) -> bool:
        """Return whether the last score says so."""
        *earlier, last = scores
        return any(score > last for score in earlier[: -self.trigger])


AVERAGES: Registry[Average] = Registry(
    "average", Average, {"exponential": ExponentialAverage, "asgd": TriggeredAverage}
)
