"""Quasi-recurrent layers. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.errors import OptionError
from mtl.layers.dropout import VariationalDropout
from mtl.layers.inputs import check_mask, check_probability
from mtl.layers.sequence import last_inputs
from mtl.ops.crf_paths import check_prefix
from mtl.ops.pool import f_pool, fo_pool, ifo_pool
from mtl.ops.qrnn import COUNTS, QRNNPooling, qrnn

POOLINGS = {"f": f_pool, "fo": fo_pool, "ifo": ifo_pool}
QRNNState = tuple[Tensor, Tensor | None]
"""The last state `[B, H]`, and the last inputs `[B, (window - 1) · D]`, None for a window of 1."""


class QRNNLayer(nn.Module):
    """One quasi-recurrent layer, in one direction or both (Bradbury et al. 2017).

    Matrix products compute the gates of all tokens, each from the tokens of a window that ends with
    it in reading order. An elementwise recurrence follows, for both directions at once. The tokens
    before the first one are zero at the start of a text, and the last tokens of the previous chunk
    in later chunks.

    With `highway` the output is o_t ⊙ c_t + (1 − o_t) ⊙ x_t, as in the simple recurrent unit (Lei
    et al. 2018). x_t is multiplied by a matrix if D differs from H.

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
        layer_norm: Whether the products of a token, which become its gates, are normalised together
            (Ba et al. 2016).
        highway: Whether the output gate mixes the state with the input.

    Raises:
        ValueError: The window is not positive, the pooling is unknown, a probability is not in
            [0, 1), `reverse` is combined with `bidirectional`, or `highway` with another pooling
            than "fo".
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
        layer_norm: bool = False,
        highway: bool = False,
    ) -> None:
        super().__init__()
        if pooling not in COUNTS:
            raise OptionError("pooling", f"expected one of {list(COUNTS)}, got {pooling!r}")
        check_probability("zoneout", zoneout)
        check_probability("weight_drop", weight_drop)
        if highway and pooling != "fo":
            raise OptionError("highway", f'expected the pooling "fo", got "{pooling}"')
        if window < 1:
            raise OptionError("window", f"expected at least 1, got {window}")
        if reverse and bidirectional:
            raise ValueError(
                "reverse: expected False with bidirectional=True, which reads in both directions"
            )
        self.window = window
        self.input_size = input_size
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
        self.norm = nn.Parameter(torch.ones(directions * gates)) if layer_norm else None
        self.highway = highway
        self.skip: nn.Parameter | None = None
        if highway and input_size != hidden_size:
            bound = (6 / (input_size + hidden_size)) ** 0.5
            matrix = torch.empty(input_size, directions * hidden_size)
            self.skip = nn.Parameter(matrix.uniform_(-bound, bound))

    def extra_repr(self) -> str:
        """Return the options shown by `print(module)`."""
        options = f"{self.input_size}, {self.hidden_size}, window={self.window}"
        ways = f"reverse={self.reverse}, bidirectional={self.bidirectional}"
        return f"{options}, pooling={self.pooling}, {ways}"

    @property
    def plain(self) -> bool:
        """Whether one function computes the whole layer: without normalisation and highway."""
        return self.norm is None and not self.highway

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
        weight = functional.dropout(self.weight, self.weight_drop, self.training)
        earlier = None if self.reverse else before
        if self.plain:
            h, last = qrnn(
                x,
                weight,
                self.bias,
                c0,
                earlier,
                None if mask is None else mask.sum(1),
                pooling=self.pooling,
                reverse=self.reverse,
                bidirectional=self.bidirectional,
                zoneout_mask=keep,
            )
        else:
            taps = [list(part) for part in weight.chunk(1 + self.bidirectional, dim=2)]
            gates = gate_products(x, taps, self.reverse, mask, earlier)
            h, last = pooled(gates, self, x, c0, mask, keep)
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


def gate_products(
    x: Tensor,
    taps: Sequence[Sequence[Tensor]],
    reverse: bool,
    mask: Tensor | None,
    before: Tensor | None = None,
) -> Tensor:
    """Return the products of all gates without biases, in torch's operators alone, `[B, T, N]`.

    Args:
        x: `[B, T, D]`, or `[B, T, 2D]` with one half per direction.
        taps: For each direction, a matrix `[D, G · H]` per token of the window, its own first.
        reverse: Whether the first direction runs from right to left.
        mask: `[B, T]` bool, True on real tokens; None means that all tokens are real.
        before: `[B, (window - 1) · D]`, the inputs before the first token, for the direction from
            left to right; None means zeros.
    """
    if mask is not None and len(taps[0]) > 1:
        x = x * mask.unsqueeze(2)  # a window above 1 reads positions beyond the sentence
    inputs = _inputs(x, taps[0][0].shape[0], len(taps))
    products = []
    for direction, (part, (first, *others)) in enumerate(zip(inputs, taps, strict=True)):
        gates, added = part @ first, len(others)
        backwards = reverse != (direction == 1)
        if added and before is not None and not backwards:
            earlier = before.view(len(x), added, part.shape[2])
            rows = torch.cat([earlier.to(part.dtype), part], dim=1)
        else:
            rows = functional.pad(part, (0, 0, 0, added) if backwards else (0, 0, added, 0))
        for tap, matrix in enumerate(others, 1):
            start = tap if backwards else added - tap
            gates = gates + rows[:, start : start + part.shape[1]] @ matrix
        products.append(gates)
    return torch.cat(products, dim=2)


def pooled(
    gates: Tensor,
    layer: QRNNLayer,
    x: Tensor,
    c0: Tensor | None,
    mask: Tensor | None,
    keep: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the outputs and the last state from the result of `gate_products`.

    Args:
        gates: `[B, T, N]`.
        layer: The layer, for its options, its biases and its further weights.
        x: The input of the layer, `[B, T, D]` or `[B, T, 2D]`.
        c0: The state before the first token; None means zeros.
        mask: `[B, T]` bool, True on real tokens; None means that all tokens are real.
        keep: `[B, T, H]` or `[B, T, 2H]` bool, True where zoneout keeps the state.
    """
    directions = 1 + layer.bidirectional
    if layer.norm is not None:
        parts = gates.chunk(directions, dim=2)
        normed = [functional.layer_norm(part, part.shape[2:]) for part in parts]
        gates = torch.cat(normed, dim=2) * layer.norm
    gates = gates + layer.bias
    lengths = None if mask is None else mask.sum(1)
    ways = {"reverse": layer.reverse, "bidirectional": layer.bidirectional}
    if not layer.highway:
        return POOLINGS[layer.pooling](gates, c0, lengths, zoneout_mask=keep, **ways)
    by_kind = gates.view(*gates.shape[:2], directions, 3, -1)
    forget = by_kind[:, :, :, :2].flatten(2)
    o = by_kind[:, :, :, 2].flatten(2).sigmoid()
    c, last = f_pool(forget, c0, lengths, zoneout_mask=keep, **ways)
    inputs = _inputs(x, layer.input_size, directions)
    if layer.skip is not None:
        matrices = layer.skip.chunk(directions, dim=1)
        inputs = [part @ matrix for part, matrix in zip(inputs, matrices, strict=True)]
    h = o * c + (1 - o) * torch.cat(list(inputs), dim=2)
    return h if mask is None else h * mask.unsqueeze(2), last


def _inputs(x: Tensor, width: int, directions: int) -> Sequence[Tensor]:
    """Return the input of each direction: the whole input, or one half each."""
    return x.chunk(2, dim=2) if x.shape[2] > width else (x,) * directions


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
        if num_layers < 1:
            raise ValueError(f"num_layers: expected at least 1, got {num_layers}")
        self.input_size = input_size
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

        With two directions the outputs are `[B, T, 2H]`. Outputs are zero on padding.

        Args:
            x: `[B, T, D]`.
            state: The state after the previous chunk of the text, one entry per layer; None at the
                start.
            mask: `[B, T]` bool, True on real tokens, which come first; None means that all tokens
                are real.

        Raises:
            ValueError: A shape or type is wrong, or padding comes before a real token.
        """
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise ValueError(f"x: expected [B, T, {self.input_size}], got {list(x.shape)}")
        if isinstance(state, Tensor):
            raise ValueError("state: expected one entry per layer, got a tensor; write mask=…")
        if mask is not None:
            check_mask(mask, x.shape[:2])
            check_prefix(mask)
        after = []
        for i, layer in enumerate(cast("Sequence[QRNNLayer]", self.layers)):
            x = self.dropout(x) if i else x
            x, end = layer(x, state[i] if state else None, mask=mask)
            after.append(end)
        return x, after
