"""A sharing with diagnostics: the share of each layer that each task uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mtl.sharing import Hard, TrunkOutput
from mtl.trunks import Trunk


class Scaled(Hard):
    """One trunk, whose layers each task scales.

    Args:
        tasks: The names of all tasks.
        make_trunk: Called without arguments for each trunk wanted; gives a fresh one.
    """

    def __init__(self, tasks: Sequence[str], make_trunk: Callable[[], Trunk]) -> None:
        super().__init__(tasks, make_trunk)
        self.tasks = list(tasks)
        self.gain = nn.Parameter(torch.ones(len(tasks), len(self.sizes) - 1))

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: Any = None
    ) -> dict[str, TrunkOutput]:
        """Scale the outputs of the trunk."""
        found = super().forward(x, mask, tasks, state)
        return {task: self._scaled(own, self.tasks.index(task)) for task, own in found.items()}

    def _scaled(self, own: TrunkOutput, row: int) -> TrunkOutput:
        x, *layers = own.layers
        gains = zip(layers, self.gain[row], strict=True)
        return replace(own, layers=[x, *(layer * gain for layer, gain in gains)])

    def learnt(self) -> dict[str, Tensor]:
        """Return the gains, and their mean."""
        return {"gain": self.gain, "mean": self.gain.mean()}

    def axes(self) -> dict[str, tuple[Sequence[str], ...]]:
        """Return the names of tasks and layers."""
        layers = [f"layer {i + 1}" for i in range(self.gain.shape[1])]
        return {"gain": (self.tasks, layers)}
