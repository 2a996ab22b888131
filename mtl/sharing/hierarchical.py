"""One trunk per task, on top of the one below. Letters: B sentences, T tokens, D, H, E widths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from mtl.errors import OptionError
from mtl.options import NonNegativeFloat, NonNegativeInt, RunContext
from mtl.sharing.base import LabelVectors, TrunkOutput
from mtl.sharing.columns import Columns, TowerStates
from mtl.sharing.groups import number_groups
from mtl.trunks.base import Trunk


class Hierarchical(Columns):
    """Each task has a trunk on top of the task below (Joint Many-Task, Hashimoto et al. 2017).

    x_1 = x,  x_l = P_l [x; h_{l-1}; Σ_{j<l} Σ_k p_j(k) e_jk],  h_l = trunk_l(x_l)

    For tasks that build on each other: parts of speech, chunks, entities. Every level reads the
    token vectors, the last layer of the level below, and the predictions of the taggers below: the
    label vectors, weighted by probability and summed over tasks. So a level can correct an error
    below it. A matrix P_l reduces the input to the width of the token vectors, so that all trunks
    have the same shape. Heads read the layers of their own level. A task also costs the time of
    all levels below it.

    The gradients of a task reach all levels below, also through the probabilities of their heads.
    An exception is the CRF, whose marginals have no gradients.

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new `Trunk`.
        order: The tasks, from the lowest to the highest; null: as in the run file.
        label_dim: Width E of the label vectors; 0: labels are not read.
        successive: δ of the penalty δ ‖θ − θ'‖², once per batch, on the weights θ of the embedding
            and of all levels below the highest task of the batch, with their heads and label
            vectors. θ' are the weights at the start of the epoch, so that training on one task does
            not undo the training of others; with `mixing: sequential`, the weights at the end of
            the corpus before, as in the paper. The penalty is a sum over all weights, so δ is
            small, about 1e-4; with 0.01 Adam hardly moves away from θ'. 0: no penalty.
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
        """The weights of embedding and levels below the highest, from which movement counts."""
        self._embedding: list[nn.Parameter] = []
        self._of_tasks: dict[str, list[nn.Parameter]] = {task: [] for task in self.order}

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for subwords, and for a level that would read the word it predicts."""
        yield from super().check(options, context)
        if context.reads_subwords:
            yield OptionError(
                "", "levels read labels of words, the trunk reads subwords; choose another trunk"
            )
        first, *above = options["order"] or context.tasks
        for task in above:
            if task in context.texts:
                yield OptionError(
                    "order",
                    f"a level above another one has read the word that {task!r} predicts; make it "
                    f"the lowest level instead of {first!r}",
                )

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note if no level below the highest has labels of tokens."""
        below = (options["order"] or list(context.tasks))[:-1]
        if options["label_dim"] and not context.tagged.intersection(below):
            yield (
                "levels read predicted labels of tokens, and no task below the highest has such "
                "labels, so label_dim has no effect; set it to 0"
            )

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        tasks: Sequence[str],
        state: TowerStates | None = None,
        label_vectors: LabelVectors | None = None,
    ) -> dict[str, TrunkOutput]:
        """Run the levels up to the highest of the tasks; see `Sharing.forward`.

        Args:
            x: `[B, T, D]` token vectors, zero on padding.
            mask: `[B, T]` bool, True on real tokens.
            tasks: The tasks whose heads will read.
            state: `TrunkOutput.state` of the preceding chunk of text, or None if no state is
                carried.
            label_vectors: Returns the expected label vectors of a level; None: labels are not
                read.
        """
        height = 1 + max(self.order.index(task) for task in tasks)
        after = dict(state) if state else None
        labels = x.new_zeros(*x.shape[:2], self.label_dim)
        layers: dict[str, list[Tensor]] = {}
        below = x
        for task in self.order[:height]:
            given = x
            if layers:
                given = self.inputs[task](torch.cat([x, below, labels], dim=2))
            found, own = self.trunks[task](given, mask, state[task] if state else None)
            layers[task], below = [x, *found[1:]], found[-1]
            if after is not None:
                after[task] = own
            if len(layers) < height and label_vectors is not None and self.label_dim:
                vectors = label_vectors(task, layers[task], mask)
                labels = labels if vectors is None else labels + vectors
        penalties = self._penalties(height)
        return {task: TrunkOutput(layers[task], after, penalties) for task in tasks}

    def _penalties(self, height: int) -> Mapping[str, Tensor]:
        """Return the penalty on the movement of the weights below the highest level in use."""
        if not (self.training and self.successive and self._start is not None):
            return {}
        weights = self._regularised(height - 1)
        if not weights:
            return {}
        now = parameters_to_vector(weights)
        return {"successive": self.successive * (now - self._start[: len(now)]).square().sum()}

    def _level(self, i: int) -> list[nn.Parameter]:
        """Return the parameters of a level, from 0."""
        task = self.order[i]
        return [*self.trunks[task].parameters(), *(self.inputs[task].parameters() if i else ())]

    def _regularised(self, height: int) -> list[nn.Parameter]:
        """Return the parameters of the embedding and of the lowest levels, with their heads."""
        found = [*self._embedding]
        for i, task in enumerate(self.order[:height]):
            found += [*self._level(i), *self._of_tasks[task]]
        return list(dict.fromkeys(found))  # tasks may share a head, or a head the embedding

    def attach(
        self, embedding: Sequence[nn.Parameter], of_tasks: Mapping[str, Sequence[nn.Parameter]]
    ) -> None:
        """Receive the parameters of embedding, heads and label vectors, which are regularised."""
        self._embedding = list(embedding)
        self._of_tasks = {task: list(own) for task, own in of_tasks.items()}

    @torch.no_grad()
    def begin_epoch(self, epoch: int) -> None:
        """Store the weights from which the penalty measures the movement."""
        below = self._regularised(len(self.order) - 1)
        self._start = parameters_to_vector(below) if self.successive else None

    def begin_corpus(self) -> None:
        """Store the weights at the end of the corpus before."""
        self.begin_epoch(0)

    def epoch_state(self) -> dict[str, Tensor]:
        """Return the weights from which the penalty measures the movement."""
        return {} if self._start is None else {"start": self._start}

    def restore_epoch(self, state: Mapping[str, Tensor]) -> None:
        """Restore the weights from which the penalty measures the movement."""
        device = next(self.parameters()).device
        self._start = state["start"].to(device) if self.successive else None

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of all levels but the highest."""
        return [p for i in range(len(self.order) - 1) for p in self._level(i)]
