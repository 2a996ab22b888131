"""A trunk a task, drawn to each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import Literal

import torch
from torch import Tensor, nn

from mtl.layers.weight_penalties import (
    block_penalty,
    clustered_penalty,
    distance_penalty,
    mean_penalty,
    trace_penalty,
)
from mtl.options import NonNegativeFloat
from mtl.sharing.base import Encoded
from mtl.sharing.columns import States
from mtl.sharing.groups import number_groups
from mtl.sharing.none import NoSharing
from mtl.trunks.base import Trunk

Penalty = Literal["distance", "mean", "clustered", "trace", "l1_l2", "l1_linf"]


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
            weights (Argyriou et al. 2007).
        strength: λ. As the penalties are sums over all weights, it is small: for "l1_l2" and
            "l1_linf" some 1e-5.
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
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: States | None = None
    ) -> dict[str, Encoded]:
        """Run the trunk of every task asked for; see `Sharing.forward`."""
        found = super().forward(x, mask, tasks, state)
        if not self.training:
            return found
        penalties = {"soft": self.strength * self._weights_penalty()}
        return {task: replace(own, penalties=penalties) for task, own in found.items()}

    def _weights_penalty(self) -> Tensor:
        alike = zip(*(trunk.parameters() for trunk in self.trunks.values()), strict=True)
        return torch.stack([self.penalty(torch.stack(weights)) for weights in alike]).sum()

    @torch.no_grad()
    def learnt(self) -> dict[str, Tensor]:
        """Return how far the weights of the tasks lie apart, ‖w_a − w_b‖."""
        weights = torch.stack([_flat(trunk) for trunk in self.trunks.values()])
        exact = "donot_use_mm_for_euclid_dist"  # products cannot tell near vectors apart
        return {"distance": torch.cdist(weights, weights, compute_mode=exact)}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the tasks, which are rows and columns."""
        return {"distance": (list(self.trunks), list(self.trunks))}


def _flat(module: nn.Module) -> Tensor:
    return torch.cat([parameter.flatten() for parameter in module.parameters()])


def _chosen(
    penalty: Penalty, within: float, between: float, clusters: Sequence[int]
) -> Callable[[Tensor], Tensor]:
    """Return the penalty on weights `[M, ...]`."""
    return {
        "distance": distance_penalty,
        "mean": lambda weights: mean_penalty(weights, within=within),
        "clustered": lambda weights: clustered_penalty(
            weights, clusters, between=between, within=within
        ),
        "trace": trace_penalty,
        "l1_l2": block_penalty,
        "l1_linf": lambda weights: block_penalty(weights, inf),
    }[penalty]
