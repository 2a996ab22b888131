"""No trunk: heads read the embedding. Letters: B sentences, T tokens, D width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from mtl.errors import OptionError
from mtl.options import RunContext
from mtl.trunks.base import Sight, State, Trunk


class NoTrunk(Trunk):
    """No layers (–). Heads read the token vectors, as in the CNN of Kim (2014).

    Only for classifiers, and for taggers that read layer 0.

    Args:
        in_features: Width D of the token vectors.
    """

    layered = False

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.sizes = [in_features]

    @classmethod
    def sight(cls, options: Mapping[str, Any]) -> Sight:
        """Return "left": a token vector depends on its own token alone."""
        return "left"

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for `init`, the weights to start from."""
        yield from super().check(options, context)
        if cls.start_folder(options):
            yield OptionError("init", "there is no trunk to start; choose one, such as lstm")

    def layer_parameters(self) -> list[list[Any]]:
        """Return an empty list: there are no layers."""
        return []

    def step(self, i: int, hidden: list[Tensor], mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Raise ValueError: there are no layers."""
        raise ValueError(f"no trunk: expected no layer to run, got layer {i}")

    def initial_state(self, batch_size: int) -> State:
        """Return an empty list: there are no layers."""
        return []
