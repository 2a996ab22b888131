"""Averages of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class ExponentialAverage:
    """An exponential moving average of the weights (Polyak & Juditsky 1992; Kingma & Ba 2015).

    ā ← d·ā + (1 − d)·θ with d = min(decay, (1 + n) / (10 + n)) after n updates, so that the
    untrained weights are soon forgotten. What is averaged is validated and saved; training goes
    on with the raw weights.

    Args:
        model: The model whose parameters are averaged.
        decay: The decay d, in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._parameters = dict(model.named_parameters())
        self.average = {name: p.detach().clone() for name, p in self._parameters.items()}

    def update(self) -> None:
        """Take the present weights in."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        present = [p.detach() for p in self._parameters.values()]
        torch._foreach_lerp_(list(self.average.values()), present, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averaged weights for as long as the context lasts."""
        raw = {name: p.detach().clone() for name, p in self._parameters.items()}
        self._set(self.average)
        try:
            yield
        finally:
            self._set(raw)

    @torch.no_grad()
    def _set(self, weights: dict[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.copy_(weights[name])
