"""Noise on gradients, and gradient statistics for the log."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mtl.data.batching import generator
from mtl.layers.binary_scale import binary_scale
from mtl.training.events import Gradients


class GradientNoise:
    """Adds N(0, scale / (1 + t)^0.55) to every gradient of step t (Neelakantan et al. 2015).

    The noise is a function of the seed and the step, so it is equal in all processes of a run and
    after resuming. The paper tries the scales 0.01, 0.3 and 1.

    Args:
        scale: The variance at step 0; η in the paper.
        seed: The seed of the run.
    """

    DECAY = 0.55
    """The exponent γ of the paper."""

    def __init__(self, scale: float, seed: int) -> None:
        self.scale = scale
        self.seed = seed

    def deviation(self, step: int) -> float:
        """Return the standard deviation at a step, counted from 0."""
        return float((self.scale / (1 + step) ** self.DECAY) ** 0.5)

    def add(self, parameters: Iterable[nn.Parameter], step: int) -> None:
        """Add noise to the gradients of the parameters that have one, in place."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not gradients:
            return
        # A key per step rather than one stream of numbers, which would be one more state to save.
        random = torch.Generator(gradients[0].device)
        random.manual_seed(int(generator(self.seed, "noise", step).integers(2**63)))
        for gradient in gradients:
            noise = torch.empty_like(gradient).normal_(generator=random)
            gradient.add_(noise, alpha=self.deviation(step))


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
