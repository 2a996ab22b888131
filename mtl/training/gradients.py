"""Gradient statistics for the log."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from mtl.layers.binary_scale import binary_scale
from mtl.training.events import Gradients


def read_gradients(tasks: Iterable[str], gradients: Tensor) -> Gradients:
    """Return the gradient norms of the tasks of a step and the cosines between their gradients.

    Args:
        tasks: The tasks.
        gradients: `[K, N]`, the gradient of the loss of each task with respect to the parameters
            that several tasks train, in the order of the tasks; it is changed.
    """
    scales = binary_scale(gradients, dim=1)
    gradients /= scales
    norms = gradients.norm(dim=1, keepdim=True)
    # A gradient of zero has the cosine 0 with all others, rather than NaN.
    units = gradients / torch.where(norms > 0, norms, 1)
    cosines = (units @ units.T).tolist()
    tasks = list(tasks)
    return Gradients(
        dict(zip(tasks, (norms * scales).flatten().tolist(), strict=True)),
        {
            # The upper triangle: the matrix is symmetric.
            task: {other: cosines[i][j] for j, other in enumerate(tasks) if j > i}
            for i, task in enumerate(tasks[:-1])
        },
    )
