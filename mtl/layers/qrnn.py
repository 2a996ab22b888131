"""Quasi-recurrent layers. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.errors import OptionError
from mtl.layers.dropout import VariationalDropout
from mtl.layers.sequence import last_real
from mtl.ops.qrnn import COUNTS, QRNNPooling, qrnn

QRNNState = tuple[Tensor, Tensor | None]
"""Last state `[B, H]`, and the last input `[B, D]` where the window is 2."""


class QRNNLayer(nn.Module):
    """One quasi-recurrent layer, in one direction or both (Bradbury et al. 2017).

    Gates of all tokens in one product, of the token and, with window 2, of the one read before
    it; then a recurrence without a matrix, of both directions at once. With window 2 the first
    token of a text sees zeros, and that of a later piece the last token of the piece before.

    Args:
        input_size: Width D of the input of a direction.
        hidden_size: Width H of the output of a direction.
        window: How many tokens the gates see, 1 or 2.
        pooling: "f", "fo" or "ifo": which gates there are.
        reverse: Whether to read from the last token to the first.
        bidirectional: Whether to read in both directions, whose outputs stand side by side. They
            read the same input `[B, T, D]`, or each its half of one `[B, T, 2D]`.
        zoneout: Probability that a unit keeps its state in a step of training.
        weight_drop: Probability that a weight of the products is left out of a step of training
            (Merity et al. 2017).
        learned_start: Whether the state before the first token is learned; else it is zero.
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
        if window not in (1, 2):
            raise OptionError("window", f"expected 1 or 2, got {window}")
        if reverse and bidirectional:
            raise ValueError("reverse: a bidirectional layer reads in both directions")
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
        bias[:, 1] = 1  # keep more at first
        self.bias = nn.Parameter(bias.flatten())
        start = torch.zeros(directions * hidden_size)
        self.start = nn.Parameter(start) if learned_start else None

    def forward(
        self, x: Tensor, state: QRNNState | None = None, *, mask: Tensor | None = None
    ) -> tuple[Tensor, QRNNState]:
        """Return the outputs `[B, T, H]`, zero on padding, and the state after the text.

        The outputs of both directions are `[B, T, 2H]`. The state is that of the forward one.

        Args:
            x: `[B, T, D]`, or `[B, T, 2D]` with a part for each direction.
            state: What the piece of text before returned; None at the start.
            mask: `[B, T]` bool, True on real tokens, which come first; None: all are real.
        """
        c0, before = state or (None, None)
        if self.start is not None:
            start = self.start.expand(len(x), -1)
            c0 = start if c0 is None else torch.cat([c0, start[:, self.hidden_size :]], dim=1)
        elif c0 is not None and self.bidirectional:
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
        """Return the state before the first token of a text: zeros, or what is learned."""
        before = None
        if self.window == 2:
            before = self.weight.new_zeros(batch_size, self.weight.shape[1])
        start = self.weight.new_zeros(self.hidden_size) if self.start is None else self.start
        return start[: self.hidden_size].expand(batch_size, -1), before

    def _last_input(self, x: Tensor, mask: Tensor | None, before: Tensor | None) -> Tensor | None:
        if self.window == 1:
            return None
        own = x[..., : self.weight.shape[1]]
        old = own.new_zeros(own.shape[::2]) if before is None else before
        if not own.shape[1]:
            return old
        if mask is None:
            return own[:, -1]
        return torch.where(mask.any(1, keepdim=True), last_real(own, mask), old)


class QRNN(nn.Module):
    """Stacked quasi-recurrent layers, called much as `torch.nn.LSTM` (Bradbury et al. 2017).

    Args:
        input_size: Width D of the input.
        hidden_size: Width H of a layer, per direction.
        num_layers: The number of layers.
        window: How many tokens the gates of the first layer see, 1 or 2; those of later layers
            see one.
        pooling: "f", "fo" or "ifo": which gates there are.
        bidirectional: Whether each layer reads in both directions, side by side, and the next
            one sees both.
        dropout: Probability of dropping a unit between layers, the same for all tokens.
        zoneout: Probability that a unit keeps its state in a step of training.
        weight_drop: Probability that a weight is left out of a step of training.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        window: int = 1,
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
                window=1 if i else window,
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
            state: What the piece of text before returned, one entry a layer, of its forward
                direction; None at the start.
            mask: `[B, T]` bool, True on real tokens, which come first; None: all are real.
        """
        after = []
        for i, layer in enumerate(cast("Sequence[QRNNLayer]", self.layers)):
            x = self.dropout(x) if i else x
            x, end = layer(x, state[i] if state else None, mask=mask)
            after.append(end)
        return x, after
