"""Gradients of single tasks. Letters: K tasks, N numbers in the parameters that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


def task_gradients(losses: Mapping[str, Tensor], shared: Sequence[nn.Parameter]) -> Tensor:
    """Return the gradient of each loss by the shared parameters, `[K, N]`.

    One pass backwards a task, as far down as these parameters; the graph is kept, and no
    parameter's `grad` is touched.

    Args:
        losses: Task to its loss, a scalar.
        shared: At least one parameter.
    """
    rows = []
    for loss in losses.values():
        found = torch.autograd.grad(
            loss, list(shared), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        rows.append(torch.cat([gradient.flatten() for gradient in found]))
    return torch.stack(rows)
