"""Attention between the two sentences of a pair. Letters: B pairs, T tokens, H width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtl.layers.attention import masked_softmax


class CrossAttention(nn.Module):
    """Compares each token with the other sentence of its pair (Parikh et al. 2016).

    For the sentences a and b, e_ij = F(a_i)ᵀ F(b_j) and β_i = Σ_j softmax_j(e_ij) b_j. The output
    for a token is G([a_i; β_i]). Both sentences use the same F and G, so exchanging the sentences
    exchanges the outputs. F and G have two layers of rectified units.

    Args:
        in_features: Width H of the states and of the outputs.
    """

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.attend = _rectified(in_features, in_features)
        self.compare = _rectified(2 * in_features, in_features)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs and the attention weights, both zero on padding.

        A token has β = 0 if the other sentence has no tokens.

        Args:
            x: `[2 B, T, H]`: all first sentences, then all second ones.
            mask: `[2 B, T]` bool, True on real tokens, which come first.

        Returns:
            The outputs `[2 B, T, H]`, and the weights `[2 B, T, T]` of each token (row) on the
            tokens of the other sentence (column).
        """
        first, second = x.chunk(2)
        other = torch.cat([second, first])
        keys, queries = self.attend(x).chunk(2)
        scores = queries @ keys.mT  # [B, T, T], the second sentence in rows
        real = torch.cat([*reversed(mask.chunk(2))])  # the tokens of the other sentence
        weights = masked_softmax(torch.cat([scores.mT, scores]), real.unsqueeze(1))
        weights = weights.masked_fill(~mask.unsqueeze(2), 0)
        outputs: Tensor = self.compare(torch.cat([x, weights @ other], dim=2))
        return outputs.masked_fill(~mask.unsqueeze(2), 0), weights


def _rectified(in_features: int, size: int) -> nn.Module:
    """Return two layers of rectified units."""
    return nn.Sequential(nn.Linear(in_features, size), nn.ReLU(), nn.Linear(size, size), nn.ReLU())
