"""A learned average of layers. Letters: B sentences, T tokens, H width, L layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ScalarMix(nn.Module):
    """Weighted sum of layers with learned, normalised weights (ELMo, Peters et al. 2018).

    y = γ · Σ_l softmax(w)_l · x_l

    Args:
        num_layers: The number of layers L.
    """

    def __init__(self, num_layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(num_layers))
        self.gamma = nn.Parameter(torch.ones(()))

    def forward(self, layers: Sequence[Tensor]) -> Tensor:
        """Return `[B, T, H]`, given L tensors of that shape."""
        weights = self.scores.softmax(0)
        total = sum(weight * layer for weight, layer in zip(weights, layers, strict=True))
        mixed: Tensor = self.gamma * total
        return mixed
