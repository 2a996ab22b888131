"""An LSTM as a loop over tokens. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

Pair = tuple[Tensor, Tensor]


class StepwiseLSTM(nn.Module):
    """An LSTM layer with layer normalisation and zoneout, which fused kernels lack.

    i, f, g, o = LN(W x_t) + LN(U h_{t−1}) + b
    c̃ = σ(f) ⊙ c_{t−1} + σ(i) ⊙ tanh(g),  h̃ = σ(o) ⊙ tanh(LN(c̃))  (Ba et al. 2016)
    c_t = d ⊙ c_{t−1} + (1 − d) ⊙ c̃,  h_t = d' ⊙ h_{t−1} + (1 − d') ⊙ h̃  (Krueger et al. 2017)

    In training, d and d' are drawn for every unit and token: 1 with the zoneout probability, else
    0. In evaluation they equal that probability. Parameters and call signature match
    `torch.nn.LSTM(input_size, hidden_size, batch_first=True)`; without both options the results
    match as well. It is slower than the fused kernels: only the product with the input is computed
    for all tokens at once.

    Args:
        input_size: Width D of the input.
        hidden_size: Width H of the output.
        layer_norm: Whether to normalise both products and the cell state.
        zoneout: Probability that a unit keeps its value in a step of training.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        layer_norm: bool = False,
        zoneout: float = 0.0,
    ) -> None:
        super().__init__()
        self.zoneout = zoneout
        bound = hidden_size**-0.5

        # Names, shapes and initial distribution as in torch.nn.LSTM.
        def uniform(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

        self.weight_ih_l0 = uniform(4 * hidden_size, input_size)
        self.weight_hh_l0 = uniform(4 * hidden_size, hidden_size)
        self.bias_ih_l0 = uniform(4 * hidden_size)
        self.bias_hh_l0 = uniform(4 * hidden_size)

        def norm(width: int, bias: bool) -> nn.Module:
            return nn.LayerNorm(width, bias=bias) if layer_norm else nn.Identity()

        self.norm_input = norm(4 * hidden_size, bias=False)
        self.norm_hidden = norm(4 * hidden_size, bias=False)
        self.norm_cell = norm(hidden_size, bias=True)

    def forward(
        self, x: Tensor, start: Pair | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Pair]:
        """Return the outputs `[B, T, H]` and the state after the text.

        Args:
            x: `[B, T, D]`.
            start: Hidden and cell state before the text, each `[1, B, H]`; None means zeros.
            mask: `[B, T]` bool, True on real tokens; padding leaves the state unchanged. None
                means that all tokens are real.
        """
        zeros = x.new_zeros(len(x), self.weight_hh_l0.shape[1])
        h, c = (zeros, zeros) if start is None else (start[0][0], start[1][0])
        from_input = self.norm_input(functional.linear(x, self.weight_ih_l0))
        from_input = from_input + self.bias_ih_l0 + self.bias_hh_l0
        outputs = []
        shares = self._old_share(h, x, mask)
        for gates, (keep_h, keep_c) in zip(from_input.unbind(1), shares, strict=True):
            i, f, g, o = (gates + self.norm_hidden(h @ self.weight_hh_l0.T)).chunk(4, dim=1)
            cell = f.sigmoid() * c + i.sigmoid() * g.tanh()
            hidden = o.sigmoid() * self.norm_cell(cell).tanh()
            h, c = torch.lerp(hidden, h, keep_h), torch.lerp(cell, c, keep_c)
            outputs.append(h)
        return torch.stack(outputs, dim=1), (h.unsqueeze(0), c.unsqueeze(0))

    def _old_share(self, h: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return d and d', the share of the old h and c per token, `[T, 2, B, H or 1]`."""
        random = self.training and self.zoneout > 0
        share = h.new_full((x.shape[1], 2, len(x), h.shape[1] if random else 1), self.zoneout)
        if random:
            share.bernoulli_(self.zoneout)
        # Padding keeps the whole state: one factor serves zoneout and mask.
        return share if mask is None else share.masked_fill_(~mask.T[:, None, :, None], 1)
