"""Recurrent layers in one direction. Letters: B sentences, T tokens, D and H widths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from mtl.layers.gates import initialize_gates
from mtl.layers.sequence import reverse_padded
from mtl.layers.stepwise import Stepwise
from mtl.ops.rows import pack_cells
from mtl.trunks.base import mapped
from mtl.trunks.directional import Recurrent

Cell = tuple[Tensor, ...]
"""State of one layer: h and c of an LSTM, h of a GRU, each `[B, H]`."""

RECURRENT = "weight_hh_l0"


class Sides(NamedTuple):
    """The recurrent weights of all directions, in the order that operators read them.

    Args:
        weights: The result of `mtl.ops.rows.pack_cells`.
        biases: The recurrent biases, `[directions, G · H]`.
    """

    weights: Tensor
    biases: Tensor


class Direction(nn.Module, ABC):
    """A layer that reads its input in one direction, from left to right.

    It runs on padded tensors, for which a CPU has a faster path than for packed ones. Padding is on
    the right, so no real token ever reads it.

    Args:
        rnn: One layer of torch or a `Stepwise` one, in one direction, batch first.
        biases: The initial bias of each gate, in torch's order of gates.
        parts: The number of vectors in a state.
        learned_start: Whether the state before the first token is learned; else it is zero.
        weight_drop: Probability that a weight of the recurrent matrix is dropped in a training
            step (Merity et al. 2017).
    """

    def __init__(
        self,
        rnn: nn.Module,
        *,
        biases: Sequence[float],
        parts: int,
        learned_start: bool,
        weight_drop: float,
    ) -> None:
        super().__init__()
        self.rnn = rnn
        self.parts = parts
        self.weight_drop = weight_drop
        self.hidden_size = rnn.get_parameter(RECURRENT).shape[1]
        self.start = nn.Parameter(torch.zeros(parts, self.hidden_size)) if learned_start else None
        initialize_gates(rnn, biases)

    @property
    def recurrent(self) -> Tensor:
        """The recurrent matrix."""
        return cast("Tensor", getattr(self.rnn, RECURRENT))

    def initial(self, batch_size: int) -> Cell:
        """Return the state before the first token."""
        zeros = self.recurrent.new_zeros(self.parts, self.hidden_size)
        start = zeros if self.start is None else self.start
        return tuple(part.expand(batch_size, -1) for part in start)

    def unit_weights(self) -> Tensor:
        """Return the weights that compute each unit, `[N, H]`."""
        rows = torch.cat([cast("Tensor", self.rnn.weight_ih_l0), self.recurrent], dim=1)
        gates = rows.view(-1, self.hidden_size, rows.shape[1])  # [G, H, D + H]
        return gates.transpose(1, 2).flatten(0, 1)

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor, state: Cell | None) -> tuple[Tensor, Cell | None]:
        """Return the outputs `[B, T, H]` and, if a state was passed, the state after the text."""

    def run(self, *inputs: Any) -> Any:
        """Call the layer, in training with weights of its recurrent matrix dropped.

        The layer computes with another tensor under the name of the parameter. So fused kernels
        still apply, and the parameter stays the leaf that gradients reach.
        """
        if torch.is_autocast_enabled("cpu") and self.recurrent.device.type == "cpu":
            # Fused layers in bfloat16 need instructions that many processors lack.
            with torch.autocast("cpu", enabled=False):
                x, *others = inputs
                return self.run(x.float(), *mapped(others, _as_float))
        if not (self.training and self.weight_drop):
            return self.rnn(*inputs)
        dropped = functional.dropout(self.recurrent, self.weight_drop)
        return functional_call(self.rnn, {RECURRENT: dropped}, inputs)


class FusedDirection(Direction):
    """A direction that is one layer of `torch.nn.LSTM` or `torch.nn.GRU`."""

    @property
    def has_products(self) -> bool:
        """Whether the layer still is one of torch, with its own parameters."""
        return isinstance(self.rnn, (nn.LSTM, nn.GRU)) and isinstance(self.recurrent, nn.Parameter)

    def products(self, vectors: Tensor) -> Tensor:
        """Return the products of word vectors `[U, D]` with the input weights, `[U, N]`."""
        rnn = self.rnn
        weight, bias = rnn.get_parameter("weight_ih_l0"), rnn.get_parameter("bias_ih_l0")
        return functional.linear(vectors, weight, bias + self.outer_bias())

    @abstractmethod
    def outer_bias(self) -> Tensor:
        """Return the recurrent biases that can be added to the products, zero for the others."""

    @abstractmethod
    def over_products(
        self, products: Tensor, ids: Tensor, lengths: Tensor, sides: Sides, start: Tensor | None
    ) -> Tensor:
        """Return the outputs of all directions; arguments as for `Recurrent.over_products`.

        Args:
            products: The products of all directions, side by side.
            ids: The row of each token, `[B, T]` int64.
            lengths: `[B]` int64, the number of real tokens of each sentence.
            sides: The recurrent weights of all directions.
            start: The state before the first token, `[parts, directions · H]`; None: zeros.
        """


class StepwiseDirection(Direction):
    """A direction that runs token by token.

    Args:
        cell: The layer.
        learned_start: Whether the state before the first token is learned; else it is zero.
        weight_drop: Probability that a weight of the recurrent matrix is dropped in a training
            step (Merity et al. 2017).
    """

    def __init__(self, cell: Stepwise, *, learned_start: bool, weight_drop: float) -> None:
        super().__init__(
            cell,
            biases=cell.biases,
            parts=cell.parts,
            learned_start=learned_start,
            weight_drop=weight_drop,
        )

    def unit_weights(self) -> Tensor:
        """Return the weights that compute each unit, `[N, H]`."""
        matrices = cast("Tensor", self.rnn.weight_ih_l0), self.recurrent
        blocks = [matrix.view(-1, self.hidden_size, matrix.shape[1]) for matrix in matrices]
        return torch.cat([block.transpose(1, 2).flatten(0, 1) for block in blocks])

    def forward(self, x: Tensor, mask: Tensor, state: Cell | None) -> tuple[Tensor, Cell | None]:
        """Return the outputs `[B, T, H]` and, if a state was passed, the state after the text."""
        cell = self.initial(x.shape[0]) if state is None else state
        output, end = self.run(x, tuple(part.unsqueeze(0) for part in cell), mask)
        return output, None if state is None else tuple(part[0] for part in end)


class SideBySide(Recurrent):
    """One or two directions that do not read each other; the second one reads backwards.

    Args:
        make: Returns a direction.
        bidirectional: Whether there are two directions.
        split: Whether each direction reads its own half of the input.
    """

    def __init__(self, make: Callable[[], Direction], bidirectional: bool, split: bool) -> None:
        super().__init__()
        self.ahead = make()
        self.back = make() if bidirectional else None
        self.split = split

    def initial(self, batch_size: int) -> Cell:
        """Return the state of the forward direction before the first token."""
        return self.ahead.initial(batch_size)

    def unit_weights(self) -> Tensor:
        """Return the weights that compute each unit of a direction, `[directions, N, H]`."""
        return torch.stack([side.unit_weights() for side in self._sides])

    @property
    def _sides(self) -> list[Direction]:
        return [self.ahead] if self.back is None else [self.ahead, self.back]

    @property
    def has_products(self) -> bool:
        """Whether each direction is a recurrence over products of its input with a matrix."""
        return isinstance(self.ahead, FusedDirection) and self.ahead.has_products

    def products(self, vectors: Tensor) -> Tensor:
        """Return the products of word vectors `[U, D]` of all directions, side by side."""
        sides = cast("list[FusedDirection]", self._sides)
        return torch.cat([side.products(vectors) for side in sides], dim=1)

    def prepared(self) -> Sides:
        """Return the recurrent weights in the order that operators read them."""
        biases = torch.stack([cast("Tensor", side.rnn.bias_hh_l0) for side in self._sides])
        return Sides(pack_cells([side.recurrent for side in self._sides]), biases)

    def over_products(
        self, products: Tensor, ids: Tensor, lengths: Tensor, prepared: Sides
    ) -> Tensor:
        """Return the outputs in evaluation; see `Recurrent.over_products`."""
        starts: list[Tensor] = [side.start for side in self._sides if side.start is not None]
        start = torch.cat(starts, dim=1) if starts else None
        ahead = cast("FusedDirection", self.ahead)
        return ahead.over_products(products, ids, lengths, prepared, start)

    def forward(self, x: Tensor, mask: Tensor, state: Cell | None) -> tuple[Tensor, Cell | None]:
        """Return the outputs and, if a state was passed, the new state after the text."""
        first, second = x.chunk(2, dim=2) if self.split else (x, x)
        output, after = self.ahead(first, mask, state)
        if self.back is None:
            return output, after
        behind, _ = self.back(reverse_padded(second, mask), mask, None)
        return torch.cat([output, reverse_padded(behind, mask)], dim=2), after


def _as_float(x: Tensor) -> Tensor:
    return x.float() if x.is_floating_point() else x
