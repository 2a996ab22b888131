"""The contract of trunks. Letters: B sentences, T tokens, D input and H layer width, L layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from mtl.options import RunPath

State = list[Any]
"""What a trunk carries from one piece of a text to the next, one entry a layer."""


def mapped(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a state with its tensors changed, always in the same order."""
    if isinstance(state, Tensor):
        return change(state)
    if isinstance(state, dict):
        return {name: mapped(part, change) for name, part in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(mapped(part, change) for part in state)
    return state


def common_options(*, init: RunPath | None = None) -> None:
    """Options of every trunk, which who makes it follows.

    Args:
        init: Folder of a finished run: the weights of trunk, embedding and language models start
            from those there, and its words are known words. A language model of the same trunk is
            what pays; "wikitext2" is one that comes with the package, for the trunk and the
            embedding of configs/base/lstm.yaml.
    """


class Trunk(nn.Module, ABC):
    """A stack of layers over the token vectors.

    Residual, dense and highway links live in `step`; `forward` only loops it, and a sharing unit
    that mixes several trunks between layers calls `step` itself.

    Args:
        in_features: Width D of the token vectors.
    """

    common = staticmethod(common_options)
    sizes: list[int]
    """Widths of `hidden`: sizes[0] is the input's, sizes[i] that of layer i."""
    directions: int = 1
    """How many directions stand side by side in every layer, each with an equal part of it."""
    stacks: int = 1
    """How many stacks that never see each other stand side by side in every layer, of one width."""

    @property
    def num_layers(self) -> int:
        """The number of layers L, the input not counted."""
        return len(self.sizes) - 1

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """Return the parameters of each layer, the first layer first, for fine-tuning.

        All parameters stand in it, each once. A trunk that does not tell its layers apart counts
        as one layer.
        """
        return [list(self.parameters())]

    def unit_weights(self, i: int) -> Tensor:
        """Return the weights that make each unit of layer i (from 1), `[directions, N, H]`.

        A column has all N weights of a unit: of its gates, by the layer's input and by its state.

        Raises:
            ValueError: The trunk does not tell its units apart.
        """
        raise ValueError(f"{type(self).__name__} does not tell which weights make which unit")

    @abstractmethod
    def step(self, i: int, hidden: list[Tensor], mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run layer i (from 1).

        Args:
            i: The layer.
            hidden: Outputs so far: hidden[0] the token vectors `[B, T, D]`, hidden[j] layer j.
            mask: `[B, T]` bool, True on real tokens, which come first.
            state: What this layer returned for the piece of text before; at the start of a text,
                its part of `initial_state`; None when nothing is carried.

        Returns:
            The layer's output `[B, T, H]`, zero on padding, and its new state, the one after the
            last real token; None when nothing is carried.
        """

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """Return the state before the first token, for texts that come in pieces."""

    def forward(
        self, x: Tensor, mask: Tensor, state: State | None = None
    ) -> tuple[list[Tensor], State | None]:
        """Return the outputs of all layers, the input first, and the state to carry, if any."""
        hidden, after = [x], []
        for i in range(1, self.num_layers + 1):
            output, new = self.step(i, hidden, mask, state[i - 1] if state else None)
            hidden.append(output)
            after.append(new)
        return hidden, after if state else None
