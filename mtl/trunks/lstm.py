"""LSTM trunk. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mtl.layers.lstm import StepwiseLSTM
from mtl.ops.rows import lstm_rows
from mtl.options import Probability, complete
from mtl.trunks.directional import DirectionalTrunk, StackOptions
from mtl.trunks.rnn import Cell, Direction, SideBySide, Sides


class _LSTMDirection(Direction):
    """One LSTM layer. Packing is needed only for the cell state after the last real token."""

    def __init__(
        self,
        in_features: int,
        hidden_size: int,
        *,
        learned_start: bool,
        weight_drop: float,
        layer_norm: bool,
        zoneout: float,
    ) -> None:
        rnn: nn.Module
        if layer_norm or zoneout:
            rnn = StepwiseLSTM(in_features, hidden_size, layer_norm=layer_norm, zoneout=zoneout)
        else:
            rnn = nn.LSTM(in_features, hidden_size, batch_first=True)
        super().__init__(
            rnn,
            biases=(0.0, 1.0, 0.0, 0.0),  # input, forget, cell, output
            parts=2,
            learned_start=learned_start,
            weight_drop=weight_drop,
        )

    def forward(self, x: Tensor, mask: Tensor, state: Cell | None) -> tuple[Tensor, Cell | None]:
        """Return the outputs `[B, T, H]` and, if a state was passed, the state after the text."""
        cell = self.initial(x.shape[0]) if state is None else state
        start = tuple(part.unsqueeze(0).contiguous() for part in cell)
        if isinstance(self.rnn, StepwiseLSTM):
            output, end = self.run(x, start, mask)
        elif state is None or mask.all():
            output, end = self.run(x, start)
        else:
            output, end = self._packed(x, mask, start)
        return output, None if state is None else tuple(part[0] for part in end)

    def outer_bias(self) -> Tensor:
        """Return all recurrent biases: gates are sums."""
        return self.rnn.get_parameter("bias_hh_l0")

    def over_products(
        self, products: Tensor, ids: Tensor, lengths: Tensor, sides: Sides, start: Tensor | None
    ) -> Tensor:
        """Return the outputs of all directions; see `Direction.over_products`."""
        both = len(sides.weights) == 2
        return lstm_rows(products, ids, lengths, sides.weights, start, bidirectional=both)

    def _packed(self, x: Tensor, mask: Tensor, start: Cell) -> tuple[Tensor, Cell]:
        lengths = mask.sum(1)
        some = lengths > 0
        if not some.any():
            return x.new_zeros(*x.shape[:2], self.hidden_size), start
        packed = pack_padded_sequence(
            x[some], lengths[some].cpu(), batch_first=True, enforce_sorted=False
        )
        result, end = self.run(packed, tuple(part[:, some] for part in start))
        padded, _ = pad_packed_sequence(result, batch_first=True, total_length=x.shape[1])
        output = padded.new_zeros(*x.shape[:2], padded.shape[2])
        output[some] = padded
        ends = tuple(whole.clone() for whole in start)
        for whole, part in zip(ends, end, strict=True):
            whole[:, some] = part
        return output, ends


class LSTMTrunk(DirectionalTrunk):
    """Stacked LSTM layers (Hochreiter & Schmidhuber 1997), by default in both directions.

    Forget gates start with bias 1 (Jozefowicz et al. 2015), and recurrent matrices are initialised
    as orthogonal ones.

    Args:
        in_features: Width D of the token vectors.
        learned_start: Whether the states before the first token are learned; else they are zero.
        weight_drop: Probability that a weight of the recurrent matrices is dropped in a training
            step (Merity et al. 2017).
        layer_norm: Whether the products and the cell state are normalised (Ba et al. 2016). The
            layer then runs token by token, which is slower.
        zoneout: Probability that a unit keeps its value at a token in training; evaluation uses
            the expected value (Krueger et al. 2017). As slow as `layer_norm`.
    """

    def __init__(
        self,
        in_features: int,
        *,
        learned_start: bool = False,
        weight_drop: Probability = 0.0,
        layer_norm: bool = False,
        zoneout: Probability = 0.0,
        **stack: Unpack[StackOptions],
    ) -> None:
        stack = complete(StackOptions, stack)
        hidden_size, both = stack["hidden_size"], bool(stack["bidirectional"])

        def direction(width: int) -> Direction:
            return _LSTMDirection(
                width,
                hidden_size,
                learned_start=learned_start,
                weight_drop=weight_drop,
                layer_norm=layer_norm,
                zoneout=zoneout,
            )

        def make(_: int, width: int, split: bool) -> SideBySide:
            return SideBySide(lambda: direction(width), both, split)

        super().__init__(in_features, make, **stack)
