"""Signs of a training that goes wrong, and their causes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

LARGE_WEIGHT = 1e4
"""A weight of a task that may be the cause of a divergence."""
GROWTH = 50.0
"""A loss that is this many times as large as at first is worth a warning."""
LARGE_LOSS = 100.0
"""Smaller losses are never worth a warning."""


class LossWatch:
    """Notices a loss that grows far beyond its first value, once per run."""

    def __init__(self) -> None:
        self.first: dict[str, float] = {}
        """The first loss by task."""
        self.warned = False
        """Whether a warning was returned."""

    def warning(self, step: int, losses: Mapping[str, float]) -> str:
        """Return a warning for the losses of a step, or an empty string.

        Args:
            step: The step, from 0.
            losses: The mean loss by task.
        """
        for task, loss in losses.items():
            first = self.first.setdefault(task, loss)
            if not self.warned and loss > max(LARGE_LOSS, GROWTH * first):
                self.warned = True
                return (
                    f"warning: the loss of task {task!r} is {loss:,.0f} at step {step}, it began "
                    f"at {first:.3g}; a lower training.optimizer.lr, or a clip_norm, prevents this"
                )
        return ""


def cause(
    model: nn.Module,
    losses: Mapping[str, Tensor],
    weights: Mapping[str, float],
    penalties: Mapping[str, Tensor],
    *,
    began: bool,
) -> tuple[str, str] | None:
    """Return the cause of gradients that are not finite and its remedy; None: the learning rate.

    Args:
        model: The model, before the update.
        losses: The mean loss by task, scalars.
        weights: The weight of the loss, by task.
        penalties: Further terms of the loss by name, scalars.
        began: Whether weights have been updated; before that, their initial values are a cause.
    """
    for name, parameter in (*model.named_parameters(), *model.named_buffers()):
        if not began and parameter.is_floating_point() and not parameter.isfinite().all():
            return (
                f"{name} has numbers that are not finite",
                "correct the vectors or the run that it starts from",
            )
    large = {task: weight for task, weight in weights.items() if not weight < LARGE_WEIGHT}
    if large:
        task = max(large, key=lambda name: large[name])
        return (
            f"task {task!r} has the weight {large[task]:g} and the loss {losses[task].item():.3g}",
            f"lower tasks.{task}.weight",
        )
    for name, term in penalties.items():
        if not abs(term.item()) < math.inf:
            return f"the penalty {name!r} is {term.item()}", "lower its strength"
    return None


def not_finite(model: nn.Module, losses: Mapping[str, Tensor]) -> str:
    """Return a description of gradients whose norm is not finite: the losses, or the parts.

    Args:
        model: The model, with the gradients of the step.
        losses: The mean loss by task, scalars.
    """
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm().item()
    if wrong := [task for task, loss in losses.items() if not loss.isfinite()]:
        return f"the loss of {' and '.join(map(repr, wrong))} is no longer finite (norm {norm})"
    names = (name for name, gradient in gradients.items() if not gradient.isfinite().all())
    parts = dict.fromkeys(".".join(name.split(".")[:2]) for name in names)
    where = f" of {', '.join(parts)}" if parts else ""
    return f"the gradients{where} are no longer finite (norm {norm})"
