"""Penalties on the weights of all tasks, some of them with learned quantities. Letter: M tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtl.layers.weight_penalties import (
    axis_inverses,
    clustered_penalty,
    relationship_penalty,
    task_clusters,
    task_covariance,
    tensor_normal_penalty,
)

FLOOR = 0.01
"""Share of I / M in a learned covariance. A singular one would keep tasks from moving apart."""

Stacks = Sequence[Tensor]
"""The tensors of a trunk, each for all tasks: `[M, ...]`."""


class WeightPenalty(nn.Module):
    """The sum of a penalty over the tensors of a trunk.

    A subclass may learn quantities from the weights at the start of each epoch but the first. It
    keeps them as buffers, which checkpoints within the epoch contain.

    Args:
        penalty: The penalty on one tensor `[M, ...]`.
    """

    matrices: ClassVar[tuple[str, ...]] = ()
    """The names of the learned matrices."""

    def __init__(self, penalty: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.penalty = penalty

    def forward(self, stacks: Stacks) -> Tensor:
        """Return the penalty, a scalar."""
        return torch.stack([self.penalty(weights) for weights in stacks]).sum()

    def update(self, stacks: Stacks) -> None:
        """Learn from the weights."""

    def learnt(self, stacks: Stacks) -> dict[str, Tensor]:
        """Return learned `[M, M]` matrices of the tasks, by name."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore the buffers."""
        for name, value in state.items():
            setattr(self, name, value.to(self.get_buffer(name).device))


class Relationship(WeightPenalty):
    """tr(Wᵀ Σ⁻¹ W) with one learned covariance Σ of the tasks, which starts as I / M.

    Args:
        tasks: The number M of tasks.
    """

    matrices = ("relationship",)
    covariance: Tensor

    def __init__(self, tasks: int) -> None:
        super().__init__(lambda weights: relationship_penalty(weights, self.covariance))
        self.register_buffer("covariance", torch.eye(tasks) / tasks, persistent=False)

    def update(self, stacks: Stacks) -> None:
        """Set Σ to the most likely one, mixed with I / M."""
        self.covariance = self.learnt(stacks)["relationship"]

    def learnt(self, stacks: Stacks) -> dict[str, Tensor]:
        """Return Σ for the weights."""
        return {"relationship": task_covariance(_rows(stacks), floor=FLOOR)}


class LearnedClusters(WeightPenalty):
    """The penalty of learned clusters of tasks, which start as one.

    Args:
        tasks: The number M of tasks.
        number: The number of clusters.
        between: Weight of the distances of cluster means to the overall mean.
        within: Weight of the distances of tasks to the means of their clusters.
    """

    matrices = ("clusters",)
    clusters: Tensor

    def __init__(self, tasks: int, number: int, *, between: float, within: float) -> None:
        super().__init__(
            lambda weights: clustered_penalty(
                weights, self.clusters.tolist(), between=between, within=within
            )
        )
        self.number = number
        self.register_buffer("clusters", torch.zeros(tasks, dtype=torch.int64), persistent=False)

    def update(self, stacks: Stacks) -> None:
        """Cluster the weights of the tasks."""
        self.clusters = torch.tensor(
            task_clusters(_rows(stacks), self.number), device=self.clusters.device
        )

    def learnt(self, stacks: Stacks) -> dict[str, Tensor]:
        """Return 1 for tasks of one cluster, and 0 for others."""
        ids = torch.tensor(task_clusters(_rows(stacks), self.number))
        return {"clusters": (ids == ids.unsqueeze(1)).float()}


class TensorNormal(WeightPenalty):
    """vec(W)ᵀ (Σ₁ ⊗ Σ₂ ⊗ …)⁻¹ vec(W), with a learned covariance per tensor and axis, at first I.

    Args:
        stacks: The tensors of a trunk, for their shapes.
    """

    matrices = ("relationship",)

    def __init__(self, stacks: Stacks) -> None:
        super().__init__(lambda weights: weights)
        for i, weights in enumerate(stacks):
            for axis, size in enumerate(weights.shape):
                self.register_buffer(f"inverse_{i}_{axis}", torch.eye(size), persistent=False)

    def _inverses(self, i: int, stacks: Stacks) -> list[Tensor]:
        return [self.get_buffer(f"inverse_{i}_{axis}") for axis in range(stacks[i].ndim)]

    def forward(self, stacks: Stacks) -> Tensor:
        """Return the penalty, a scalar."""
        terms = [
            tensor_normal_penalty(weights, self._inverses(i, stacks))
            for i, weights in enumerate(stacks)
        ]
        return torch.stack(terms).sum()

    def update(self, stacks: Stacks) -> None:
        """Set the covariances to the most likely ones, mixed with I."""
        for i, weights in enumerate(stacks):
            found = axis_inverses(weights, self._inverses(i, stacks), floor=FLOOR)
            for axis, inverse in enumerate(found):
                setattr(self, f"inverse_{i}_{axis}", inverse)

    def learnt(self, stacks: Stacks) -> dict[str, Tensor]:
        """Return the mean covariance of the tasks over all tensors."""
        inverses = [self._inverses(i, stacks)[0] for i in range(len(stacks))]
        return {"relationship": torch.stack([own.inverse() for own in inverses]).mean(0)}


def _rows(stacks: Stacks) -> Tensor:
    """Return the weights of all tensors, one row per task."""
    return torch.cat([weights.flatten(1) for weights in stacks], dim=1)
