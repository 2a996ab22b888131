"""Further recurrent cells. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.layers.stepwise import Parts, Stepwise


class RecurrentHighway(Stepwise):
    """Recurrent highway layer: several highway layers per token (Zilly et al. 2017).

    s_l = t_l ⊙ tanh(a_l) + (1 − t_l) ⊙ s_{l−1},  t_l = σ(u_l),  l = 1 … depth
    a_l, u_l = R_l s_{l−1} + b_l, for l = 1 also + W x_t

    s_0 is the state before the token, and s_depth the output. Gates t start with bias −2, so that
    at first most of the state passes. Recurrent dropout has the same mask in every highway layer.

    Args:
        input_size: Width D of the input.
        hidden_size: Width H of the output.
        depth: The number of highway layers per token.
        zoneout: Probability that a unit keeps its value in a step of training (Krueger et al.
            2017).
        recurrent_dropout: Probability of dropping a unit of s in the products with R (Gal &
            Ghahramani 2016).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        depth: int = 2,
        zoneout: float = 0.0,
        recurrent_dropout: float = 0.0,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            (2, 2 * depth),
            zoneout=(zoneout,),
            recurrent_dropout=recurrent_dropout,
        )
        self.depth = depth
        self.biases = (0.0, -2.0) * depth

    def from_input(self, x: Tensor) -> Tensor:
        """Return W x, `[B, T, 2H]`."""
        return functional.linear(x, self.weight_ih_l0)

    def step(self, given: Tensor, state: Parts, read: Callable[[Tensor], Tensor]) -> Parts:
        """Return s_depth; see `Stepwise.step`."""
        (s,) = state
        matrices = self.weight_hh_l0.chunk(self.depth)
        biases = (self.bias_ih_l0 + self.bias_hh_l0).chunk(self.depth)
        for i, (matrix, bias) in enumerate(zip(matrices, biases, strict=True)):
            products = functional.linear(read(s), matrix) + bias
            a, u = (products if i else products + given).chunk(2, dim=1)
            s = torch.lerp(s, a.tanh(), u.sigmoid())
        return (s,)


class _Cell(Stepwise):
    """Base of cells whose state vectors all have the same zoneout.

    Args:
        input_size: Width D of the input.
        hidden_size: Width H of the output.
        zoneout: Probability that a unit of the state keeps its value in a step of training (Krueger
            et al. 2017).
        recurrent_dropout: Probability of dropping a unit of h_{t−1} in the products with U (Gal &
            Ghahramani 2016).
    """

    rows: tuple[int, int]
    """The number of blocks of H rows in the input matrix and in the recurrent matrix."""
    vectors: int
    """The number of vectors in a state."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        zoneout: float = 0.0,
        recurrent_dropout: float = 0.0,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            self.rows,
            zoneout=(zoneout,) * self.vectors,
            recurrent_dropout=recurrent_dropout,
        )


class NASCell(_Cell):
    """The cell that a search over architectures found on the Penn Treebank (Zoph & Le 2017).

    p_i = W_i x_t + b_i and q_i = U_i h_{t−1} + b'_i, i = 0 … 7; s_i = p_i + q_i
    a = tanh(tanh(σ(s_0) ⊙ relu(s_1)) + c_{t−1}),  b = tanh(σ(s_2) + relu(p_3 ⊙ q_3))
    d = tanh(tanh(s_4) ⊙ σ(s_5)),  e = σ(tanh(s_6) + σ(s_7))
    c_t = a ⊙ b,  h_t = tanh(c_t ⊙ tanh(d + e))

    The formula is the one of TensorFlow's `NASCell`, with biases.
    """

    rows = (8, 8)
    vectors = 2
    biases = (0.0,) * 8

    def from_input(self, x: Tensor) -> Tensor:
        """Return p, `[B, T, 8H]`."""
        return functional.linear(x, self.weight_ih_l0) + self.bias_ih_l0

    def step(self, given: Tensor, state: Parts, read: Callable[[Tensor], Tensor]) -> Parts:
        """Return h_t and c_t; see `Stepwise.step`."""
        h, c = state
        recurrent = functional.linear(read(h), self.weight_hh_l0) + self.bias_hh_l0
        s = (given + recurrent).chunk(8, dim=1)
        product = given.chunk(8, dim=1)[3] * recurrent.chunk(8, dim=1)[3]
        a = ((s[0].sigmoid() * s[1].relu()).tanh() + c).tanh()
        b = (s[2].sigmoid() + product.relu()).tanh()
        d = (s[4].tanh() * s[5].sigmoid()).tanh()
        e = (s[6].tanh() + s[7].sigmoid()).sigmoid()
        cell = a * b
        return (cell * (d + e).tanh()).tanh(), cell


class PeepholeLSTM(_Cell):
    """An LSTM whose gates read the memory cell (Gers & Schmidhuber 2000).

    i = σ(a_i + p_i ⊙ c_{t−1}),  f = σ(a_f + p_f ⊙ c_{t−1}),  o = σ(a_o + p_o ⊙ c_t)
    c_t = f ⊙ c_{t−1} + i ⊙ tanh(a_g),  h_t = o ⊙ tanh(c_t)
    a = W x_t + U h_{t−1} + b, with one block per gate

    The peephole weights p start at 0, so that the layer is then an LSTM without them.
    """

    rows = (4, 4)
    vectors = 2
    biases = (0.0, 1.0, 0.0, 0.0)  # input, forget, cell, output

    def __init__(self, input_size: int, hidden_size: int, **rates: float) -> None:
        super().__init__(input_size, hidden_size, **rates)
        self.peepholes = nn.Parameter(torch.zeros(3, hidden_size))

    def from_input(self, x: Tensor) -> Tensor:
        """Return W x + b, `[B, T, 4H]`."""
        return functional.linear(x, self.weight_ih_l0, self.bias_ih_l0 + self.bias_hh_l0)

    def step(self, given: Tensor, state: Parts, read: Callable[[Tensor], Tensor]) -> Parts:
        """Return h_t and c_t; see `Stepwise.step`."""
        h, c = state
        of_input, of_forget, of_output = self.peepholes
        i, f, g, o = (given + functional.linear(read(h), self.weight_hh_l0)).chunk(4, dim=1)
        cell = (f + of_forget * c).sigmoid() * c + (i + of_input * c).sigmoid() * g.tanh()
        return (o + of_output * cell).sigmoid() * cell.tanh(), cell


class BC3Cell(_Cell):
    """A cell that a search over architectures found (Schrimpf et al. 2017).

    f = σ(W_f x_t + U_f h_{t−1} + b_f),  o = σ(W_o x_t + U_o h_{t−1} + b_o)
    z = V (X x_t ⊙ Y x_t) ⊙ W_z x_t,  c = tanh(f ⊙ W_c x_t + (1 − f) ⊙ z)
    h_t = o ⊙ c + (1 − o) ⊙ h_{t−1}

    z is a product of three factors that read the token alone. Only the two gates read the state,
    and only they have biases. The formula could not be confirmed with code of the authors.
    """

    rows = (6, 2)
    vectors = 1
    biases = (0.0, 0.0)  # f and o

    def __init__(self, input_size: int, hidden_size: int, **rates: float) -> None:
        super().__init__(input_size, hidden_size, **rates)
        self.mixture = nn.Linear(hidden_size, hidden_size, bias=False)
        nn.init.xavier_uniform_(self.mixture.weight)

    def from_input(self, x: Tensor) -> Tensor:
        """Return the products of f, o and c with the input, and z, `[B, T, 4H]`."""
        f, o, c, gate, left, right = functional.linear(x, self.weight_ih_l0).chunk(6, dim=-1)
        return torch.cat([f, o, c, self.mixture(left * right) * gate], dim=-1)

    def step(self, given: Tensor, state: Parts, read: Callable[[Tensor], Tensor]) -> Parts:
        """Return h_t; see `Stepwise.step`."""
        (h,) = state
        f, o, c, z = given.chunk(4, dim=1)
        bias = self.bias_ih_l0 + self.bias_hh_l0
        by_f, by_o = functional.linear(read(h), self.weight_hh_l0, bias).chunk(2, dim=1)
        cell = torch.lerp(z, c, (f + by_f).sigmoid()).tanh()
        return (torch.lerp(h, cell, (o + by_o).sigmoid()),)
