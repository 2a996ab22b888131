"""Trunk of further recurrent cells. Letters: B sentences, T tokens, D and H widths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal, Unpack

from mtl.layers.cells import BC3Cell, NASCell, PeepholeLSTM, RecurrentHighway
from mtl.layers.stepwise import Stepwise
from mtl.options import PositiveInt, Probability, Requires, complete, refuse_idle
from mtl.trunks.directional import DirectionalTrunk, StackOptions
from mtl.trunks.rnn import SideBySide, StepwiseDirection

CELLS: Mapping[str, Callable[..., Stepwise]] = {
    "nas": NASCell,
    "peephole": PeepholeLSTM,
    "bc3": BC3Cell,
}
"""The cells without a depth."""


class CellTrunk(DirectionalTrunk):
    """Stacked layers of a recurrent cell without a fused kernel, by default in both directions.

    They run token by token, two to four times slower than `lstm`. "rhn": recurrent highway layers,
    several highway layers per token (Zilly et al. 2017). "nas" and "bc3": cells that searches over
    architectures found (Zoph & Le 2017; Schrimpf et al. 2017). "peephole": an LSTM whose gates
    read its memory cell (Gers & Schmidhuber 2000).

    Args:
        in_features: Width D of the token vectors.
        cell: The cell.
        depth: The number of highway layers per token and layer.
        learned_start: Whether the states before the first token are learned; else they are zero.
        weight_drop: Probability that a weight of the recurrent matrices is dropped in a training
            step (Merity et al. 2017).
        zoneout: Probability that a unit keeps its value at a token in training; evaluation uses
            the expected value (Krueger et al. 2017).
        recurrent_dropout: Probability of dropping a unit of the state that the recurrent matrix
            reads, the same for all tokens of a sentence (Gal & Ghahramani 2016).
    """

    def __init__(
        self,
        in_features: int,
        *,
        cell: Literal["rhn", "nas", "peephole", "bc3"] = "rhn",
        depth: Annotated[PositiveInt, Requires("cell", ("rhn",))] = 2,
        learned_start: bool = False,
        weight_drop: Probability = 0.0,
        zoneout: Probability = 0.0,
        recurrent_dropout: Probability = 0.0,
        **stack: Unpack[StackOptions],
    ) -> None:
        stack = complete(StackOptions, stack)
        refuse_idle(CellTrunk, {"cell": cell, "depth": depth})
        both = bool(stack["bidirectional"])

        def layer(width: int, size: int) -> Stepwise:
            rates = {"zoneout": zoneout, "recurrent_dropout": recurrent_dropout}
            if cell == "rhn":
                return RecurrentHighway(width, size, depth=depth, **rates)
            return CELLS[cell](width, size, **rates)

        def direction(width: int, size: int) -> StepwiseDirection:
            return StepwiseDirection(
                layer(width, size), learned_start=learned_start, weight_drop=weight_drop
            )

        def make(_: int, width: int, size: int, split: bool) -> SideBySide:
            return SideBySide(lambda: direction(width, size), both, split)

        super().__init__(in_features, make, **stack)
