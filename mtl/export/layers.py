"""Exportable recurrent layers. Letters: B sentences, T tokens, D and H widths."""

from __future__ import annotations

from copy import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mtl.layers.qrnn import QRNNLayer, gate_products, pooled

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
            model.set_submodule(name, WholeRecurrent(module))
        elif isinstance(module, QRNNLayer):
            model.set_submodule(name, WholeQuasi(module))
    for name, layer in parametrized_layers(model).items():
        model.set_submodule(name, plain(layer))
    return model


def parametrized_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """Return the linear layers that compute their weights from other weights, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and parametrize.is_parametrized(module)
    }


def plain(layer: nn.Linear) -> nn.Linear:
    """Return a linear layer with the weights that a parametrised one computes."""
    found = nn.Linear(layer.in_features, layer.out_features)
    found.weight, found.bias = nn.Parameter(layer.weight.detach()), layer.bias
    return found


class WholeRecurrent(nn.Module):
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


class WholeQuasi(nn.Module):
    """A QRNN layer without the in-place buffers, which an exported graph cannot contain."""

    def __init__(self, layer: QRNNLayer) -> None:
        super().__init__()
        # One matrix per direction and tap: the quantiser handles only whole constant matrices.
        weights = layer.weight.detach().chunk(1 + layer.bidirectional, dim=2)
        self.matrices = nn.ParameterList(tap.contiguous() for weight in weights for tap in weight)
        self.layer = copy(layer)
        self.layer.weight = None  # type: ignore[assignment]

    def forward(self, x: Tensor, state: None = None, *, mask: Tensor) -> tuple[Tensor, None]:
        """Return the outputs `[B, T, H]`, zero on padding, and no state."""
        matrices, window = list(self.matrices), self.layer.window
        taps = [matrices[i : i + window] for i in range(0, len(matrices), window)]
        gates = gate_products(x, taps, self.layer.reverse, mask)
        learned = self.layer.start
        start = None if learned is None else learned.expand(x.shape[0], -1)
        h, _ = pooled(gates, self.layer, x, start, mask)
        return h, None
