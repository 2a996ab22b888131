"""One trunk for all tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from mtl.sharing.base import Sharing, TrunkOutput
from mtl.trunks.base import State, Trunk


class Hard(Sharing):
    """All tasks train one trunk (Caruana 1993).

    The default and the fastest; hard to beat if the tasks are related. With heads on different
    layers (`layer: 1`) it is the low supervision of Søgaard & Goldberg (2016).

    Args:
        tasks: The names of all tasks.
        make_trunk: A function without arguments that returns a new `Trunk`.
    """

    without_trunk = True

    def __init__(self, tasks: Sequence[str], make_trunk: Callable[[], Trunk]) -> None:
        super().__init__()
        self.trunk = make_trunk()
        self.sizes = self.trunk.sizes

    def forward(
        self, x: Tensor, mask: Tensor, tasks: Sequence[str], state: State | None = None
    ) -> dict[str, TrunkOutput]:
        """Encode once, with the same output for every task; see `Sharing.forward`."""
        layers, after = self.trunk(x, mask, state)
        encoded = TrunkOutput(layers, after)
        return dict.fromkeys(tasks, encoded)

    def initial_state(self, batch_size: int) -> State:
        """Return the trunk's state before the first token."""
        return self.trunk.initial_state(batch_size)

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the trunk."""
        return list(self.trunk.parameters())
