"""A learned average of layers. Letters: B sentences, T tokens, D and H widths, L layers."""

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


class TokenScalarMix(ScalarMix):
    """Scalar mix of the token vectors and all layers, as in ELMo (Peters et al. 2018).

    y = γ · (softmax(w)_0 · P x + Σ_l softmax(w)_l · h_l)

    Args:
        sizes: Width D of the token vectors x, then the width H of each layer. If D is not H, the
            matrix P reduces or extends the token vectors to the width H.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__(len(sizes))
        first, *_, last = sizes
        self.tokens = nn.Identity() if first == last else nn.Linear(first, last, bias=False)

    def forward(self, layers: Sequence[Tensor]) -> Tensor:
        """Return `[B, T, H]`, given token vectors `[B, T, D]` and the layers `[B, T, H]`."""
        x, *above = layers
        return super().forward([self.tokens(x), *above])
