"""Averages of the weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mtl.options import Checked, PositiveInt, Probability, RunContext, count
from mtl.registry import Registry
from mtl.training.moments import Moments


class Average(Checked, ABC):
    """Base of running averages ā of the weights θ, updated after each step: ā ← ā + s·(θ − ā).

    The averaged weights are validated and saved; training continues with the raw weights. Weights
    that never train are left out. Moments of batch normalisation are computed for the average.

    Args:
        model: The model whose parameters are averaged.
    """

    needs_scores: ClassVar[bool] = False
    """Whether it has no effect without a development set."""
    average: dict[str, Tensor]
    """The average by parameter name; empty until the average begins."""
    updates: int
    """Number of updates since it began."""
    moments: Moments | None = None
    """The moments of batch normalisation that belong to the average, if the model has any."""

    def __init__(self, model: nn.Module) -> None:
        self._parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.reset()

    def reset(self) -> None:
        """Return to the state at the start of a run."""
        self.average, self.updates = {}, 0

    def begin(self) -> None:
        """Start the average at the current weights."""
        self.average = {name: p.detach().clone() for name, p in self._parameters.items()}
        self.updates = 0

    def restore(self, average: Mapping[str, Tensor], updates: int) -> None:
        """Continue from a saved average.

        Args:
            average: The average by parameter name; empty if it had not begun.
            updates: The number of updates since it began.
        """
        parameters = self._parameters if average else {}
        self.average = {name: average[name].to(p.device) for name, p in parameters.items()}
        self.updates = updates

    def update(self) -> None:
        """Add the current weights, if the average has begun."""
        if self.average:
            current = [p.detach() for p in self._parameters.values()]
            # One fused call for all parameters, as this runs after every step.
            torch._foreach_lerp_(list(self.average.values()), current, self.share())
            self.updates += 1
            if self.moments:
                self.moments.forget()

    @abstractmethod
    def share(self) -> float:
        """Return the share s of the weights in the next update."""

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
        """Use the averaged weights in the model within the context."""
        raw = {name: self._parameters[name].detach().clone() for name in self.average}
        self._set(self.average)
        own = self.moments.applied() if self.moments and self.average else nullcontext()
        try:
            with own:
                yield
        finally:
            self._set(raw)

    @torch.no_grad()
    def _set(self, weights: dict[str, Tensor]) -> None:
        for name, value in weights.items():
            self._parameters[name].copy_(value)


class ExponentialAverage(Average):
    """An exponential moving average of the weights (Polyak & Juditsky 1992; Kingma & Ba 2015).

    ā ← d·ā + (1 − d)·θ with d = min(decay, (1 + n) / (10 + n)) after n updates. The smaller decay
    at the start removes the influence of the untrained weights.

    Args:
        model: The model whose parameters are averaged.
        decay: The decay d.
    """

    def __init__(self, model: nn.Module, *, decay: Probability = 0.999) -> None:
        self.decay = decay
        super().__init__(model)  # begins the average at once, by `reset`

    def reset(self) -> None:
        """Start the average at the current weights."""
        self.begin()

    def share(self) -> float:
        """Return 1 − d."""
        return 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))


class TriggeredAverage(Average):
    """Mean of the weights of all steps since the score stopped rising (Merity et al. 2017).

    With plain SGD this is NT-ASGD. Averaging starts after the first epoch whose score is below a
    score from more than `trigger` epochs ago, as in the authors' released code. Until then the raw
    weights are validated and saved.

    Args:
        model: The model whose parameters are averaged.
        trigger: The non-monotone interval n: averaging starts when the dev score is below a score
            from more than n epochs ago.
    """

    needs_scores = True

    def __init__(self, model: nn.Module, *, trigger: PositiveInt = 5) -> None:
        self.trigger = trigger
        super().__init__(model)

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note if the run ends before the average can take in a step."""
        first = options["trigger"] + 2
        if context.epochs <= first:
            yield (
                f"the average begins after epoch {first} at the earliest, and the run has "
                f"{count(context.epochs, 'epoch')}; set a lower trigger, or leave it out"
            )

    def share(self) -> float:
        """Return the share of a plain mean over all weights since the start, the first included."""
        return 1 / (self.updates + 2)

    def begins(self, scores: Sequence[float]) -> bool:
        """Return whether the last score is below a score from more than `trigger` epochs ago."""
        # A function of the scores alone, so a resumed run makes the same decision.
        *earlier, last = scores
        return any(score > last for score in earlier[: -self.trigger])


AVERAGES: Registry[Average] = Registry(
    "average", Average, {"exponential": ExponentialAverage, "asgd": TriggeredAverage}
)
