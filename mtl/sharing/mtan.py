"""One trunk, and masks of each task over its layers. Letters: B sentences, T tokens, H width."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from mtl.options import PositiveInt, RunContext
from mtl.sharing.base import Sharing, TrunkOutput, refuse_one_sided
from mtl.trunks.base import State, Trunk


class AttentionMasks(Sharing):
    """Each task selects units of one trunk by masks of its own: MTAN (Liu et al. 2019).

    h̃_t,l = a_t,l ⊙ h_l,  a_t,l = σ(V_t,l relu(U_t,l [h_l; h̃_t,l-1])), for every token

    The mask of a layer reads this layer of the trunk and, from the second layer on, the masked
    layer below. Heads read masked layers. It takes the time of one trunk and of small layers per
    task, where `cross_stitch` takes the time of one trunk per task. The paper masks convolutional
    layers and normalises them over the batch. Here nothing depends on other sentences.

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new `Trunk`.
        mask_size: Width of the hidden layer of a mask.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        make_trunk: Callable[[], Trunk],
        *,
        mask_size: PositiveInt = 64,
    ) -> None:
        super().__init__()
        self.trunk = make_trunk()
        self.sizes = self.trunk.sizes
        below = [0, *self.sizes[1:]]
        self.masks = nn.ModuleDict(
            {
                task: nn.ModuleList(
                    nn.Sequential(
                        nn.Linear(lower + size, mask_size),
                        nn.ReLU(),
                        nn.Linear(mask_size, size),
                        nn.Sigmoid(),
                    )
                    for lower, size in pairwise(below)
                )
                for task in tasks
            }
        )

    @classmethod
    def from_options(
        cls, options: Mapping[str, Any], make_trunk: Callable[[], Trunk], context: RunContext
    ) -> Self:
        """Return the sharing that a run file describes; see `Sharing.from_options`."""
        made = super().from_options(options, make_trunk, context)
        refuse_one_sided(made.trunk, context)
        return made

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: State | None = None
    ) -> dict[str, TrunkOutput]:
        """Encode once, and mask the layers for each task; see `Sharing.forward`."""
        layers, after = self.trunk(x, mask, state)
        encoded = {}
        for task in tasks:
            masked = [x]
            for i, attend in enumerate(cast("nn.ModuleList", self.masks[task]), 1):
                given = layers[i] if i == 1 else torch.cat([layers[i], masked[-1]], dim=2)
                masked.append(attend(given) * layers[i])
            encoded[task] = TrunkOutput(masked, after)
        return encoded

    def initial_state(self, batch_size: int) -> State:
        """Return the trunk's state before the first token."""
        return self.trunk.initial_state(batch_size)

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the trunk; each mask belongs to one task."""
        return list(self.trunk.parameters())
