"""What is written down of the gradients of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.training.events import Gradients
from mtl.weighting import task_gradients


def read_gradients(losses: Mapping[str, Tensor], shared: Sequence[nn.Parameter]) -> Gradients:
    """Return the norms of the gradients of a step's tasks, and the cosines between them.

    Costs a pass backwards through the shared part for each task, and changes nothing.

    Args:
        losses: Task to its loss, a scalar.
        shared: The parameters that several tasks train, at least one.
    """
    gradients = task_gradients(losses, shared)
    norms = gradients.norm(dim=1)
    units = gradients / norms.clamp(min=torch.finfo(norms.dtype).tiny).unsqueeze(1)
    cosines = (units @ units.T).tolist()
    tasks = list(losses)
    return Gradients(
        dict(zip(tasks, norms.tolist(), strict=True)),
        {
            task: {other: cosines[i][j] for j, other in enumerate(tasks) if j > i}
            for i, task in enumerate(tasks[:-1])
        },
    )
