"""LSTM trunk. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mtl.options import PositiveInt, Probability
from mtl.trunks.directional import Bidirectional, Direction, DirectionalTrunk, SideBySide

Cell = tuple[Tensor, Tensor]
"""Hidden and cell state of one layer, each `[B, H]`."""


class _LSTMDirection(Direction):
    """One LSTM layer.

    Runs on padded tensors, for which a CPU has a faster path than for packed ones: padding stands
    on the right, so no real token ever reads it. Only the state after the last token needs packing.
    """

    def __init__(self, in_features: int, hidden_size: int, learned: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(in_features, hidden_size, batch_first=True)
        self.start = nn.Parameter(torch.zeros(2, hidden_size)) if learned else None
        weights = dict(self.lstm.named_parameters())
        nn.init.xavier_uniform_(weights["weight_ih_l0"])
        nn.init.orthogonal_(weights["weight_hh_l0"])
        nn.init.zeros_(weights["bias_ih_l0"])
        nn.init.zeros_(weights["bias_hh_l0"])
        with torch.no_grad():  # torch orders the gates i, f, g, o
            weights["bias_ih_l0"][hidden_size : 2 * hidden_size] = 1

    def initial(self, batch_size: int) -> Cell:
        """Return the state before the first token."""
        width = self.lstm.hidden_size
        zeros = next(self.lstm.parameters()).new_zeros(2, width)
        h, c = zeros if self.start is None else self.start
        return h.expand(batch_size, width), c.expand(batch_size, width)

    def forward(self, x: Tensor, mask: Tensor, state: Cell | None) -> tuple[Tensor, Cell | None]:
        """Return the outputs `[B, T, H]` and, when a state is given, the one after the text."""
        h, c = state or self.initial(len(x))
        start = (h.unsqueeze(0).contiguous(), c.unsqueeze(0).contiguous())
        if state is None or mask.all():
            output, end = self.lstm(x, start)
        else:
            output, end = self._packed(x, mask, start)
        return output, None if state is None else (end[0][0], end[1][0])

    def _packed(self, x: Tensor, mask: Tensor, start: Cell) -> tuple[Tensor, Cell]:
        lengths = mask.sum(1)
        some = lengths > 0
        if not some.any():
            return x.new_zeros(*x.shape[:2], self.lstm.hidden_size), start
        packed = pack_padded_sequence(
            x[some], lengths[some].cpu(), batch_first=True, enforce_sorted=False
        )
        result, end = self.lstm(packed, (start[0][:, some], start[1][:, some]))
        padded, _ = pad_packed_sequence(result, batch_first=True, total_length=x.shape[1])
        output = padded.new_zeros(*x.shape[:2], padded.shape[2])
        output[some] = padded
        ends = [whole.clone() for whole in start]
        for whole, part in zip(ends, end, strict=True):
            whole[:, some] = part
        return output, (ends[0], ends[1])


class LSTMTrunk(DirectionalTrunk):
    """Stacked LSTM layers (Hochreiter & Schmidhuber 1997), by default in both directions.

    The forget gate starts with bias 1 (Jozefowicz et al. 2015), the recurrent matrices orthogonal.

    Args:
        in_features: Width D of the token vectors.
        learned_start: Whether the states before the first token are learned; else they are zero.
    """

    def __init__(
        self,
        in_features: int,
        *,
        num_layers: PositiveInt = 2,
        hidden_size: PositiveInt = 256,
        bidirectional: Bidirectional = True,
        dropout: Probability = 0.3,
        learned_start: bool = False,
    ) -> None:
        def make(_: int, width: int, split: bool) -> SideBySide:
            def direction() -> Direction:
                return _LSTMDirection(width, hidden_size, learned_start)

            return SideBySide(direction, bool(bidirectional), split)

        super().__init__(in_features, make, num_layers, hidden_size, bidirectional, dropout)
