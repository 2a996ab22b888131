"""A trunk a task, one upon the other. Letters: B sentences, T tokens, D, H and E widths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from mtl.options import NonNegativeFloat, NonNegativeInt
from mtl.sharing.base import LabelVectors, TrunkOutput
from mtl.sharing.columns import Columns, TowerStates
from mtl.sharing.groups import number_groups
from mtl.trunks.base import Trunk


class Hierarchical(Columns):
    """Each task has a trunk upon that of the task below (Joint Many-Task, Hashimoto et al. 2017).

    x_1 = x,  x_l = P_l [x; h_{l-1}; Σ_{j<l} Σ_k p_j(k) e_jk],  h_l = trunk_l(x_l)

    For tasks of which one builds on another: parts of speech, chunks, entities. Every level reads
    the token vectors, the last layer of the level below, and what the taggers below say: the
    vectors of their labels by probability, summed over tasks, and so may mend an error. A product
    makes that as wide as the token vectors, so that all trunks are alike. Heads read the layers of
    their own level. A task costs the levels below it too.

    Gradients of a task reach all levels below, also through the probabilities of their heads
    (those of a CRF, which has no gradients of its marginals, excepted).

    Args:
        tasks: The names of all tasks.
        make_trunk: Called without arguments for each trunk wanted; gives a fresh one.
        order: The tasks, from the lowest to the highest; null: as the run file has them.
        label_dim: Width E of the vectors of labels; 0: labels are not read.
        successive: δ of the penalty δ ‖θ − θ'‖², once a batch, on the weights θ of all levels below
            the highest task of the batch; θ' are those with which the epoch began, so that a task
            does not forget at once what the others have taught. As it is a sum over all weights, δ
            is small, some 1e-4; with 0.01 Adam hardly gets away from θ'. 0: no penalty.
    """

    min_tasks = 2

    def __init__(
        self,
        tasks: Sequence[str],
        make_trunk: Callable[[], Trunk],
        *,
        order: list[str] | None = None,
        label_dim: NonNegativeInt = 100,
        successive: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(tasks, make_trunk)
        self.order = list(tasks) if order is None else order
        number_groups(tasks, [[task] for task in self.order], "order")
        self.successive = successive
        self.label_dims = dict.fromkeys(self.order[:-1], label_dim) if label_dim else {}
        self.label_dim = label_dim
        own, *_, below = self.sizes
        self.inputs = nn.ModuleDict(
            {task: nn.Linear(own + below + label_dim, own, bias=False) for task in self.order[1:]}
        )
        self._start: Tensor | None = None
        """The weights of all levels but the highest as the epoch began."""

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        tasks: Sequence[str],
        state: TowerStates | None = None,
        label_vectors: LabelVectors | None = None,
    ) -> dict[str, TrunkOutput]:
        """Run the levels up to the highest task asked for; see `Sharing.forward`.

        Args:
            x: `[B, T, D]` token vectors, zero on padding.
            mask: `[B, T]` bool, True on real tokens.
            tasks: The tasks whose heads will read.
            state: `TrunkOutput.state` of the preceding chunk of text, or None if no state is
                carried.
            label_vectors: Gives what the labels of a level say; None: nothing.
        """
        height = 1 + max(self.order.index(task) for task in tasks)
        after = dict(state) if state else None
        said = x.new_zeros(*x.shape[:2], self.label_dim)
        layers: dict[str, list[Tensor]] = {}
        below = x
        for task in self.order[:height]:
            given = x
            if layers:
                given = self.inputs[task](torch.cat([x, below, said], dim=2))
            found, own = self.trunks[task](given, mask, state[task] if state else None)
            layers[task], below = [x, *found[1:]], found[-1]
            if after is not None:
                after[task] = own
            if len(layers) < height and label_vectors is not None and self.label_dim:
                vectors = label_vectors(task, layers[task], mask)
                said = said if vectors is None else said + vectors
        penalties = self._penalties(height)
        return {task: TrunkOutput(layers[task], after, penalties) for task in tasks}

    def _penalties(self, height: int) -> Mapping[str, Tensor]:
        """Return how far the weights below the highest of some levels have moved this epoch."""
        weights = self._weights(height - 1)
        if not (self.training and self.successive and self._start is not None and weights):
            return {}
        now = parameters_to_vector(weights)
        return {"successive": self.successive * (now - self._start[: len(now)]).square().sum()}

    def _weights(self, height: int) -> list[nn.Parameter]:
        """Return the parameters of the lowest levels, the lowest first."""
        levels = [
            [*self.trunks[task].parameters(), *(self.inputs[task].parameters() if i else ())]
            for i, task in enumerate(self.order[:height])
        ]
        return [parameter for level in levels for parameter in level]

    @torch.no_grad()
    def begin_epoch(self, epoch: int) -> None:
        """Remember the weights that the penalty holds those of the epoch to."""
        below = self._weights(len(self.order) - 1)
        self._start = parameters_to_vector(below) if self.successive else None

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of all levels but the highest."""
        return self._weights(len(self.order) - 1)
