"""Gradients per task. Letters: K tasks, N elements of the shared parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
