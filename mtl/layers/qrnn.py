"""Quasi-recurrent layers. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.layers.dropout import VariationalDropout
from mtl.layers.sequence import last_real
from mtl.ops.pool import f_pool, fo_pool, ifo_pool

QRNNState = tuple[Tensor, Tensor | None]
"""Last state `[B, H]`, and the last input `[B, D]` where the window is 2."""

_POOLS: dict[str, tuple[Callable[..., tuple[Tensor, Tensor]], int]] = {
    "f": (f_pool, 2),
    "fo": (fo_pool, 3),
    "ifo": (ifo_pool, 4),
}


class QRNNLayer(nn.Module):
    """One quasi-recurrent layer that reads in one direction (Bradbury et al. 2017).

    Gates of all tokens in one product, of the token and, with window 2, of the one read before
    it; then a recurrence without a matrix. With window 2 the first token of a text sees zeros,
    and that of a later piece the last token of the piece before.

    Args:
        input_size: Width D of the input.
        hidden_size: Width H of the output.
        window: How many tokens the gates see, 1 or 2.
        pooling: "f", "fo" or "ifo": which gates there are.
        reverse: Whether to read from the last token to the first.
        zoneout: Probability that a unit keeps its state in a step of training.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        window: Literal[1, 2] = 1,
        pooling: Literal["f", "fo", "ifo"] = "fo",
        reverse: bool = False,
        zoneout: float = 0.0,
    ) -> None:
        super().__init__()
        if window not in (1, 2):
            raise ValueError(f"window: expected 1 or 2, got {window}")
        self.window = window
        self.hidden_size = hidden_size
        self.reverse = reverse
        self.zoneout = zoneout
        self._pool, gates = _POOLS[pooling]
        self.gates = nn.Linear(input_size * window, gates * hidden_size)
        nn.init.xavier_uniform_(self.gates.weight)
        nn.init.zeros_(self.gates.bias)
        with torch.no_grad():
            self.gates.bias[hidden_size : 2 * hidden_size] = 1  # keep more at first

    def forward(
        self, x: Tensor, state: QRNNState | None = None, *, mask: Tensor | None = None
    ) -> tuple[Tensor, QRNNState]:
        """Return the outputs `[B, T, H]`, zero on padding, and the state after the text.

        Args:
            x: `[B, T, D]`.
            state: What the piece of text before returned; None at the start.
            mask: `[B, T]` bool, True on real tokens, which come first; None: all are real.
        """
        c0, before = state or (None, None)
        seen = x if mask is None else x * mask.unsqueeze(-1)
        gates = self.gates(self._windows(seen, before))
        keep = None
        if self.training and self.zoneout:
            keep = torch.rand(*x.shape[:2], self.hidden_size, device=x.device) < self.zoneout
        lengths = None if mask is None else mask.sum(1)
        h, c = self._pool(gates, c0, lengths, reverse=self.reverse, zoneout_mask=keep)
        return h, (c, self._last_input(x, mask, before))

    def initial_state(self, batch_size: int) -> QRNNState:
        """Return the state before the first token of a text: zeros."""
        weight = self.gates.weight
        before = weight.new_zeros(batch_size, weight.shape[1] // 2) if self.window == 2 else None
        return weight.new_zeros(batch_size, self.hidden_size), before

    def _windows(self, x: Tensor, before: Tensor | None) -> Tensor:
        if self.window == 1:
            return x
        if self.reverse:  # the token read before stands on the right; padding there is zero
            return torch.cat([functional.pad(x[:, 1:], (0, 0, 0, 1)), x], dim=2)
        previous = functional.pad(x[:, :-1], (0, 0, 1, 0))
        if before is not None:
            previous = torch.cat([before.unsqueeze(1), previous[:, 1:]], dim=1)
        return torch.cat([previous, x], dim=2)

    def _last_input(self, x: Tensor, mask: Tensor | None, before: Tensor | None) -> Tensor | None:
        if self.window == 1:
            return None
        if mask is None:
            return x[:, -1]
        last = last_real(x, mask)
        old = torch.zeros_like(last) if before is None else before
        return torch.where(mask.any(1, keepdim=True), last, old)


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
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        window: Literal[1, 2] = 1,
        pooling: Literal["f", "fo", "ifo"] = "fo",
        bidirectional: bool = False,
        dropout: float = 0.0,
        zoneout: float = 0.0,
    ) -> None:
        super().__init__()
        directions = (False, True) if bidirectional else (False,)
        self.dropout = VariationalDropout(dropout)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                QRNNLayer(
                    len(directions) * hidden_size if i else input_size,
                    hidden_size,
                    window=1 if i else window,
                    pooling=pooling,
                    reverse=reverse,
                    zoneout=zoneout,
                )
                for reverse in directions
            )
            for i in range(num_layers)
        )

    def forward(
        self,
        x: Tensor,
        state: list[QRNNState] | None = None,
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
        for i, layer in enumerate(cast("Sequence[Sequence[QRNNLayer]]", self.layers)):
            x = self.dropout(x) if i else x
            outputs = []
            for direction in layer:
                given = state[i] if state and not direction.reverse else None
                output, end = direction(x, given, mask=mask)
                outputs.append(output)
                if not direction.reverse:
                    after.append(end)
            x = torch.cat(outputs, dim=2)
        return x, after
