"""Gradients per task. Letters: K tasks, N elements of the shared parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn


def task_gradients(losses: Mapping[str, Tensor], shared: Sequence[nn.Parameter]) -> Tensor:
    """Return the gradient of each loss with respect to the shared parameters, `[K, N]`.

    It costs one backward pass per task, down to these parameters. The graph is retained, and the
    `grad` of the parameters is not changed.

    Args:
        losses: The loss by task, scalars.
        shared: The shared parameters, at least one.
    """
    rows = []
    for loss in losses.values():
        # A task may not use all shared parameters: missing gradients are zeros.
        gradients = torch.autograd.grad(
            loss, list(shared), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    return torch.stack(rows)


class TaskGradients:
    """The sums of the gradients of tasks over the parts of a step."""

    def __init__(self) -> None:
        self._rows: dict[str, Tensor] = {}

    def add(self, losses: Mapping[str, Tensor], shared: Sequence[nn.Parameter]) -> None:
        """Add the gradients of a part; arguments as `task_gradients`."""
        for task, row in zip(losses, task_gradients(losses, shared), strict=True):
            self._rows[task] = self._rows[task] + row if task in self._rows else row

    def complete(self, tasks: Iterable[str], shared: Sequence[nn.Parameter]) -> list[Tensor]:
        """Return the sums of some tasks, each `[N]`; tasks that have none get zeros.

        Args:
            tasks: The tasks.
            shared: The shared parameters; without any, there are no sums.
        """
        if not shared:
            return []
        zeros = shared[0].new_zeros(sum(p.numel() for p in shared))
        return [self._rows.setdefault(task, zeros.clone()) for task in tasks]

    def take(self, tasks: Iterable[str]) -> Tensor:
        """Return the sums of some tasks, `[K, N]`, and start again from zero."""
        rows, self._rows = self._rows, {}
        return torch.stack([rows[task] for task in tasks])
