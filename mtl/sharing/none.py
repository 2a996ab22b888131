"""Nothing shared but the embedding."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mtl.sharing.base import TrunkOutput
from mtl.sharing.columns import Columns, TowerStates


class NoSharing(Columns):
    """One trunk per task, on one embedding: the baseline of every sharing (–).

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new `Trunk`.
    """

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: TowerStates | None = None
    ) -> dict[str, TrunkOutput]:
        """Encode for each task by its own trunk; see `Sharing.forward`."""
        return self.run(x, mask, tasks, state)

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return an empty list."""
        return []
