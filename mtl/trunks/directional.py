"""Trunks of recurrent layers that read in one or both directions. Letters: B, T, D, H."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from mtl.layers.dropout import VariationalDropout
from mtl.layers.sequence import reverse_padded
from mtl.trunks.base import State, Trunk

Bidirectional = bool | Literal["interleaved"]


class Recurrent(nn.Module, ABC):
    """One recurrent layer, in one direction or both."""

    @abstractmethod
    def initial(self, batch_size: int) -> Any:
        """Return the state of the forward direction before the first token."""

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the outputs and, when a state is given, the one after the text.

        Args:
            x: `[B, T, D]`; or a part for each direction, `[B, T, 2D]`, where the layer was made so.
            mask: `[B, T]` bool, True on real tokens, which come first.
            state: What the forward direction returned for the piece of text before, or None when
                nothing is carried.

        Returns:
            `[B, T, H]` or `[B, T, 2H]`, anything on padding, and the state or None.
        """


class Direction(nn.Module, ABC):
    """A recurrent layer that reads in one direction, its input already in the order of reading."""

    @abstractmethod
    def initial(self, batch_size: int) -> Any:
        """Return the state before the first token."""

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the outputs `[B, T, H]` and, when a state is given, the one after the text."""


class SideBySide(Recurrent):
    """One or two directions that know nothing of each other; the second reads backwards.

    Args:
        make: Gives a direction.
        bidirectional: Whether there are two.
        split: Whether each reads its own half of the input.
    """

    def __init__(self, make: Callable[[], Direction], bidirectional: bool, split: bool) -> None:
        super().__init__()
        self.ahead = make()
        self.back = make() if bidirectional else None
        self.split = split

    def initial(self, batch_size: int) -> Any:
        """Return the state of the forward direction before the first token."""
        return self.ahead.initial(batch_size)

    def forward(self, x: Tensor, mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the outputs and, when a state is given, the one after the text."""
        first, second = x.chunk(2, dim=2) if self.split else (x, x)
        output, after = self.ahead(first, mask, state)
        if self.back is None:
            return output, after
        behind, _ = self.back(reverse_padded(second, mask), mask, None)
        return torch.cat([output, reverse_padded(behind, mask)], dim=2), after


class DirectionalTrunk(Trunk):
    """A stack of recurrent layers, each in one or both directions, with dropout between them.

    Args:
        in_features: Width D of the token vectors.
        make: Gives the layer of an index (from 0), for directions of some input width, which each
            read their own half of the input where the last argument says so.
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
        make: Callable[[int, int, bool], Recurrent],
        num_layers: int,
        hidden_size: int,
        bidirectional: Bidirectional,
        dropout: float,
    ) -> None:
        super().__init__()
        self.interleaved = bidirectional == "interleaved"
        directions = 1 + bool(bidirectional)
        self.sizes = [in_features] + [directions * hidden_size] * num_layers
        self.dropout = VariationalDropout(dropout)
        self.layers = nn.ModuleList()
        for i in range(num_layers):
            split = i > 0 and bidirectional is True
            self.layers.append(make(i, hidden_size if split else self.sizes[i], split))

    def initial_state(self, batch_size: int) -> State:
        """Return the state before the first token; only the forward direction carries one."""
        return [cast("Recurrent", layer).initial(batch_size) for layer in self.layers]

    def step(self, i: int, hidden: list[Tensor], mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run layer i (from 1); see `Trunk.step`."""
        output, state = self.layers[i - 1](self.dropout(hidden[i - 1]), mask, state)
        return output * mask.unsqueeze(-1), state
