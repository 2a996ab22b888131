"""Tagger that labels the sentence as a whole. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.heads.tagger import Scheme, Tagger
from mtl.layers.crf import CRF
from mtl.options import PositiveInt, Probability


class CRFTagger(Tagger):
    """A linear-chain CRF over the scores of a sentence (Huang et al. 2015; Lample et al. 2016).

    p(y | x) ∝ exp Σ_t (W h_t + b)[y_t] + transitions[y_t-1, y_t]

    Learns which labels follow which; best for chunks and entities.
    """

    def __init__(
        self,
        in_features: int,
        labels: Sequence[str],
        *,
        dropout: Probability = 0.4,
        hidden_size: PositiveInt | None = None,
        scheme: Scheme | None = None,
    ) -> None:
        super().__init__(
            in_features, labels, dropout=dropout, hidden_size=hidden_size, scheme=scheme
        )
        self.crf = CRF(len(self.labels))

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the negative log-likelihood of each sentence's labels in nats, `[B]`."""
        log_likelihood: Tensor = self.crf(self.scores(hidden), target, mask)
        return -log_likelihood

    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the ids of the most likely path (Viterbi), `[B, T]`, 0 on padding."""
        return self.crf.decode(self.scores(hidden), mask)

    def log_probs(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the logarithms of the marginals, `[B, T, K]`, zero on padding."""
        marginals = self.crf.marginals(self.scores(hidden), mask)
        tiny = torch.finfo(marginals.dtype).tiny
        return marginals.clamp(min=tiny).log().masked_fill(~mask.unsqueeze(2), 0)
