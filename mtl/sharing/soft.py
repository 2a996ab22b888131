"""A trunk a task, drawn to each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from mtl.layers.weight_penalties import (
    block_penalty,
    clustered_penalty,
    distance_penalty,
    mean_penalty,
    relationship_penalty,
    task_covariance,
    trace_penalty,
)
from mtl.options import NonNegativeFloat
from mtl.sharing.base import TrunkOutput
from mtl.sharing.columns import TowerStates
from mtl.sharing.groups import number_groups
from mtl.sharing.none import NoSharing
from mtl.trunks.base import Trunk

Penalty = Literal["distance", "mean", "clustered", "trace", "l1_l2", "l1_linf", "relationship"]
FLOOR = 0.01
"""Share of I / M in a learned covariance: if it were singular, tasks could not come apart."""


class Soft(NoSharing):
    """Each task has a trunk, and a penalty draws their weights together (Duong et al. 2015).

    loss = Σ_t L_t + λ Ω(weights of all trunks), once a batch

    For tasks that are related but would hinder each other in one trunk. It takes as many trunks as
    there are tasks, and as much time; the trunks start alike.

    Args:
        tasks: The names of all tasks.
        make_trunk: Called without arguments for each trunk wanted; gives a fresh one.
        penalty: Ω, a sum over the tensors of a trunk. "distance": Σ ‖w_a − w_b‖² over the pairs of
            tasks. "mean": ‖w̄‖² + (within/M) Σ ‖w_t − w̄‖² of M tasks (Evgeniou & Pontil 2004).
            "clustered": ‖w̄‖² + between · Σ_c M_c ‖w̄_c − w̄‖² + within · Σ_c Σ_t ‖w_t − w̄_c‖² (Jacob
            et al. 2009). "trace": the trace norm of the tasks' weights, one task a row (Yang &
            Hospedales 2017), which asks for few dimensions, not for nearness. "l1_l2", "l1_linf":
            the norm of each weight over the tasks, summed, so that all tasks do without the same
            weights (Argyriou et al. 2007). "relationship": tr(Wᵀ Σ⁻¹ W), one task a row of W, where
            the covariance Σ of the tasks is learnt: at first I / M, and as each further epoch
            begins (W Wᵀ)^½ over its trace (Zhang & Yeung 2010; Long et al. 2017), with 1 % of I / M
            in it.
        strength: λ. As the penalties are sums over all weights, it is small: for "l1_l2",
            "l1_linf" and "relationship" some 1e-5.
        within: How much tasks are drawn to their mean or that of their cluster, next to how small
            the mean of all is held; for "mean" and "clustered".
        between: How much the means of clusters are drawn to that of all; for "clustered".
        clusters: The tasks of each cluster, for "clustered": [[pos, chunk], [sentiment]].
    """

    min_tasks = 2

    def __init__(
        self,
        tasks: Sequence[str],
        make_trunk: Callable[[], Trunk],
        *,
        penalty: Penalty = "distance",
        strength: NonNegativeFloat = 0.001,
        within: NonNegativeFloat = 1.0,
        between: NonNegativeFloat = 1.0,
        clusters: list[list[str]] | None = None,
    ) -> None:
        super().__init__(tasks, make_trunk)
        if (penalty == "clustered") != (clusters is not None):
            told = "needs" if clusters is None else "does nothing with"
            raise ValueError(f"clusters: the penalty {penalty!r} {told} them")
        numbers = number_groups(tasks, clusters or [tasks], "clusters")
        self.penalty = _chosen(penalty, within, between, [numbers[task] for task in tasks])
        self.strength = strength
        first, *others = self.trunks.values()
        for trunk in others:
            trunk.load_state_dict(first.state_dict())

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: TowerStates | None = None
    ) -> dict[str, TrunkOutput]:
        """Run the trunk of every task asked for; see `Sharing.forward`."""
        found = super().forward(x, mask, tasks, state)
        if not self.training:
            return found
        penalties = {"soft": self.strength * self._weights_penalty()}
        return {task: replace(own, penalties=penalties) for task, own in found.items()}

    @torch.no_grad()
    def begin_epoch(self, epoch: int) -> None:
        """Let the covariance of "relationship" follow from the weights, if they are trained."""
        if epoch and isinstance(self.penalty, Relationship):
            self.penalty.covariance = task_covariance(self._weights(), floor=FLOOR)

    def _weights(self) -> Tensor:
        """Return the weights of all trunks, one a row."""
        return torch.stack(
            [parameters_to_vector(trunk.parameters()) for trunk in self.trunks.values()]
        )

    def _weights_penalty(self) -> Tensor:
        alike = zip(*(trunk.parameters() for trunk in self.trunks.values()), strict=True)
        return torch.stack([self.penalty(torch.stack(weights)) for weights in alike]).sum()

    @torch.no_grad()
    def learnt(self) -> dict[str, Tensor]:
        """Return how far the weights of the tasks lie apart, ‖w_a − w_b‖; of "relationship" Σ."""
        weights = self._weights()
        exact = "donot_use_mm_for_euclid_dist"  # products cannot tell near vectors apart
        found = {"distance": torch.cdist(weights, weights, compute_mode=exact)}
        if isinstance(self.penalty, Relationship):
            found["relationship"] = task_covariance(weights, floor=FLOOR)
        return found

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the tasks, which are rows and columns of all."""
        tasks = list(self.trunks)
        related = isinstance(self.penalty, Relationship)
        return dict.fromkeys(["distance", *["relationship"] * related], (tasks, tasks))


class Relationship(nn.Module):
    """tr(Wᵀ Σ⁻¹ W) of weights `[M, ...]`, with Σ at first I / M.

    Σ follows from the weights, so no checkpoint needs it.

    Args:
        tasks: The number M of tasks.
    """

    covariance: Tensor

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.register_buffer("covariance", torch.eye(tasks) / tasks, persistent=False)

    def forward(self, weights: Tensor) -> Tensor:
        """Return the penalty on weights `[M, ...]`."""
        return relationship_penalty(weights, self.covariance)


def _chosen(
    penalty: Penalty, within: float, between: float, clusters: Sequence[int]
) -> Callable[[Tensor], Tensor]:
    """Return the penalty on weights `[M, ...]`."""
    penalties: dict[str, Callable[[Tensor], Tensor]] = {
        "distance": distance_penalty,
        "mean": lambda weights: mean_penalty(weights, within=within),
        "clustered": lambda weights: clustered_penalty(
            weights, clusters, between=between, within=within
        ),
        "trace": trace_penalty,
        "l1_l2": block_penalty,
        "l1_linf": lambda weights: block_penalty(weights, inf),
        "relationship": Relationship(len(clusters)),
    }
    return penalties[penalty]
