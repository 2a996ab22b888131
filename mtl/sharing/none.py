"""Nothing shared but the embedding."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mtl.sharing.base import TrunkOutput
from mtl.sharing.columns import Columns, TowerStates


class NoSharing(Columns):
    """A trunk a task, on one embedding: what every sharing is to be better than (–).

    Args:
        tasks: The names of all tasks.
        make_trunk: Called without arguments for each trunk wanted; gives a fresh one.
    """

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: TowerStates | None = None
    ) -> dict[str, TrunkOutput]:
        """Encode for each task by its own trunk; see `Sharing.forward`."""
        return self.run(x, mask, tasks, state)

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return nothing."""
        return []
