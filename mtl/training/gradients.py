"""Gradient statistics for the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.layers.binary_scale import binary_scale
from mtl.training.events import Gradients
from mtl.weighting import task_gradients


def read_gradients(losses: Mapping[str, Tensor], shared: Sequence[nn.Parameter]) -> Gradients:
    """Return the gradient norms of the tasks of a step and the cosines between their gradients.

    It costs one backward pass through the shared parameters per task. It does not change `grad`.

    Args:
        losses: The loss by task, scalars.
        shared: The parameters that several tasks train, at least one.
    """
    gradients = task_gradients(losses, shared)
    scales = binary_scale(gradients, dim=1)
    gradients /= scales
    norms = gradients.norm(dim=1, keepdim=True)
    # A gradient of zero has the cosine 0 with all others, rather than NaN.
    units = gradients / torch.where(norms > 0, norms, 1)
    cosines = (units @ units.T).tolist()
    tasks = list(losses)
    return Gradients(
        dict(zip(tasks, (norms * scales).flatten().tolist(), strict=True)),
        {
            # The upper triangle: the matrix is symmetric.
            task: {other: cosines[i][j] for j, other in enumerate(tasks) if j > i}
            for i, task in enumerate(tasks[:-1])
        },
    )
