"""LSTM trunk. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mtl.layers.lstm import StepwiseLSTM
from mtl.ops.rows import lstm_rows
from mtl.options import Probability, complete
from mtl.trunks.directional import DirectionalTrunk, StackOptions
from mtl.trunks.rnn import Cell, FusedDirection, SideBySide, Sides, StepwiseDirection


class _LSTMDirection(FusedDirection):
    """One LSTM layer. Packing is needed only for the cell state after the last real token."""

    def __init__(
        self, in_features: int, hidden_size: int, *, learned_start: bool, weight_drop: float
    ) -> None:
        super().__init__(
            nn.LSTM(in_features, hidden_size, batch_first=True),
            biases=StepwiseLSTM.biases,
            parts=2,
            learned_start=learned_start,
            weight_drop=weight_drop,
        )

    def forward(self, x: Tensor, mask: Tensor, state: Cell | None) -> tuple[Tensor, Cell | None]:
        """Return the outputs `[B, T, H]` and, if a state was passed, the state after the text."""
        cell = self.initial(x.shape[0]) if state is None else state
        start = tuple(part.unsqueeze(0).contiguous() for part in cell)
        if state is None or mask.all():
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
        """Return the outputs of all directions; see `FusedDirection.over_products`."""
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
        layer_norm: Whether the products and the cell state are normalised (Ba et al. 2016). With
            this option or one of the following, the layer runs token by token, which is about twice
            as slow.
        zoneout: Probability that a unit of the cell state keeps its value at a token in training;
            evaluation uses the expected value (Krueger et al. 2017).
        zoneout_hidden: The same for the hidden state; null: equal to `zoneout`.
        recurrent_dropout: Probability of dropping a unit of the hidden state that the recurrent
            matrix reads, the same for all tokens of a sentence (Gal & Ghahramani 2016).
        update_dropout: Probability of dropping a unit of the candidate at a token, so that the cell
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
        zoneout_hidden: Probability | None = None,
        recurrent_dropout: Probability = 0.0,
        update_dropout: Probability = 0.0,
        **stack: Unpack[StackOptions],
    ) -> None:
        stack = complete(StackOptions, stack)
        both = bool(stack["bidirectional"])
        dropouts = recurrent_dropout or update_dropout

        def direction(width: int, size: int) -> _LSTMDirection | StepwiseDirection:
            if not (layer_norm or zoneout or zoneout_hidden or dropouts):
                return _LSTMDirection(
                    width, size, learned_start=learned_start, weight_drop=weight_drop
                )
            cell = StepwiseLSTM(
                width,
                size,
                layer_norm=layer_norm,
                zoneout=zoneout,
                zoneout_hidden=zoneout_hidden,
                recurrent_dropout=recurrent_dropout,
                update_dropout=update_dropout,
            )
            return StepwiseDirection(cell, learned_start=learned_start, weight_drop=weight_drop)

        def make(_: int, width: int, size: int, split: bool) -> SideBySide:
            return SideBySide(lambda: direction(width, size), both, split)

        super().__init__(in_features, make, **stack)
