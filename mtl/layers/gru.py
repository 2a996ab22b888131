"""A GRU as a loop over tokens. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from mtl.layers.stepwise import Parts, Stepwise, layer_norm_or_none


class StepwiseGRU(Stepwise):
    """A GRU layer with regularisers that fused kernels lack.

    r, z = σ(LN(W x_t) + LN(U d_h(h_{t−1})) + b)
    n = d_n(tanh(LN(W_n x_t) + b_n + r ⊙ (LN(U_n d_h(h_{t−1})) + b_u)))
    h̃ = (1 − z) ⊙ n + z ⊙ h_{t−1},  h_t = z_h ⊙ h_{t−1} + (1 − z_h) ⊙ h̃

    LN is layer normalisation, of the gates together and of the candidate alone (Ba et al. 2016,
    supplement). d_h is recurrent dropout with one mask for all tokens (Gal & Ghahramani 2016), d_n
    dropout of the candidate with a mask per token (Semeniuta et al. 2016), and z_h zoneout (Krueger
    et al. 2017).

    Parameters and call signature match `torch.nn.GRU(input_size, hidden_size, batch_first=True)`;
    without options the outputs match as well. It is slower than the fused kernels.

    Args:
        input_size: Width D of the input.
        hidden_size: Width H of the output.
        layer_norm: Whether to normalise the products.
        zoneout: Probability that a unit keeps its value in a step of training.
        recurrent_dropout: Probability of dropping a unit of h_{t−1} in the products with U.
        update_dropout: Probability of dropping a unit of the candidate.
    """

    biases = (-1.0, 0.0, 0.0)  # reset, update, candidate

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        layer_norm: bool = False,
        zoneout: float = 0.0,
        recurrent_dropout: float = 0.0,
        update_dropout: float = 0.0,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            (3, 3),
            zoneout=(zoneout,),
            recurrent_dropout=recurrent_dropout,
        )
        self.update_dropout = update_dropout
        self.norm_input = layer_norm_or_none(2 * hidden_size, layer_norm)
        self.norm_hidden = layer_norm_or_none(2 * hidden_size, layer_norm)
        self.norm_input_new = layer_norm_or_none(hidden_size, layer_norm)
        self.norm_hidden_new = layer_norm_or_none(hidden_size, layer_norm)

    def from_input(self, x: Tensor) -> Tensor:
        """Return the parts of both gates and of the candidate, `[B, T, 3H]`."""
        gates, new = self._split(functional.linear(x, self.weight_ih_l0))
        return torch.cat([self.norm_input(gates), self.norm_input_new(new)], -1) + self.bias_ih_l0

    def step(self, given: Tensor, state: Parts, read: Callable[[Tensor], Tensor]) -> Parts:
        """Return h̃; see `Stepwise.step`."""
        (h,) = state
        gates, new = self._split(read(h) @ self.weight_hh_l0.T)
        of_gates, of_new = self._split(given)
        bias, bias_new = self._split(self.bias_hh_l0)
        r, z = (of_gates + self.norm_hidden(gates) + bias).sigmoid().chunk(2, dim=1)
        candidate = (of_new + r * (self.norm_hidden_new(new) + bias_new)).tanh()
        candidate = functional.dropout(candidate, self.update_dropout, self.training)
        return (torch.lerp(candidate, h, z),)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first two of three blocks, and the third."""
        both = 2 * self.hidden_size
        return x[..., :both], x[..., both:]
