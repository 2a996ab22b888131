"""Recurrent layers as loops over tokens. Letters: B, T, D input width, H layer width."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Parts = tuple[Tensor, ...]
"""The vectors of a state, each `[B, H]`; the first one is the output."""


class Stepwise(nn.Module, ABC):
    """Base of layers that run token by token, for cells and options that fused kernels lack.

    Only the product with the input is computed for all tokens at once, so these layers are slower
    than the fused ones. Parameters and call signature match a layer of `torch.nn.LSTM` or
    `torch.nn.GRU` with `batch_first=True`.

    Args:
        input_size: Width D of the input.
        hidden_size: Width H of the output.
        rows: The number of blocks of H rows in the input matrix and in the recurrent matrix.
        zoneout: For each part of the state, the probability that a unit keeps its value in a step
            of training; evaluation uses the expected value (Krueger et al. 2017).
        recurrent_dropout: Probability of dropping a unit of the output that the recurrent matrix
            reads, the same for all tokens (Gal & Ghahramani 2016).
    """

    biases: Sequence[float]
    """The initial bias of each block of the recurrent matrix."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        rows: tuple[int, int],
        *,
        zoneout: Sequence[float],
        recurrent_dropout: float,
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.zoneout = list(zoneout)
        self.recurrent_dropout = recurrent_dropout
        bound = hidden_size**-0.5

        # Names, shapes and initial distribution as in torch.nn.LSTM.
        def uniform(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

        self.weight_ih_l0 = uniform(rows[0] * hidden_size, input_size)
        self.weight_hh_l0 = uniform(rows[1] * hidden_size, hidden_size)
        self.bias_ih_l0 = uniform(rows[1] * hidden_size)
        self.bias_hh_l0 = uniform(rows[1] * hidden_size)

    @property
    def parts(self) -> int:
        """The number of vectors in a state."""
        return len(self.zoneout)

    @abstractmethod
    def from_input(self, x: Tensor) -> Tensor:
        """Return the part of a step that depends on the input alone, `[B, T, N]`."""

    @abstractmethod
    def step(self, given: Tensor, state: Parts, read: Callable[[Tensor], Tensor]) -> Parts:
        """Return the new state, before zoneout.

        Args:
            given: `[B, N]`, the result of `from_input` for one token.
            state: The state before the token.
            read: Applies recurrent dropout to a vector `[B, H]` that the recurrent matrix reads.
        """

    def forward(
        self, x: Tensor, start: Tensor | Parts | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Parts]:
        """Return the outputs `[B, T, H]` and the parts of the state after the text.

        Args:
            x: `[B, T, D]`.
            start: The parts of the state before the text, each `[1, B, H]`; None means zeros.
            mask: `[B, T]` bool, True on real tokens; padding leaves the state unchanged. None
                means that all tokens are real.
        """
        given = self.from_input(x)
        zeros = given.new_zeros(len(x), self.hidden_size)
        state = (zeros,) * self.parts if start is None else tuple(part[0] for part in start)
        read = self._reader(zeros)
        outputs = []
        shares = self._old_shares(zeros, x.shape[1], mask)
        for row, share in zip(given.unbind(1), shares, strict=True):
            new = self.step(row, state, read)
            state = tuple(map(torch.lerp, new, state, share))
            outputs.append(state[0])
        return torch.stack(outputs, dim=1), tuple(part.unsqueeze(0) for part in state)

    def _reader(self, zeros: Tensor) -> Callable[[Tensor], Tensor]:
        if not self.training or not self.recurrent_dropout:
            return _unchanged
        kept = functional.dropout(torch.ones_like(zeros), self.recurrent_dropout)
        return kept.mul

    def _old_shares(self, zeros: Tensor, tokens: int, mask: Tensor | None) -> Tensor:
        """Return the share of the old state in each part, `[T, parts, B, H or 1]`."""
        random = self.training and any(self.zoneout)
        width = self.hidden_size if random else 1
        rates = zeros.new_tensor(self.zoneout).view(1, -1, 1, 1)
        shares = rates.expand(tokens, self.parts, len(zeros), width)
        shares = shares.bernoulli() if random else shares.clone()
        # Padding keeps the whole state: one factor serves zoneout and mask.
        return shares if mask is None else shares.masked_fill_(~mask.T[:, None, :, None], 1)


def layer_norm_or_none(width: int, used: bool, bias: bool = False) -> nn.Module:
    """Return a layer normalisation (Ba et al. 2016), or the identity."""
    return nn.LayerNorm(width, bias=bias) if used else nn.Identity()


def _unchanged(x: Tensor) -> Tensor:
    return x
