"""One trunk per task, with a penalty on the distance between their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from mtl.errors import OptionError
from mtl.layers.weight_penalties import (
    block_penalty,
    clustered_penalty,
    dirty_penalty,
    distance_penalty,
    fused_penalty,
    mean_penalty,
    subspace_penalty,
    trace_penalty,
    tree_penalty,
)
from mtl.options import (
    Bounds,
    Fraction,
    NonNegativeFloat,
    PositiveInt,
    Requires,
    RunContext,
    refuse_idle,
)
from mtl.sharing.base import Restricted, TrunkOutput
from mtl.sharing.columns import TowerStates
from mtl.sharing.groups import number_edges, number_groups, number_tree
from mtl.sharing.none import NoSharing
from mtl.sharing.penalties import LearnedClusters, Relationship, TensorNormal, WeightPenalty
from mtl.trunks.base import Trunk

Penalty = Literal[
    "distance",
    "mean",
    "clustered",
    "trace",
    "l1_l2",
    "l1_linf",
    "dirty",
    "tree",
    "graph",
    "subspace",
    "relationship",
    "tensor_normal",
]
Tree = list[str | list[str | list[str]]]
"""The children of the root of a tree of tasks: tasks and nodes, of up to two levels of nodes."""


class Soft(NoSharing):
    """One trunk per task, with a penalty that pulls their weights together (Duong et al. 2015).

    loss = Σ_t L_t + λ Ω(weights of all trunks), once per batch

    For tasks that are related but would hinder each other in one trunk. It needs the memory and
    the time of one trunk per task. The trunks start with equal weights.

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new `Trunk`.
        penalty: Ω, a sum over the tensors of a trunk. "distance": Σ ‖w_a − w_b‖² over the pairs of
            tasks. "mean": ‖w̄‖² + (within/M) Σ ‖w_t − w̄‖² of M tasks (Evgeniou & Pontil 2004).
            "clustered": ‖w̄‖² + between · Σ_c M_c ‖w̄_c − w̄‖² + within · Σ_c Σ_t ‖w_t − w̄_c‖² (Jacob
            et al. 2009). "trace": the trace norm of the matrix with one row of weights per task
            (Yang & Hospedales 2017), which favours a low rank rather than small distances. "l1_l2",
            "l1_linf": the sum over weights of the norm over tasks, so that all tasks drop the same
            weights (Argyriou et al. 2007). "dirty": the least `block` · ℓ1/ℓ∞(B) + ℓ1(S) with
            B + S = W, so that tasks drop most weights together and some alone (Jalali et al. 2010).
            "tree": norms of the tasks below each node of `tree` (Kim & Xing 2010). "graph":
            Σ |w_a − w_b| over `edges` (Kim & Xing 2009). "subspace": the distance of tasks to a
            common subspace of some `dimensions` (Ando & Zhang 2005). "relationship": tr(Wᵀ Σ⁻¹ W)
            with one row of W per task and a learned covariance Σ of the tasks. Σ is I / M in the
            first epoch; each further epoch starts with (W Wᵀ)^½ divided by its trace (Zhang & Yeung
            2010), mixed with 1 % of I / M. "tensor_normal": the same with covariances of tasks,
            units and inputs, Σ₁ ⊗ Σ₂ ⊗ Σ₃, of each tensor (Long et al. 2017). They are I in the
            first epoch; each further epoch starts with one sweep of their estimation. Each step
            then takes several times as long.
        strength: λ. The penalties are sums over all weights, so it is small: about 1e-5 for all
            but "distance", "mean" and "clustered".
        within: Weight of the distances of tasks to their mean, or to the mean of their cluster,
            relative to the norm of the overall mean; for "mean" and "clustered".
        between: Weight of the distances of cluster means to the overall mean, less than `within`;
            for "clustered".
        clusters: The tasks of each cluster, for "clustered": [[pos, chunk], [sentiment]].
        num_clusters: The number of clusters to learn, in place of `clusters`. At the start of each
            epoch but the first, the weights of the tasks are clustered (by Ward's method), so that
            tasks learn with whom to share (Kang et al. 2011).
        block: The cost of the shared part for "dirty", more than 1 and less than M; null: the
            mean of both.
        tree: The tree of tasks for "tree", as nested lists: [[pos, chunk], ner].
        joint: Share of a node of the tree in the cost of its tasks, for "tree": 1 has one norm over
            all tasks, and 0 one per task.
        edges: The pairs of tasks that are similar, for "graph": [[pos, chunk], [chunk, ner]]. null:
            all pairs.
        dimensions: The number of dimensions of the common subspace, for "subspace"; less than M.
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
        between: Annotated[NonNegativeFloat, Requires("penalty", ("clustered",))] = 0.1,
        clusters: Annotated[list[list[str]] | None, Requires("penalty", ("clustered",))] = None,
        num_clusters: Annotated[PositiveInt | None, Requires("penalty", ("clustered",))] = None,
        block: Annotated[
            Annotated[float, Bounds(gt=1)] | None, Requires("penalty", ("dirty",))
        ] = None,
        tree: Annotated[Tree | None, Requires("penalty", ("tree",))] = None,
        joint: Annotated[Fraction, Requires("penalty", ("tree",))] = 0.5,
        edges: Annotated[list[list[str]] | None, Requires("penalty", ("graph",))] = None,
        dimensions: Annotated[PositiveInt, Requires("penalty", ("subspace",))] = 1,
    ) -> None:
        super().__init__(tasks, make_trunk)
        given = {
            "penalty": penalty,
            "within": within,
            "between": between,
            "clusters": clusters,
            "num_clusters": num_clusters,
            "block": block,
            "tree": tree,
            "joint": joint,
            "edges": edges,
            "dimensions": dimensions,
        }
        refuse_idle(Soft, given)
        self.strength = strength
        first, *others = self.trunks.values()
        for trunk in others:
            trunk.load_state_dict(first.state_dict())
        self.penalty = self._chosen(list(tasks), given)

    def _chosen(self, tasks: Sequence[str], options: Mapping[str, Any]) -> WeightPenalty:
        """Return the penalty on the weights of all tasks.

        Args:
            tasks: The names of all tasks.
            options: The options of the constructor.
        """
        count, penalty, clusters = len(tasks), options["penalty"], options["clusters"]
        weights = {name: options[name] for name in ("between", "within")}
        if penalty == "relationship":
            return Relationship(count)
        if penalty == "tensor_normal":
            return TensorNormal(self._stacks())
        if penalty == "clustered":
            if (clusters is None) == (options["num_clusters"] is None):
                raise OptionError(
                    "clusters",
                    "expected groups of tasks with the penalty 'clustered', or their number as "
                    "num_clusters",
                )
            if clusters is None:
                _below("num_clusters", options["num_clusters"], count)
                return LearnedClusters(count, options["num_clusters"], **weights)
            numbers = number_groups(tasks, clusters, "clusters")
            weights["clusters"] = [numbers[task] for task in tasks]
        block = options["block"] or (1 + count) / 2
        if penalty == "dirty":
            _below("block", block, count)
        if penalty == "subspace":
            _below("dimensions", options["dimensions"], count)
        if penalty == "tree" and not options["tree"]:
            raise OptionError("tree", "expected nested lists of tasks, such as [[a, b], c]")
        tree = number_tree(tasks, options["tree"] or tasks)
        penalties: dict[str, Callable[[Tensor], Tensor]] = {
            "distance": distance_penalty,
            "mean": partial(mean_penalty, within=options["within"]),
            "clustered": partial(clustered_penalty, **weights),
            "trace": trace_penalty,
            "l1_l2": block_penalty,
            "l1_linf": partial(block_penalty, order=inf),
            "dirty": partial(dirty_penalty, block=block),
            "tree": partial(tree_penalty, tree=tree, joint=options["joint"]),
            "graph": partial(fused_penalty, edges=number_edges(tasks, options["edges"])),
            "subspace": partial(subspace_penalty, dimensions=options["dimensions"]),
        }
        return WeightPenalty(penalties[penalty])

    @classmethod
    def restricted_to(
        cls, options: Mapping[str, Any], tasks: Sequence[str], context: RunContext
    ) -> Restricted:
        """Return the options for fewer tasks: edges have two tasks, and numbers are less than M."""
        left = dict(super().restricted_to(options, tasks, context).options)
        if left["edges"] is not None:
            left["edges"] = [edge for edge in left["edges"] if len(edge) == 2]
        if left["num_clusters"] is not None:
            left["num_clusters"] = min(left["num_clusters"], len(tasks) - 1)
        if left["block"] is not None and left["block"] >= len(tasks):
            left["block"] = None
        left["dimensions"] = min(left["dimensions"], len(tasks) - 1)
        return Restricted(left)

    @classmethod
    def idle(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for a graph without edges, and for clusters that change nothing."""
        yield from super().idle(options, context)
        if options["penalty"] == "clustered" and options["between"] == options["within"]:
            yield OptionError(
                "between",
                "equals `within`, so clusters have no effect: both terms add up to the distances "
                "of tasks to the overall mean; set it lower, or choose the penalty mean",
            )
        if options["edges"] == []:
            yield OptionError("edges", "expected at least one pair of tasks; null takes all pairs")

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield notes on a weight of 0, and on a run that ends before anything is learned."""
        if not options["strength"]:
            yield "strength is 0, so the tasks do not share anything but the embedding"
        if options["penalty"] in ("relationship", "tensor_normal") and context.epochs == 1:
            yield (
                f"the covariance of {options['penalty']!r} is learned from the second epoch on, "
                "and the run has 1 epoch, so the penalty is the same for all pairs of tasks"
            )
        if options["num_clusters"] is not None and context.epochs == 1:
            yield (
                "clusters are learned from the second epoch on, and the run has 1 epoch, so that "
                "all tasks are one cluster"
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
            penalties = {"soft": self.strength * self.penalty(self._stacks())}
        return {task: replace(own, penalties=penalties) for task, own in outputs.items()}

    def _stacks(self) -> list[Tensor]:
        """Return the tensors of a trunk, each for all tasks, `[M, ...]`."""
        alike = zip(*(trunk.parameters() for trunk in self.trunks.values()), strict=True)
        return [torch.stack(weights) for weights in alike]

    @torch.no_grad()
    def begin_epoch(self, epoch: int) -> None:
        """Update the learned covariances or clusters from the weights, after the first epoch."""
        if epoch:
            self.penalty.update(self._stacks())

    def epoch_state(self) -> dict[str, Tensor]:
        """Return the learned covariances or clusters."""
        return dict(self.penalty.named_buffers())

    def restore_epoch(self, state: Mapping[str, Tensor]) -> None:
        """Restore the learned covariances or clusters."""
        self.penalty.restore(state)

    @torch.no_grad()
    def learnt(self) -> dict[str, Tensor]:
        """Return the distances ‖w_a − w_b‖ between the tasks, and the learned matrices."""
        stacks = self._stacks()
        weights = torch.cat([own.flatten(1) for own in stacks], dim=1)
        exact = "donot_use_mm_for_euclid_dist"  # products lose small distances to rounding
        distances = torch.cdist(weights, weights, compute_mode=exact)
        return {"distance": distances, **self.penalty.learnt(stacks)}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the tasks, for the rows and columns of all matrices."""
        tasks = list(self.trunks)
        return dict.fromkeys(["distance", *self.penalty.matrices], (tasks, tasks))


def _below(option: str, value: float, count: int) -> None:
    """Raise OptionError unless a number is less than the number of tasks."""
    if value >= count:
        raise OptionError(option, f"expected less than the {count} tasks, got {value:g}")
