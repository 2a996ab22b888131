"""Values of steps, and their sums over an epoch, from which its record is made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mtl.training.events import Step


class EpochSums:
    """Losses, tokens and times of the steps of an epoch so far. They are part of a checkpoint.

    Args:
        saved: The result of `to_json`; None: no step is done.
    """

    def __init__(self, saved: Any = None) -> None:
        saved = saved or {}
        self._losses: dict[str, float] = defaultdict(float, saved.get("losses", {}))
        self._steps: dict[str, int] = defaultdict(int, saved.get("steps", {}))
        self._tokens: dict[str, int] = defaultdict(int, saved.get("tokens", {}))
        self._seconds: dict[str, float] = defaultdict(float, saved.get("seconds", {}))
        self.seconds: float = saved.get("total_seconds", 0.0)
        """The duration of all steps."""

    def add(self, step: Step) -> None:
        """Add a step."""
        for task, loss in step.losses.items():
            self._losses[task] += loss
            self._steps[task] += 1
        for task, tokens in step.tokens.items():
            self._tokens[task] += tokens
            self._seconds[task] += step.seconds
        self.seconds += step.seconds

    def losses(self) -> dict[str, float]:
        """Return the mean loss of each task."""
        return {task: loss / self._steps[task] for task, loss in self._losses.items()}

    def speeds(self) -> dict[str, float]:
        """Return the tokens per second of each task, over the steps with this task."""
        return {task: n / max(self._seconds[task], 1e-9) for task, n in self._tokens.items()}

    def to_json(self) -> Any:
        """Return the sums as JSON types."""
        return {
            "losses": dict(self._losses),
            "steps": dict(self._steps),
            "tokens": dict(self._tokens),
            "seconds": dict(self._seconds),
            "total_seconds": self.seconds,
        }


def transfer(*groups: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """Return the values of several groups of scalars, with one transfer from their device."""
    scalars = [x.detach() for group in groups for x in group.values()]
    values = iter(torch.stack(scalars).tolist())
    return [{name: next(values) for name in group} for group in groups]
