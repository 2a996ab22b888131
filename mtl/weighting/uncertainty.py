"""Weights by a learned scale of each loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.options import Bounds
from mtl.weighting.base import Weighting, check_not_negative, values_of

_Bound = Annotated[float, Bounds(gt=0, le=80)]
"""A bound of |s|; e^88 exceeds float32."""


class Uncertainty(Weighting):
    """L = Σ_t w_t · (L_t · e^(−s_t) + s_t / 2) with s_t = log σ_t² learned (Kendall et al. 2017).

    This is the form for classification, L/σ² + log σ. For a constant loss the optimum is σ² = 2L,
    so every L/σ² tends to 1/2, regardless of the scale of the losses. The optimiser of the run
    learns s_t; a step without the task does not change it.

    Args:
        tasks: All tasks with their weights w_t from the run file.
        initial: Initial value of s_t, with |initial| < bound; 0 starts with the weights of the run
            file.
        bound: Bound of |s_t|, so that the factor e^(−s_t) stays between e^−bound and e^bound.
    """

    note = (
        "weighting 'uncertainty' adds log σ to the weighted losses, so that they and the total may "
        "be negative"
    )
    name: ClassVar[str] = "uncertainty"
    price: ClassVar[float] = 0.5
    """Factor of s_t in the objective; every L · e^(−s) tends to it."""

    def __init__(
        self, tasks: Mapping[str, float], *, initial: float = 0.0, bound: _Bound = 5.0
    ) -> None:
        super().__init__(tasks)
        if not abs(initial) < bound:
            raise OptionError(
                "initial", f"expected less than the bound ({bound:g}), got {initial:g}"
            )
        self.bound = bound
        # One parameter per task. In a joint parameter, an absent task would have a gradient of
        # zero, and the moments of the optimiser would change its entry all the same.
        start = bound * math.atanh(initial / bound)
        self.free = nn.ParameterList(nn.Parameter(torch.tensor(start)) for _ in tasks)

    def log_variances(self) -> dict[str, Tensor]:
        """Return s_t by task, scalars."""
        # tanh rather than clamp, whose gradient is zero beyond the bound.
        free = zip(self.tasks, self.free, strict=True)
        return {task: self.bound * torch.tanh(value / self.bound) for task, value in free}

    def weights(self) -> dict[str, float]:
        """Return w_t / σ_t²."""
        variances = values_of(self.log_variances())
        return {task: weight * math.exp(-variances[task]) for task, weight in self.tasks.items()}

    def learnt(self) -> dict[str, Tensor]:
        """Return the variances σ_t²."""
        return {"variances": torch.stack([*self.log_variances().values()]).exp()}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the names of the entries: the tasks."""
        return {"variances": (list(self.tasks),)}

    def combine(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return w_t · (L_t · e^(−s_t) + price · s_t) by task; see `Weighting.combine`.

        Raises:
            TrainingError: A loss is negative, so that σ would shrink without limit.
        """
        check_not_negative(self.name, values_of(losses))
        s = self.log_variances()
        return {
            task: self.tasks[task] * (loss * torch.exp(-s[task]) + self.price * s[task])
            for task, loss in losses.items()
        }


class ImpartialLoss(Uncertainty):
    """L = Σ_t w_t · (L_t · e^(−s_t) + s_t) with s_t learned (IMTL-L, Liu et al. 2021).

    For a constant loss the optimum is e^s = L, so every weighted loss tends to 1, regardless of the
    scales of the losses. `uncertainty` has s/2 in place of s. With the rest of the model, the two
    differ by a constant factor of all losses, which matters beside penalties and the norm at which
    gradients are clipped. The paper also balances gradients (IMTL-G), and this part does not.

    Args:
        tasks: All tasks with their weights w_t from the run file.
        initial: Initial value of s_t, with |initial| < bound; 0 starts with the weights of the run
            file.
        bound: Bound of |s_t|, so that the factor e^(−s_t) stays between e^−bound and e^bound.
    """

    note = (
        "weighting 'imtl' adds the logarithm of a learned scale to the weighted losses, so that "
        "they and the total may be negative"
    )
    name = "imtl"
    price = 1.0

    def learnt(self) -> dict[str, Tensor]:
        """Return the learned scales e^(s_t), which losses are divided by."""
        return {"scales": torch.stack([*self.log_variances().values()]).exp()}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the names of the entries: the tasks."""
        return {"scales": (list(self.tasks),)}
