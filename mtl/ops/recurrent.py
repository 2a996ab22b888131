"""LSTM and GRU layers as one operator each. Letters: B sentences, T tokens, D and H widths.

When torch exports its own layers it unrolls them over tokens, so the program accepts a single
length. These operators are exported as one node, for any length.
"""

from __future__ import annotations

import torch
from torch import Tensor

_OPERATORS = torch.library.Library("mtl", "FRAGMENT")
_TAGS = (torch.Tag.pt2_compliant_tag,)
# x `[B, T, D]`, states `[1, B, H]`; weights as in torch.nn.LSTM and torch.nn.GRU.
_WEIGHTS = "Tensor weight_ih, Tensor weight_hh, Tensor bias_ih, Tensor bias_hh"
_OPERATORS.define(
    f"lstm(Tensor x, Tensor h, Tensor c, {_WEIGHTS}) -> (Tensor, Tensor, Tensor)", tags=_TAGS
)
_OPERATORS.define(f"gru(Tensor x, Tensor h, {_WEIGHTS}) -> (Tensor, Tensor)", tags=_TAGS)

_LAYER = (True, 1, 0.0, False, False, True)
"""Flags of torch.lstm: biases, one layer, no dropout, not training, one direction, batch first."""


def _lstm(x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    outputs, h, c = torch.lstm(x, (h, c), weights, *_LAYER)
    return outputs, h, c


def _gru(x: Tensor, h: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    outputs, h = torch.gru(x, h, weights, *_LAYER)
    return outputs, h


_OPERATORS.impl("lstm", _lstm, "CompositeExplicitAutograd")
_OPERATORS.impl("gru", _gru, "CompositeExplicitAutograd")


@torch.library.register_fake("mtl::lstm", lib=_OPERATORS)
def _lstm_shapes(
    x: Tensor, h: Tensor, c: Tensor, *weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(*x.shape[:2], h.shape[2]), torch.empty_like(h), torch.empty_like(c)


@torch.library.register_fake("mtl::gru", lib=_OPERATORS)
def _gru_shapes(x: Tensor, h: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(*x.shape[:2], h.shape[2]), torch.empty_like(h)
