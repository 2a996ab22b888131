"""GRU trunk. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor, nn

from mtl.layers.gru import StepwiseGRU
from mtl.layers.sequence import last_real
from mtl.ops.rows import gru_rows
from mtl.options import Probability, complete
from mtl.trunks.directional import DirectionalTrunk, StackOptions
from mtl.trunks.rnn import Cell, FusedDirection, SideBySide, Sides, StepwiseDirection


class _GRUDirection(FusedDirection):
    """One GRU layer."""

    def __init__(
        self, in_features: int, hidden_size: int, *, learned_start: bool, weight_drop: float
    ) -> None:
        super().__init__(
            nn.GRU(in_features, hidden_size, batch_first=True),
            biases=StepwiseGRU.biases,
            parts=1,
            learned_start=learned_start,
            weight_drop=weight_drop,
        )

    def forward(self, x: Tensor, mask: Tensor, state: Cell | None) -> tuple[Tensor, Cell | None]:
        """Return the outputs `[B, T, H]` and, if a state was passed, the state after the text."""
        (start,) = self.initial(x.shape[0]) if state is None else state
        output, _ = self.run(x, start.unsqueeze(0).contiguous())
        if state is None:
            return output, None
        end = torch.where(mask.any(1, keepdim=True), last_real(output, mask), start)
        return output, (end,)

    def outer_bias(self) -> Tensor:
        """Return the recurrent biases of reset and update gate; the third is not outside."""
        reset, update, new = self.rnn.get_parameter("bias_hh_l0").chunk(3)
        return torch.cat([reset, update, torch.zeros_like(new)])

    def over_products(
        self, products: Tensor, ids: Tensor, lengths: Tensor, sides: Sides, start: Tensor | None
    ) -> Tensor:
        """Return the outputs of all directions; see `FusedDirection.over_products`."""
        both = len(sides.weights) == 2
        bias = sides.biases.chunk(3, dim=1)[2].contiguous()
        return gru_rows(products, ids, lengths, sides.weights, bias, start, bidirectional=both)


class GRUTrunk(DirectionalTrunk):
    """Stacked GRU layers (Cho et al. 2014), by default in both directions.

    Three gates instead of the LSTM's four, and no cell state: a quarter fewer weights. Reset
    gates start with bias −1, and recurrent matrices are initialised as orthogonal ones.

    Args:
        in_features: Width D of the token vectors.
        learned_start: Whether the states before the first token are learned; else they are zero.
        weight_drop: Probability that a weight of the recurrent matrices is dropped in a training
            step (Merity et al. 2017).
        layer_norm: Whether the products are normalised (Ba et al. 2016). With this option or one of
            the following, the layer runs token by token, which is about twice as slow.
        zoneout: Probability that a unit keeps its value at a token in training; evaluation uses
            the expected value (Krueger et al. 2017).
        recurrent_dropout: Probability of dropping a unit of the state that the recurrent matrix
            reads, the same for all tokens of a sentence (Gal & Ghahramani 2016).
        update_dropout: Probability of dropping a unit of the candidate at a token, so that the
            state itself is not lost (Semeniuta et al. 2016).
    """

    def __init__(
        self,
        in_features: int,
        *,
        learned_start: bool = False,
        weight_drop: Probability = 0.0,
        layer_norm: bool = False,
        zoneout: Probability = 0.0,
        recurrent_dropout: Probability = 0.0,
        update_dropout: Probability = 0.0,
        **stack: Unpack[StackOptions],
    ) -> None:
        stack = complete(StackOptions, stack)
        both = bool(stack["bidirectional"])

        def direction(width: int, size: int) -> _GRUDirection | StepwiseDirection:
            if not (layer_norm or zoneout or recurrent_dropout or update_dropout):
                return _GRUDirection(
                    width, size, learned_start=learned_start, weight_drop=weight_drop
                )
            cell = StepwiseGRU(
                width,
                size,
                layer_norm=layer_norm,
                zoneout=zoneout,
                recurrent_dropout=recurrent_dropout,
                update_dropout=update_dropout,
            )
            return StepwiseDirection(cell, learned_start=learned_start, weight_drop=weight_drop)

        def make(_: int, width: int, size: int, split: bool) -> SideBySide:
            return SideBySide(lambda: direction(width, size), both, split)

        super().__init__(in_features, make, **stack)
