"""Quasi-recurrent layers. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.errors import OptionError
from mtl.layers.dropout import VariationalDropout
from mtl.layers.sequence import last_inputs
from mtl.ops.qrnn import COUNTS, QRNNPooling, qrnn

QRNNState = tuple[Tensor, Tensor | None]
"""The last state `[B, H]`, and the last inputs `[B, (window - 1) · D]`, None for a window of 1."""


class QRNNLayer(nn.Module):
    """One quasi-recurrent layer, in one direction or both (Bradbury et al. 2017).

    Matrix products compute the gates of all tokens, each from the tokens of a window that ends with
    it in reading order. An elementwise recurrence follows, for both directions at once. The tokens
    before the first one are zero at the start of a text, and the last tokens of the previous chunk
    in later chunks.

    Args:
        input_size: Width D of the input of a direction.
        hidden_size: Width H of the output of a direction.
        window: The number of tokens that the gates depend on.
        pooling: The gates, "f", "fo" or "ifo".
        reverse: Whether to read from the last token to the first.
        bidirectional: Whether to read in both directions and concatenate their outputs. Both read
            the same input `[B, T, D]`, or each one half of an input `[B, T, 2D]`.
        zoneout: Probability that a unit keeps its state in a training step (Krueger et al. 2017).
        weight_drop: Probability of dropping a weight of the matrix products in a training step
            (Merity et al. 2017).
        learned_start: Whether the state before the first token is learned; otherwise it is zero.

    Raises:
        ValueError: The window is not positive, or `reverse` is combined with `bidirectional`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        window: int = 1,
        pooling: QRNNPooling = "fo",
        reverse: bool = False,
        bidirectional: bool = False,
        zoneout: float = 0.0,
        weight_drop: float = 0.0,
        learned_start: bool = False,
    ) -> None:
        super().__init__()
        if window < 1:
            raise OptionError("window", f"expected at least 1, got {window}")
        if reverse and bidirectional:
            raise ValueError(
                "reverse: expected False with bidirectional=True, which reads in both directions"
            )
        self.window = window
        self.pooling: QRNNPooling = pooling
        self.hidden_size = hidden_size
        self.reverse = reverse
        self.bidirectional = bidirectional
        self.zoneout = zoneout
        self.weight_drop = weight_drop
        directions, gates = 1 + bidirectional, COUNTS[pooling] * hidden_size
        bound = (6 / (window * input_size + gates)) ** 0.5  # Glorot & Bengio (2010)
        weight = torch.empty(window, input_size, directions * gates)
        self.weight = nn.Parameter(weight.uniform_(-bound, bound))
        bias = torch.zeros(directions, COUNTS[pooling], hidden_size)
        bias[:, 1] = 1  # the forget gate: at first, keep more of the state
        self.bias = nn.Parameter(bias.flatten())
        start = torch.zeros(directions * hidden_size)
        self.start = nn.Parameter(start) if learned_start else None

    def forward(
        self, x: Tensor, state: QRNNState | None = None, *, mask: Tensor | None = None
    ) -> tuple[Tensor, QRNNState]:
        """Return the outputs `[B, T, H]`, zero on padding, and the state after the text.

        With two directions the outputs are `[B, T, 2H]`. The state contains only the forward
        direction, as the backward direction starts anew in every chunk.

        Args:
            x: `[B, T, D]`, or `[B, T, 2D]` with one half per direction.
            state: The state after the previous chunk of the text; None at the start.
            mask: `[B, T]` bool, True on real tokens, which come first; None means that all tokens
                are real.
        """
        c0, before = state or (None, None)
        if self.start is not None:
            # The carried state replaces the learned start of the forward direction only.
            start = self.start.expand(len(x), -1)
            c0 = start if c0 is None else torch.cat([c0, start[:, self.hidden_size :]], dim=1)
        elif c0 is not None and self.bidirectional:
            # The backward direction starts at zero.
            c0 = functional.pad(c0, (0, self.hidden_size))
        width = (1 + self.bidirectional) * self.hidden_size
        keep = None
        if self.training and self.zoneout:
            keep = torch.rand(*x.shape[:2], width, device=x.device) < self.zoneout
        h, last = qrnn(
            x,
            functional.dropout(self.weight, self.weight_drop, self.training),
            self.bias,
            c0,
            None if self.reverse else before,
            None if mask is None else mask.sum(1),
            pooling=self.pooling,
            reverse=self.reverse,
            bidirectional=self.bidirectional,
            zoneout_mask=keep,
        )
        return h, (last[:, : self.hidden_size], self._last_input(x, mask, before))

    def initial_state(self, batch_size: int) -> QRNNState:
        """Return the state before the first token of a text: zeros, or the learned start."""
        before = None
        if self.window > 1:
            before = self.weight.new_zeros(batch_size, (self.window - 1) * self.weight.shape[1])
        start = self.weight.new_zeros(self.hidden_size) if self.start is None else self.start
        return start[: self.hidden_size].expand(batch_size, -1), before

    def _last_input(self, x: Tensor, mask: Tensor | None, before: Tensor | None) -> Tensor | None:
        if self.window == 1:
            return None
        inputs = x[..., : self.weight.shape[1]]  # of the forward direction
        shape = len(x), self.window - 1, inputs.shape[2]
        earlier = inputs.new_zeros(shape) if before is None else before.reshape(shape)
        return last_inputs(inputs, mask, earlier).flatten(1)


class QRNN(nn.Module):
    """Stacked quasi-recurrent layers, similar to `torch.nn.LSTM` (Bradbury et al. 2017).

    Args:
        input_size: Width D of the input.
        hidden_size: Width H of a layer, per direction.
        num_layers: The number of layers.
        window: The number of tokens that the gates of the first layer depend on.
        upper_window: The number of tokens that the gates of later layers depend on.
        pooling: The gates, "f", "fo" or "ifo".
        bidirectional: Whether each layer reads in both directions; the next layer reads the
            concatenated outputs.
        dropout: Probability of dropping a unit between layers, the same for all tokens.
        zoneout: Probability that a unit keeps its state in a training step.
        weight_drop: Probability of dropping a weight in a training step.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        window: int = 1,
        upper_window: int = 1,
        pooling: QRNNPooling = "fo",
        bidirectional: bool = False,
        dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = VariationalDropout(dropout)
        self.layers = nn.ModuleList(
            QRNNLayer(
                (1 + bidirectional) * hidden_size if i else input_size,
                hidden_size,
                window=upper_window if i else window,
                pooling=pooling,
                bidirectional=bidirectional,
                zoneout=zoneout,
                weight_drop=weight_drop,
            )
            for i in range(num_layers)
        )

    def forward(
        self,
        x: Tensor,
        state: Sequence[QRNNState] | None = None,
        *,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, list[QRNNState]]:
        """Return the outputs of the last layer, `[B, T, H]`, and the state after the text.

        Args:
            x: `[B, T, D]`.
            state: The state after the previous chunk of the text, one entry per layer; None at the
                start.
            mask: `[B, T]` bool, True on real tokens, which come first; None means that all tokens
                are real.
        """
        after = []
        for i, layer in enumerate(cast("Sequence[QRNNLayer]", self.layers)):
            x = self.dropout(x) if i else x
            x, end = layer(x, state[i] if state else None, mask=mask)
            after.append(end)
        return x, after
