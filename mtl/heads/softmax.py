"""Tagger that labels every token by itself. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from mtl.heads.tagger import Tagger


class SoftmaxTagger(Tagger):
    """p(y_t | x) = softmax(W h_t + b): each label on its own, given the sentence (–).

    The fastest tagger; best where neighbouring labels hardly restrict each other, as in POS.
    """

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the summed cross-entropy of each sentence in nats, `[B]`."""
        target = target.masked_fill(~mask, -100)
        scores = self.scores(hidden).transpose(1, 2)  # [B, K, T]
        return functional.cross_entropy(scores, target, reduction="none").sum(1)

    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the most likely label ids, `[B, T]`, 0 on padding."""
        return self.scores(hidden).argmax(2).masked_fill(~mask, 0)

    def log_probs(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return `[B, T, K]`, zero on padding."""
        return self.scores(hidden).log_softmax(2).masked_fill(~mask.unsqueeze(2), 0)
