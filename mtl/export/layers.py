"""Recurrent layers as they are exported. Letters: B sentences, T tokens, D and H widths."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.layers.qrnn import QRNNLayer
from mtl.ops.qrnn import COUNTS

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def with_whole_layers(model: ModuleT) -> ModuleT:
    """Change the recurrent layers of a model into ones that can be exported, and return it."""
    for name, module in list(model.named_modules()):
        if isinstance(module, (nn.LSTM, nn.GRU)):
            model.set_submodule(name, _Recurrent(module))
        elif isinstance(module, QRNNLayer):
            model.set_submodule(name, _Quasi(module))
    return model


class _Recurrent(nn.Module):
    """An LSTM or GRU of one layer and direction, batch first, under the names of torch's."""

    def __init__(self, layer: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        for name, parameter in layer.named_parameters():
            self.register_parameter(name, parameter)
        self.states = 2 if isinstance(layer, nn.LSTM) else 1
        self.hidden_size = layer.hidden_size

    def forward(self, x: Tensor, start: Any = None) -> tuple[Tensor, Any]:
        """Return the outputs `[B, T, H]` and the last state, as torch's layers do."""
        if start is None:
            zeros = x.new_zeros(1, x.shape[0], self.hidden_size)
            start = (zeros, zeros) if self.states == 2 else zeros
        weights = self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0
        if self.states == 2:
            outputs, h, c = torch.ops.mtl.lstm(x, *start, *weights)
            return outputs, (h, c)
        outputs, h = torch.ops.mtl.gru(x, start, *weights)
        return outputs, h


class _Quasi(nn.Module):
    """A QRNN layer without the buffers that it fills in place, which save time but are no graph."""

    def __init__(self, layer: QRNNLayer) -> None:
        super().__init__()
        self.bias = layer.bias
        self.width, self.window = layer.weight.shape[1], layer.window
        self.count = COUNTS[layer.pooling]
        self.reverse = layer.reverse
        self.directions = 1 + layer.bidirectional
        # A matrix a direction and tap, so that each is a constant that can be quantised.
        ways = layer.weight.detach().chunk(self.directions, dim=2)
        self.matrices = nn.ParameterList(tap.contiguous() for way in ways for tap in way)

    def forward(self, x: Tensor, state: None = None, *, mask: Tensor) -> tuple[Tensor, None]:
        """Return the outputs `[B, T, H]`, zero on padding, and no state."""
        x = x * mask.unsqueeze(2)
        inputs = x.chunk(2, dim=2) if x.shape[2] > self.width else (x,) * self.directions
        gates = torch.cat([self._gates(own, way) for way, own in enumerate(inputs)], dim=2)
        kind = self.count, self.reverse, self.directions, False
        h, _, _ = torch.ops.mtl.pool(gates + self.bias, None, mask.sum(1), None, *kind)
        return h, None

    def _gates(self, x: Tensor, way: int) -> Tensor:
        first, *second = self.matrices[way * self.window : (way + 1) * self.window]
        gates: Tensor = x @ first
        if second:
            shift = (0, 0, 1, -1) if self.reverse == (way == 1) else (0, 0, -1, 1)
            gates = gates + functional.pad(x, shift) @ second[0]
        return gates
