"""Trunks of recurrent layers that read in one or both directions. Letters: B, T, D, H."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from mtl.layers.dropout import VariationalDropout
from mtl.trunks.base import State, Trunk

Bidirectional = bool | Literal["interleaved"]


class Direction(nn.Module, ABC):
    """One recurrent layer that reads in one direction."""

    reverse: bool
    """Whether it reads from the last token to the first."""

    @abstractmethod
    def initial(self, batch_size: int) -> Any:
        """Return the state before the first token."""

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the outputs and, when a state is given, the one after the text.

        Args:
            x: `[B, T, D]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            state: What the piece of text before returned, or None when nothing is carried.

        Returns:
            `[B, T, H]`, anything on padding, and the state or None.
        """


class DirectionalTrunk(Trunk):
    """A stack of recurrent layers, each in one or both directions, with dropout between them.

    Args:
        in_features: Width D of the token vectors.
        make: Gives the layer of an index (from 0) and an input width, reversed or not.
        num_layers: The number of layers.
        hidden_size: Width of each direction of a layer.
        bidirectional: true gives two independent stacks, one a direction, concatenated at every
            layer: each may be pretrained as a language model. "interleaved" lets every layer see
            both directions of the one below, usually a little better when trained from scratch.
        dropout: Probability of dropping a unit of a layer's input, the same for all tokens of a
            sentence (Gal & Ghahramani 2016).
    """

    def __init__(
        self,
        in_features: int,
        make: Callable[[int, int, bool], Direction],
        num_layers: int,
        hidden_size: int,
        bidirectional: Bidirectional,
        dropout: float,
    ) -> None:
        super().__init__()
        self.interleaved = bidirectional == "interleaved"
        directions = (False, True) if bidirectional else (False,)
        self.sizes = [in_features] + [len(directions) * hidden_size] * num_layers
        self.dropout = VariationalDropout(dropout)
        self.layers = nn.ModuleList()
        for i in range(num_layers):
            width = hidden_size if i and not self.interleaved else self.sizes[i]
            self.layers.append(nn.ModuleList(make(i, width, reverse) for reverse in directions))

    def initial_state(self, batch_size: int) -> State:
        """Return the state before the first token; only the forward direction carries one."""
        return [self._directions(i)[0].initial(batch_size) for i in range(self.num_layers)]

    def _directions(self, index: int) -> Sequence[Direction]:
        return cast("Sequence[Direction]", self.layers[index])

    def step(self, i: int, hidden: list[Tensor], mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run layer i (from 1); see `Trunk.step`."""
        directions = self._directions(i - 1)
        x = self.dropout(hidden[i - 1])
        own_half = i > 1 and not self.interleaved
        inputs = x.chunk(len(directions), dim=2) if own_half else [x] * len(directions)
        outputs = []
        for direction, own in zip(directions, inputs, strict=True):
            output, end = direction(own, mask, None if direction.reverse else state)
            outputs.append(output)
            state = state if direction.reverse else end
        return torch.cat(outputs, dim=2) * mask.unsqueeze(-1), state
