"""A linear-chain CRF as a layer. Letters: B sentences, T tokens, K labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtl.ops.crf import crf_log_partition, crf_marginals, crf_score, crf_viterbi


class CRF(nn.Module):
    """Linear-chain conditional random field (Lafferty et al. 2001).

    p(y | x) ∝ exp(start[y_1] + Σ emissions[t, y_t] + Σ transitions[y_t-1, y_t] + end[y_T])

    Names and shapes of the parameters are those of `torchcrf.CRF`; state dicts load both ways.

    Args:
        num_tags: The number of labels K.
    """

    def __init__(self, num_tags: int) -> None:
        super().__init__()
        if num_tags < 1:
            raise ValueError(f"num_tags: expected at least 1, got {num_tags}")
        self.start_transitions = nn.Parameter(torch.empty(num_tags).uniform_(-0.1, 0.1))
        self.end_transitions = nn.Parameter(torch.empty(num_tags).uniform_(-0.1, 0.1))
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags).uniform_(-0.1, 0.1))

    def _scores(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.transitions, self.start_transitions, self.end_transitions

    def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Return the log-likelihood of `tags` in nats, `[B]`.

        Args:
            emissions: `[B, T, K]`.
            tags: `[B, T]` int64; ignored on padding.
            mask: `[B, T]` bool, True on real tokens, which come first.
        """
        score = crf_score(emissions, *self._scores(), mask, tags)
        return score - crf_log_partition(emissions, *self._scores(), mask)

    def decode(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return the most likely paths, `[B, T]` int64, 0 on padding."""
        return crf_viterbi(emissions, *self._scores(), mask)[0]

    def marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return the probability of each label at each token, `[B, T, K]`, zero on padding."""
        return crf_marginals(emissions, *self._scores(), mask)
