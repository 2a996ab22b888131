"""Exportable recurrent layers. Letters: B sentences, T tokens, D and H widths."""

from __future__ import annotations

from copy import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.layers.qrnn import QRNNLayer
from mtl.ops.qrnn import COUNTS

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def with_whole_layers(model: ModuleT) -> ModuleT:
    """Replace the recurrent layers of a model by exportable ones, in place, and return it.

    Modules without weights that occur in several places, such as dropout, become one module each:
    torch traces a model with shared modules through proxies, which are not the modules themselves.
    """
    seen: set[nn.Module] = set()
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module in seen and not any(True for _ in module.parameters()):
            model.set_submodule(name, copy(module))
        seen.add(module)
    for name, module in list(model.named_modules()):
        if isinstance(module, (nn.LSTM, nn.GRU)):
            model.set_submodule(name, _Recurrent(module))
        elif isinstance(module, QRNNLayer):
            model.set_submodule(name, _Quasi(module))
    return model


class _Recurrent(nn.Module):
    """A one-layer, one-direction, batch-first LSTM or GRU with the parameter names of torch.

    It calls one operator for the whole layer; torch would unroll its own layers over tokens.
    """

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
    """A QRNN layer without the in-place buffers, which an exported graph cannot contain."""

    def __init__(self, layer: QRNNLayer) -> None:
        super().__init__()
        self.bias = layer.bias
        self.start = layer.start
        self.width, self.window = layer.weight.shape[1], layer.window
        self.count = COUNTS[layer.pooling]
        self.reverse = layer.reverse
        self.directions = 1 + layer.bidirectional
        # One matrix per direction and tap: the quantiser handles only whole constant matrices.
        weights = layer.weight.detach().chunk(self.directions, dim=2)
        self.matrices = nn.ParameterList(tap.contiguous() for weight in weights for tap in weight)

    def forward(self, x: Tensor, state: None = None, *, mask: Tensor) -> tuple[Tensor, None]:
        """Return the outputs `[B, T, H]`, zero on padding, and no state."""
        x = x * mask.unsqueeze(2)  # a window above 1 reads positions beyond the sentence
        inputs = x.chunk(2, dim=2) if x.shape[2] > self.width else (x,) * self.directions
        gates = torch.cat([self._gates(part, i) for i, part in enumerate(inputs)], dim=2)
        kind = self.count, self.reverse, self.directions, False
        start = None if self.start is None else self.start.expand(x.shape[0], -1)
        h, _, _ = torch.ops.mtl.pool(gates + self.bias, start, mask.sum(1), None, *kind)
        return h, None

    def _gates(self, x: Tensor, direction: int) -> Tensor:
        first, *others = self.matrices[direction * self.window : (direction + 1) * self.window]
        gates: Tensor = x @ first
        if not others:
            return gates
        backwards, added = self.reverse != (direction == 1), len(others)
        rows = functional.pad(x, (0, 0, 0, added) if backwards else (0, 0, added, 0))
        for tap, matrix in enumerate(others, 1):
            start = tap if backwards else added - tap
            gates = gates + rows[:, start : start + x.shape[1]] @ matrix
        return gates
