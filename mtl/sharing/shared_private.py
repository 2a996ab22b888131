"""A shared and several private trunks. Letters: B sentences, T tokens, H width, K groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.errors import OptionError, did_you_mean
from mtl.layers.gradient_reversal import GradientReversal, ramp_notes
from mtl.layers.sequence import pool
from mtl.layers.subspace_overlap import subspace_overlap
from mtl.options import NonNegativeFloat, PositiveInt, Requires, RunContext, refuse_idle
from mtl.sharing.base import Restricted, Sharing, TrunkOutput, among
from mtl.sharing.groups import number_groups
from mtl.trunks.base import State, Trunk

States = tuple[State, dict[str, State]]
"""The state of the shared trunk, and task to the state of its private trunk."""


class SharedPrivate(Sharing):
    """One shared trunk beside one private trunk per task (Liu, Qiu & Huang 2017).

    A task reads [shared; private] at every layer, so layers are twice as wide. Two penalties
    separate the roles of the trunks, `adversary` and `difference`: without them it is the paper's
    SP-MTL, with them ASP-MTL. For tasks on several corpora with different texts. With one
    `shared_only` task and others that reconstruct the text of each domain (`labels: {text: same}`)
    it is a domain separation network (Bousmalis et al. 2016).

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new `Trunk`.
        adversary: λ. A softmax classifier learns to predict the group of tasks that a sentence is
            for, from the mean of the shared trunk's last layer. The shared trunk gets its gradient
            times −λ, so that it represents the common part of the groups. 0: no adversary.
        ramp: The number of batches over which λ grows from 0, as 2 / (1 + e^(−10 p)) − 1; null: it
            is constant.
        difference: Weight of ‖SᵀP‖²_F / (‖S‖²_F · ‖P‖²_F) over the tokens of a batch, for the last
            layers S and P of shared and private trunk. It is small if the two represent different
            things. 0: no such penalty.
        groups: The groups of tasks that the adversary distinguishes: [[pos, ner], [chunk]]. null:
            the tasks of a corpus are a group, as they read the same sentences.
        shared_only: The tasks without a private trunk, which read the shared trunk alone, so that
            they serve texts of all domains. null: none.
    """

    min_tasks = 2

    def __init__(
        self,
        tasks: Sequence[str],
        make_trunk: Callable[[], Trunk],
        *,
        adversary: NonNegativeFloat = 0.0,
        ramp: Annotated[PositiveInt | None, Requires("adversary")] = None,
        difference: NonNegativeFloat = 0.0,
        groups: Annotated[list[list[str]] | None, Requires("adversary")] = None,
        shared_only: list[str] | None = None,
    ) -> None:
        super().__init__()
        refuse_idle(SharedPrivate, {"adversary": adversary, "ramp": ramp, "groups": groups})
        self.shared = make_trunk()
        if unknown := sorted({*(shared_only or ())} - {*tasks}):
            near = did_you_mean(unknown[0], tasks)
            raise OptionError("shared_only", f"unknown task {unknown[0]!r}{near}")
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
                raise OptionError(
                    "adversary",
                    "expected tasks on at least two corpora, got one; or define `groups` of tasks",
                )
            self.discriminator = nn.Sequential(
                GradientReversal(adversary, ramp), nn.Linear(sizes[-1], number)
            )

    @classmethod
    def from_options(
        cls, options: Mapping[str, Any], make_trunk: Callable[[], Trunk], context: RunContext
    ) -> Self:
        """Return the sharing that a run file describes; without `groups` by corpora."""
        return super().from_options(_with_groups(options, context), make_trunk, context)

    @classmethod
    def restricted_to(
        cls, options: Mapping[str, Any], tasks: Sequence[str], context: RunContext
    ) -> Restricted:
        """Return the options for fewer tasks, without an adversary if they are all in one group."""
        left = dict(super().restricted_to(options, tasks, context).options)
        if {*tasks} <= {*(left["shared_only"] or ())}:
            left["difference"] = 0.0  # no task has a private trunk
        groups = _with_groups(options, context)["groups"]
        if options["adversary"] and len(among(groups, tasks)) == 1:
            # The constructor refuses an adversary with a single group.
            alone = {**left, "adversary": 0.0, "ramp": None, "groups": None}
            return Restricted(alone, "without the adversary, for which they are one group")
        return Restricted(left)

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for tasks of one corpus in different groups, and for several processes."""
        yield from super().check(options, context)
        if options["difference"] and context.processes > 1:
            yield OptionError(
                "difference",
                "compares all tokens of a batch, and each of several processes has a part of them; "
                "set 0, or train in one process",
            )
        for name in ("adversary", "difference"):
            if options[name] and context.one_batch:
                yield OptionError(
                    name,
                    "is computed from batches of one corpus; set 0, or set one_batch of the mixing "
                    "to false",
                )
        groups = enumerate(options["groups"] or [])
        group_of = {task: number for number, group in groups for task in group}
        for first, *others in context.corpora.values():
            for task in others:
                if {first, task} <= group_of.keys() and group_of[task] != group_of[first]:
                    yield OptionError(
                        "groups",
                        f"{first!r} and {task!r} read the same sentences; put them into one group",
                    )

    @classmethod
    def idle(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for a difference to private trunks that no task has."""
        yield from super().idle(options, context)
        if options["difference"] and {*context.tasks} <= {*(options["shared_only"] or ())}:
            yield OptionError(
                "difference", "has no effect, as no task has a private trunk; set it to 0"
            )

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note if the run ends long before the end of the ramp."""
        yield from ramp_notes(options["ramp"], sum(context.batches.values()))

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: States | None = None
    ) -> dict[str, TrunkOutput]:
        """Run the shared trunk and the private trunks of the tasks; see `Sharing.forward`."""
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
        """Concatenate two layers, `[B, T, 2H]`; independent directions stay separate."""
        halves = (layer.chunk(self.shared.stacks, dim=2) for layer in (shared, private))
        return torch.cat([part for pair in zip(*halves, strict=True) for part in pair], dim=2)

    def _adversary(self, hidden: Tensor, mask: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Return the loss of the classifier of groups on the shared layer `[B, T, H]`."""
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
        """Return the widths of the layers that a task reads, of one trunk or of two."""
        return self.sizes if task in self.private else self.shared.sizes

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the shared trunk; no task trains the adversary."""
        return list(self.shared.parameters())


def _with_groups(options: Mapping[str, Any], context: RunContext) -> dict[str, Any]:
    """Return the options with one group per corpus if an adversary has no groups."""
    by_corpus = [list(tasks) for tasks in context.corpora.values()]
    chosen = by_corpus if options["groups"] is None and options["adversary"] else options["groups"]
    return {**options, "groups": chosen}
