"""Copies of the features per domain. Letters: B sentences, T tokens, H width, K groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from mtl.options import RunContext
from mtl.sharing.base import Sharing, TrunkOutput
from mtl.sharing.groups import number_groups
from mtl.trunks.base import State, Trunk


class EasyAdapt(Sharing):
    """One trunk, whose layers a head reads once for all domains and once for each (Daumé 2007).

    Φ_k(h) = [h; 0; …; h; …; 0]: a shared copy, and K copies; all but copy k are zero

    A linear head that tasks of several domains share (`head: TASK`) then has the weights w + w_k
    for domain k. Weight decay makes it use the shared part w for all that the domains have in
    common. A token costs the same as with `hard`, except in the first layer of the head. For a
    trunk per domain instead of copies (Kim et al. 2016), see `shared_private`.

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new `Trunk`.
        groups: The tasks of each domain: [[pos_news], [pos_mail, ner_mail]]. null: the tasks of a
            corpus are a domain.
    """

    min_tasks = 2
    needs_shared_head: ClassVar[bool] = True

    def __init__(
        self,
        tasks: Sequence[str],
        make_trunk: Callable[[], Trunk],
        *,
        groups: list[list[str]] | None = None,
    ) -> None:
        super().__init__()
        self.trunk = make_trunk()
        self.group_of = number_groups(tasks, groups or [[task] for task in tasks], "groups")
        self.copies = 1 + len({*self.group_of.values()})
        own, *sizes = self.trunk.sizes
        self.sizes = [own, *(self.copies * size for size in sizes)]

    @classmethod
    def from_options(
        cls, options: Mapping[str, Any], make_trunk: Callable[[], Trunk], context: RunContext
    ) -> Self:
        """Return the sharing that a run file describes; without `groups`, one per corpus."""
        groups = options["groups"] or [list(tasks) for tasks in context.corpora.values()]
        return super().from_options({**options, "groups": groups}, make_trunk, context)

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: State | None = None
    ) -> dict[str, TrunkOutput]:
        """Encode once, and copy the layers for each domain; see `Sharing.forward`."""
        layers, after = self.trunk(x, mask, state)
        groups = {self.group_of[task] for task in tasks}
        copied = {k: [x, *(self._copies(layer, k) for layer in layers[1:])] for k in groups}
        return {task: TrunkOutput(copied[self.group_of[task]], after) for task in tasks}

    def _copies(self, layer: Tensor, group: int) -> Tensor:
        """Return [h; 0; …; h; …; 0], `[B, T, (K + 1) H]`; independent directions stay separate."""
        parts = []
        for part in layer.chunk(self.trunk.stacks, dim=2):
            own = [torch.zeros_like(part)] * self.copies
            own[0] = own[1 + group] = part
            parts += own
        return torch.cat(parts, dim=2)

    def initial_state(self, batch_size: int) -> State:
        """Return the trunk's state before the first token."""
        return self.trunk.initial_state(batch_size)

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the trunk."""
        return list(self.trunk.parameters())
