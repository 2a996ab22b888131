"""An LSTM as a loop over tokens. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from mtl.layers.stepwise import Parts, Stepwise, layer_norm_or_none


class StepwiseLSTM(Stepwise):
    """An LSTM layer with regularisers that fused kernels lack.

    i, f, g, o = LN(W x_t) + LN(U d_h(h_{t−1})) + b
    c̃ = σ(f) ⊙ c_{t−1} + σ(i) ⊙ d_g(tanh(g)),  h̃ = σ(o) ⊙ tanh(LN(c̃))
    c_t = z_c ⊙ c_{t−1} + (1 − z_c) ⊙ c̃,  h_t = z_h ⊙ h_{t−1} + (1 − z_h) ⊙ h̃

    LN is layer normalisation (Ba et al. 2016). d_h is recurrent dropout with one mask for all
    tokens (Gal & Ghahramani 2016), and d_g dropout of the candidate with a mask per token, so that
    the memory c is not lost (Semeniuta et al. 2016). z_c and z_h are zoneout (Krueger et al. 2017):
    in training they are drawn for every unit and token, 1 with the given probability, else 0. In
    evaluation they equal that probability.

    Parameters and call signature match `torch.nn.LSTM(input_size, hidden_size, batch_first=True)`;
    without options the results match as well. It is slower than the fused kernels.

    Args:
        input_size: Width D of the input.
        hidden_size: Width H of the output.
        layer_norm: Whether to normalise both products and the cell state.
        zoneout: Probability that a unit of c keeps its value in a step of training.
        zoneout_hidden: The same for h; None: equal to `zoneout`.
        recurrent_dropout: Probability of dropping a unit of h_{t−1} in the product with U.
        update_dropout: Probability of dropping a unit of the candidate.
    """

    biases = (0.0, 1.0, 0.0, 0.0)  # input, forget, cell, output

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        layer_norm: bool = False,
        zoneout: float = 0.0,
        zoneout_hidden: float | None = None,
        recurrent_dropout: float = 0.0,
        update_dropout: float = 0.0,
    ) -> None:
        of_hidden = zoneout if zoneout_hidden is None else zoneout_hidden
        super().__init__(
            input_size,
            hidden_size,
            (4, 4),
            zoneout=(of_hidden, zoneout),
            recurrent_dropout=recurrent_dropout,
        )
        self.update_dropout = update_dropout
        self.norm_input = layer_norm_or_none(4 * hidden_size, layer_norm)
        self.norm_hidden = layer_norm_or_none(4 * hidden_size, layer_norm)
        self.norm_cell = layer_norm_or_none(hidden_size, layer_norm, bias=True)

    def from_input(self, x: Tensor) -> Tensor:
        """Return LN(W x) + b, `[B, T, 4H]`."""
        product: Tensor = self.norm_input(functional.linear(x, self.weight_ih_l0))
        return product + self.bias_ih_l0 + self.bias_hh_l0

    def step(self, given: Tensor, state: Parts, read: Callable[[Tensor], Tensor]) -> Parts:
        """Return h̃ and c̃; see `Stepwise.step`."""
        h, c = state
        i, f, g, o = (given + self.norm_hidden(read(h) @ self.weight_hh_l0.T)).chunk(4, dim=1)
        update = functional.dropout(g.tanh(), self.update_dropout, self.training)
        cell = f.sigmoid() * c + i.sigmoid() * update
        return o.sigmoid() * self.norm_cell(cell).tanh(), cell
