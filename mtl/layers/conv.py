"""Convolutional layers. Letters: B sentences, T tokens, H width, W tokens on one side."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.errors import OptionError
from mtl.layers.dropout import VariationalDropout
from mtl.layers.maxout import maxout
from mtl.layers.sequence import last_inputs

ConvActivation = Literal["maxout", "gated"]


class ConvLayer(nn.Module):
    """Residual convolution, x_t + dropout(norm(f(W [x_{t−w} … x_{t+w}] + b))).

    f is the maximum of several pieces, as in the encoder of spaCy (Honnibal & Montani 2017), or a
    gated linear unit (Dauphin et al. 2017). Tokens before and after the text are zero.

    Args:
        hidden_size: Width H of input and output.
        window: The number W of tokens that it reads on each side of a token.
        causal: Whether it reads the left side alone, so that texts can be read in chunks.
        activation: The function f: "maxout", or "gated" for a ⊙ σ(c).
        pieces: The number of pieces for "maxout".
        dropout: Probability of dropping a unit of the change to x, the same for all tokens of a
            sentence.
        weight_norm: Whether the length and the direction of each row of W are separate parameters,
            w = g v / ‖v‖ (Salimans & Kingma 2016).

    Raises:
        ValueError: `window` is less than 1 or `pieces` less than 2.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        window: int = 1,
        causal: bool = False,
        activation: ConvActivation = "maxout",
        pieces: int = 3,
        dropout: float = 0.0,
        weight_norm: bool = False,
    ) -> None:
        super().__init__()
        if window < 1:
            raise OptionError("window", f"expected at least 1, got {window}")
        if activation == "maxout" and pieces < 2:
            raise OptionError("pieces", f"expected at least 2, got {pieces}")
        self.window = window
        self.causal = causal
        self.activation = activation
        self.parts = pieces if activation == "maxout" else 2
        self.read = 1 + window if causal else 1 + 2 * window
        self.product = nn.Linear(self.read * hidden_size, self.parts * hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = VariationalDropout(dropout)
        nn.init.xavier_uniform_(self.product.weight)
        nn.init.zeros_(self.product.bias)
        if weight_norm:
            nn.utils.parametrizations.weight_norm(self.product)

    def forward(
        self, x: Tensor, mask: Tensor, before: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return `[B, T, H]`, zero on padding, and the last inputs of the text `[B, W, H]`.

        Args:
            x: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            before: The last inputs of the preceding chunk of the text, of a causal layer; at the
                start of a text, zeros. None: no inputs are carried, and none are returned.
        """
        real = mask.unsqueeze(2)
        x = x * real
        carried = before if self.causal else None
        scores = self.product(self._windows(x, carried))
        if self.activation == "maxout":
            change = maxout(scores, self.parts)
        else:
            change = functional.glu(scores, dim=2)
        y = x + self.dropout(self.norm(change)) * real
        return y, None if carried is None else last_inputs(x, mask, carried)

    def _windows(self, x: Tensor, before: Tensor | None) -> Tensor:
        """Return the vectors of each window side by side, `[B, T, read · H]`.

        One product with them is faster on a CPU than a convolution by torch.
        """
        after = 0 if self.causal else self.window
        if before is None:
            rows = functional.pad(x, (0, 0, self.window, after))
        else:
            rows = torch.cat([before, x], dim=1)
        return torch.cat([rows[:, i : i + x.shape[1]] for i in range(self.read)], dim=2)

    def initial_state(self, batch_size: int) -> Tensor | None:
        """Return the inputs before the first token of a text, zeros; None if it is not causal."""
        if not self.causal:
            return None
        return self.norm.weight.new_zeros(batch_size, self.window, len(self.norm.weight))

    def unit_weights(self) -> Tensor:
        """Return the weights that compute each unit, `[N, H]`."""
        weight = self.product.weight
        parts = weight.view(self.parts, -1, weight.shape[1])  # [parts, H, read · H]
        return parts.transpose(1, 2).flatten(0, 1)

    def extra_repr(self) -> str:
        """Return the options shown by `print(module)`."""
        return f"window={self.window}, causal={self.causal}, activation={self.activation!r}"
