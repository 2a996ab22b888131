"""Initial weights of recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def initialize_gates(rnn: nn.Module, biases: Sequence[float]) -> None:
    """Initialise one layer of `torch.nn.LSTM` or `torch.nn.GRU`, in one direction.

    The input weights are drawn by Glorot's uniform distribution, and the recurrent weights are
    orthogonal. All entries of a gate have the same bias, such as 1 for the forget gate of an LSTM
    (Jozefowicz et al. 2015).

    Args:
        rnn: The layer.
        biases: The initial bias of each gate, in torch's order of gates.
    """
    recurrent = rnn.get_parameter("weight_hh_l0")
    nn.init.xavier_uniform_(rnn.get_parameter("weight_ih_l0"))
    nn.init.orthogonal_(recurrent)
    nn.init.zeros_(rnn.get_parameter("bias_hh_l0"))
    with torch.no_grad():
        gates = torch.tensor(biases).repeat_interleave(recurrent.shape[1])
        rnn.get_parameter("bias_ih_l0").copy_(gates)
