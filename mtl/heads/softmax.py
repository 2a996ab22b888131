"""Tagger that labels every token by itself. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from mtl.heads.tagger import Tagger


class SoftmaxTagger(Tagger):
    """p(y_t | x) = softmax(W h_t + b): each label on its own, given the sentence (–).

    The fastest tagger; best for labels that hardly restrict their neighbours, such as POS.
    """

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the summed cross-entropy of each sentence in nats, `[B]`."""
        losses = functional.cross_entropy(
            self.scores(hidden, mask).transpose(1, 2),  # [B, K, T]
            target.masked_fill(~mask, -100),
            reduction="none",
            label_smoothing=self.smoothing,
        )
        weights = self.weights(target)
        return (losses if weights is None else losses * weights).sum(1)

    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the most likely label ids, `[B, T]`, 0 on padding."""
        return self.scores(hidden, mask).argmax(2).masked_fill(~mask, 0)

    def log_probs(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return `[B, T, K]`, zero on padding."""
        return self.scores(hidden, mask).log_softmax(2).masked_fill(~mask.unsqueeze(2), 0)

    def log_prob_of(self, scores: Tensor, mask: Tensor, labels: Tensor, chosen: Tensor) -> Tensor:
        """Return the summed log-probabilities of the chosen labels, `[B]`."""
        own = scores.log_softmax(2).gather(2, labels.unsqueeze(2)).squeeze(2)  # [B, T]
        return own.masked_fill(~(chosen & mask), 0).sum(1)
