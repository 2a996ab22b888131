"""Skip connections around a layer. Letters: B sentences, T tokens, H width."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """Residual connection y + x: the layer learns a change to its input x (He et al. 2016)."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return `[B, T, H]`, given a layer's input and output of that shape."""
        return x + y


class Highway(nn.Module):
    """Highway connection t ⊙ y + (1 − t) ⊙ x with the gate t = σ(W x + b).

    The gate mixes a layer's output y with its input x (Srivastava et al. 2015). The bias starts at
    −1, so that at first most of the input passes.

    Args:
        width: Width H of the layer's input and output.
        groups: The number of equal slices of the units. The gates of a slice depend on that slice
            alone, so that independent directions stay independent.
    """

    def __init__(self, width: int, groups: int = 1) -> None:
        super().__init__()
        part = width // groups
        self.gates = nn.ModuleList(nn.Linear(part, part) for _ in range(groups))
        for gate in self.gates:
            nn.init.constant_(gate.get_parameter("bias"), -1.0)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return `[B, T, H]`, given a layer's input and output of that shape."""
        parts = x.chunk(len(self.gates), dim=-1)
        scores = [gate(part) for gate, part in zip(self.gates, parts, strict=True)]
        gates = torch.cat(scores, dim=-1).sigmoid()
        # With autocast, the products have a lower precision than the output of a fused layer.
        return torch.lerp(x.to(y.dtype), y, gates.to(y.dtype))
