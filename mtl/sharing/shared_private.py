"""A trunk for all tasks beside one for each. Letters: B sentences, T tokens, H width, K groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.errors import did_you_mean
from mtl.layers.gradient_reversal import GradientReversal
from mtl.layers.sequence import pool
from mtl.layers.subspace_overlap import subspace_overlap
from mtl.options import NonNegativeFloat, PositiveInt
from mtl.sharing.base import Sharing, TrunkOutput
from mtl.sharing.groups import number_groups
from mtl.trunks.base import State, Trunk

States = tuple[State, dict[str, State]]
"""What the shared trunk carries, and what the private ones do, by task."""


class SharedPrivate(Sharing):
    """One trunk for all tasks beside one for each (Liu, Qiu & Huang 2017).

    A task reads [shared; private] at every layer, so layers are twice as wide. Two penalties keep
    the trunks to their parts, `adversary` and `difference`: without them it is the paper's SP-MTL,
    with them ASP-MTL. For tasks on several corpora, whose texts differ. With a task that is
    `shared_only`, and others that give back the text of each domain (`labels: {text: same}`), these
    are domain separation networks (Bousmalis et al. 2016).

    Args:
        tasks: The names of all tasks.
        make_trunk: Called without arguments for each trunk wanted; gives a fresh one.
        adversary: λ. A softmax learns to tell by the mean of the shared trunk's last layer which
            group of tasks a sentence is for, and the shared trunk gets its gradient times −λ, so
            that it keeps what the groups have in common. 0: no adversary.
        ramp: Over how many batches λ grows from 0, as 2 / (1 + e^(−10 p)) − 1; null: it does not
            grow.
        difference: Weight of ‖SᵀP‖²_F / (‖S‖²_F · ‖P‖²_F) over the tokens of a batch, for the last
            layers S and P of shared and private trunk, which is small when these say different
            things. 0: no such penalty.
        groups: The tasks of each group that the adversary tells apart: [[pos, ner], [chunk]]. null:
            those of a corpus are a group, since a sentence serves them all.
        shared_only: The tasks that have no trunk of their own and read the shared one alone, so
            that they serve texts of all domains. null: none.
    """

    min_tasks = 2

    def __init__(
        self,
        tasks: Sequence[str],
        make_trunk: Callable[[], Trunk],
        *,
        adversary: NonNegativeFloat = 0.0,
        ramp: PositiveInt | None = None,
        difference: NonNegativeFloat = 0.0,
        groups: list[list[str]] | None = None,
        shared_only: list[str] | None = None,
    ) -> None:
        super().__init__()
        if ramp is not None and not adversary:
            raise ValueError("ramp: does nothing without an adversary")
        self.shared = make_trunk()
        if unknown := sorted({*(shared_only or ())} - {*tasks}):
            near = did_you_mean(unknown[0], tasks)
            raise ValueError(f"shared_only: there is no task {unknown[0]!r}{near}")
        own_trunks = [task for task in tasks if task not in (shared_only or ())]
        self.private = nn.ModuleDict({task: make_trunk() for task in own_trunks})
        self.difference = difference
        self.group_of = number_groups(tasks, groups or [[task] for task in tasks], "groups")
        self.discriminator: nn.Module | None = None
        own, *sizes = self.shared.sizes
        self.sizes = [own, *(2 * size for size in sizes)]
        if adversary:
            number = len(set(self.group_of.values()))
            if number < 2:
                raise ValueError(
                    "adversary: needs tasks on two corpora or more (else put them into `groups`)"
                )
            self.discriminator = nn.Sequential(
                GradientReversal(adversary, ramp), nn.Linear(sizes[-1], number)
            )

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: States | None = None
    ) -> dict[str, TrunkOutput]:
        """Run the shared trunk and those of the tasks asked for; see `Sharing.forward`."""
        shared_state, private_states = state or (None, {})
        shared, shared_state = self.shared(x, mask, shared_state)
        after = dict(private_states)
        common = self._adversary(shared[-1], mask, tasks)
        layers, penalties = dict.fromkeys(tasks, shared), dict.fromkeys(tasks, common)
        for task in tasks:
            if task in self.private:
                own, after[task] = self.private[task](x, mask, private_states.get(task))
                layers[task] = [x, *map(self._beside, shared[1:], own[1:])]
                penalties[task] = common | self._difference(task, shared[-1], own[-1], mask)
        carried = (shared_state, after) if state else None
        return {task: TrunkOutput(layers[task], carried, penalties[task]) for task in tasks}

    def _beside(self, shared: Tensor, private: Tensor) -> Tensor:
        """Return both side by side, `[B, T, 2H]`; independent stacks stay apart."""
        halves = (layer.chunk(self.shared.stacks, dim=2) for layer in (shared, private))
        return torch.cat([part for pair in zip(*halves, strict=True) for part in pair], dim=2)

    def _adversary(self, hidden: Tensor, mask: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Return the loss of who tells groups apart by the shared layer `[B, T, H]`."""
        if self.discriminator is None or not self.training:
            return {}
        numbers = {self.group_of[task] for task in tasks}
        if len(numbers) > 1:
            raise ValueError(f"groups: expected tasks of one group in a batch, got {list(tasks)}")
        scores = self.discriminator(pool(hidden, mask, "mean"))  # [B, K]
        target = torch.full((len(scores),), numbers.pop(), device=scores.device)
        return {"adversary": functional.cross_entropy(scores, target)}

    def _difference(
        self, task: str, shared: Tensor, private: Tensor, mask: Tensor
    ) -> dict[str, Tensor]:
        if not self.difference or not self.training:
            return {}
        overlap = subspace_overlap(shared, private, mask)
        return {f"difference.{task}": self.difference * overlap}

    def initial_state(self, batch_size: int) -> States:
        """Return the states of all trunks before the first token."""
        private = {
            task: cast("Trunk", own).initial_state(batch_size) for task, own in self.private.items()
        }
        return self.shared.initial_state(batch_size), private

    def sizes_of(self, task: str) -> list[int]:
        """Return the widths of the layers that a task is given: those of one trunk, or of two."""
        return self.sizes if task in self.private else self.shared.sizes

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the shared trunk; no task's loss trains the adversary."""
        return list(self.shared.parameters())
