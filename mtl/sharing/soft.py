"""One trunk per task, with a penalty on the distance between their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from mtl.errors import OptionError
from mtl.layers.weight_penalties import (
    block_penalty,
    clustered_penalty,
    distance_penalty,
    mean_penalty,
    relationship_penalty,
    task_covariance,
    trace_penalty,
)
from mtl.options import NonNegativeFloat, Requires, RunContext, refuse_idle
from mtl.sharing.base import TrunkOutput
from mtl.sharing.columns import TowerStates
from mtl.sharing.groups import number_groups
from mtl.sharing.none import NoSharing
from mtl.trunks.base import Trunk

Penalty = Literal["distance", "mean", "clustered", "trace", "l1_l2", "l1_linf", "relationship"]
FLOOR = 0.01
"""Share of I / M in a learned covariance. A singular one would keep tasks from moving apart."""


class Soft(NoSharing):
    """One trunk per task, with a penalty that pulls their weights together (Duong et al. 2015).

    loss = Σ_t L_t + λ Ω(weights of all trunks), once per batch

    For tasks that are related but would hinder each other in one trunk. It needs the memory and
    the time of one trunk per task. The trunks start with equal weights.

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new trunk.
        penalty: Ω, a sum over the tensors of a trunk. "distance": Σ ‖w_a − w_b‖² over the pairs of
            tasks. "mean": ‖w̄‖² + (within/M) Σ ‖w_t − w̄‖² of M tasks (Evgeniou & Pontil 2004).
            "clustered": ‖w̄‖² + between · Σ_c M_c ‖w̄_c − w̄‖² + within · Σ_c Σ_t ‖w_t − w̄_c‖² (Jacob
            et al. 2009). "trace": the trace norm of the matrix with one row of weights per task
            (Yang & Hospedales 2017), which favours a low rank rather than small distances. "l1_l2",
            "l1_linf": the sum over weights of the norm over tasks, so that all tasks drop the same
            weights (Argyriou et al. 2007). "relationship": tr(Wᵀ Σ⁻¹ W) with one row of W per task
            and a learned covariance Σ of the tasks. Σ is I / M in the first epoch; each further
            epoch starts with (W Wᵀ)^½ divided by its trace (Zhang & Yeung 2010; Long et al. 2017),
            mixed with 1 % of I / M.
        strength: λ. The penalties are sums over all weights, so it is small: about 1e-5 for
            "l1_l2", "l1_linf" and "relationship".
        within: Weight of the distances of tasks to their mean, or to the mean of their cluster,
            relative to the norm of the overall mean; for "mean" and "clustered".
        between: Weight of the distances of cluster means to the overall mean; for "clustered".
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
        within: Annotated[NonNegativeFloat, Requires("penalty", ("mean", "clustered"))] = 1.0,
        between: Annotated[NonNegativeFloat, Requires("penalty", ("clustered",))] = 1.0,
        clusters: Annotated[list[list[str]] | None, Requires("penalty", ("clustered",))] = None,
    ) -> None:
        super().__init__(tasks, make_trunk)
        given = {"penalty": penalty, "within": within, "between": between, "clusters": clusters}
        refuse_idle(Soft, given)
        if penalty == "clustered" and clusters is None:
            raise OptionError("clusters", "expected groups of tasks with the penalty 'clustered'")
        numbers = number_groups(tasks, clusters or [tasks], "clusters")
        self.penalty = _chosen(penalty, within, between, [numbers[task] for task in tasks])
        self.strength = strength
        first, *others = self.trunks.values()
        for trunk in others:
            trunk.load_state_dict(first.state_dict())

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note if the run ends before the first covariance is computed."""
        if options["penalty"] == "relationship" and context.epochs == 1:
            yield (
                "the covariance of 'relationship' is learned from the second epoch on, and the run "
                "has 1 epoch, so the penalty is the same for all pairs of tasks"
            )

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: TowerStates | None = None
    ) -> dict[str, TrunkOutput]:
        """Run the trunk of every task asked for; see `Sharing.forward`."""
        outputs = super().forward(x, mask, tasks, state)
        if not self.training:
            return outputs
        # Distances of weights need float32, also where the trunks are computed in bfloat16.
        with torch.autocast(x.device.type, enabled=False):
            penalties = {"soft": self.strength * self._weights_penalty()}
        return {task: replace(own, penalties=penalties) for task, own in outputs.items()}

    @torch.no_grad()
    def begin_epoch(self, epoch: int) -> None:
        """Update the covariance of "relationship" from the weights, after the first epoch."""
        if epoch and isinstance(self.penalty, Relationship):
            self.penalty.covariance = task_covariance(self._weights(), floor=FLOOR)

    def epoch_state(self) -> dict[str, Tensor]:
        """Return the covariance of "relationship"."""
        if isinstance(self.penalty, Relationship):
            return {"covariance": self.penalty.covariance}
        return {}

    def restore_epoch(self, state: Mapping[str, Tensor]) -> None:
        """Restore the covariance of "relationship"."""
        if isinstance(self.penalty, Relationship):
            self.penalty.covariance = state["covariance"].to(self.penalty.covariance.device)

    def _weights(self) -> Tensor:
        """Return the weights of all trunks, one row per trunk."""
        return torch.stack(
            [parameters_to_vector(trunk.parameters()) for trunk in self.trunks.values()]
        )

    def _weights_penalty(self) -> Tensor:
        alike = zip(*(trunk.parameters() for trunk in self.trunks.values()), strict=True)
        return torch.stack([self.penalty(torch.stack(weights)) for weights in alike]).sum()

    @torch.no_grad()
    def learnt(self) -> dict[str, Tensor]:
        """Return the distances ‖w_a − w_b‖ between the tasks, and Σ for "relationship"."""
        weights = self._weights()
        exact = "donot_use_mm_for_euclid_dist"  # products lose small distances to rounding
        learned = {"distance": torch.cdist(weights, weights, compute_mode=exact)}
        if isinstance(self.penalty, Relationship):
            learned["relationship"] = task_covariance(weights, floor=FLOOR)
        return learned

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the tasks, for the rows and columns of all matrices."""
        tasks = list(self.trunks)
        related = isinstance(self.penalty, Relationship)
        return dict.fromkeys(["distance", *["relationship"] * related], (tasks, tasks))


class Relationship(nn.Module):
    """tr(Wᵀ Σ⁻¹ W) of weights `[M, ...]`; Σ starts as I / M.

    Σ follows from the weights at the start of an epoch; checkpoints within the epoch contain it.

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
