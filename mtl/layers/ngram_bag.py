"""Linear bag of hashed word n-grams. Letters: B sentences, T tokens, S scores, N longest n-gram."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_PRIME = 2**31 - 1
_FACTOR = 1_000_003


class NgramBag(nn.Module):
    """Linear scores of a bag of word n-grams with hashed features (Joulin et al. 2017).

    scores = Σ over the n-grams g of a sentence of W[hash(g)], n = 1 … N, divided by the square root
    of the number of n-grams

    The divisor gives a sentence whose n-grams are all different a feature vector of length 1. The
    weights start at 0. N-grams with the same hash share a row.

    Args:
        longest: N.
        buckets: The number of rows of W.
        size: S.
    """

    def __init__(self, longest: int, buckets: int, size: int) -> None:
        super().__init__()
        self.longest = longest
        self.size = size
        self.table = nn.Embedding(buckets, size)
        nn.init.zeros_(self.table.weight)

    def forward(self, words: Tensor, gates: Tensor | None = None) -> Tensor:
        """Return the sum of the rows of the n-grams that end at each token, `[B, T, S]`.

        Args:
            words: `[B, T]` int64, a number of each word from 1 to 2^31 − 2; 0 on padding.
            gates: `[B, T]`: each row is multiplied by the product of the gates of its words. None:
                no factors.
        """
        real = words > 0
        shares = real.to(self.table.weight.dtype) if gates is None else gates * real
        codes, products = torch.ones_like(words), torch.ones_like(shares)
        sums = shares.new_zeros(*words.shape, self.size)
        for n in range(self.longest):
            if n:
                codes, products = _shifted(codes), _shifted(products)
            codes = (codes * _FACTOR + words) % _PRIME  # below 2^52, so that nothing overflows
            products = products * shares
            rows = self.table(codes % self.table.num_embeddings)
            sums = sums + rows * products.unsqueeze(2)
        return sums

    def pool(self, sums: Tensor, mask: Tensor) -> Tensor:
        """Return the scores of sentences, `[B, S]`.

        Args:
            sums: `[B, T, S]`, the output of `forward`; any finite values on padding.
            mask: `[B, T]` bool, True on real tokens, which come first.
        """
        lengths = mask.sum(1, keepdim=True)
        starts = torch.arange(self.longest, device=mask.device)
        count = (lengths - starts).clamp(min=0).sum(1, keepdim=True).clamp(min=1)
        return sums.masked_fill(~mask.unsqueeze(2), 0).sum(1) / count.to(sums.dtype).sqrt()


def _shifted(x: Tensor) -> Tensor:
    """Return `[B, T]` with each value one token to the right, and 0 at the first token."""
    return functional.pad(x, (1, 0))[:, :-1]
