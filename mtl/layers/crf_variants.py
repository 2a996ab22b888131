"""Chains whose transitions depend on the input. Letters: B sentences, T tokens, K labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtl.layers.crf import CRF
from mtl.ops.crf_semirings import Chain


class InputCRF(CRF):
    """A CRF whose transition scores see the input (Lafferty et al. 2001; Ma and Hovy 2016).

    transitions[t, i, j] = transitions[i, j] + Σ_r g_r(x, t) M_r[i, j]

    Ma and Hovy score each pair of labels by a weight vector of its own, W_ij · h_t. If the gates
    are linear in h_t, this is the same with W, a matrix `[K², H]`, of rank R. So each token mixes R
    matrices of transitions. All methods take emissions `[B, T, K + R]`: the scores of the labels,
    and then the gates g of the step to the token. M starts at zero, as a CRF with constant
    transitions.

    Args:
        num_tags: The number of labels K.
        rank: The number of matrices R.
        allowed_transitions: As for `CRF`.
        allowed_start: As for `CRF`.
        allowed_end: As for `CRF`.

    Raises:
        ValueError: As for `CRF`; or the rank is below 1.
    """

    varies = True

    def __init__(
        self,
        num_tags: int,
        rank: int,
        *,
        allowed_transitions: Tensor | None = None,
        allowed_start: Tensor | None = None,
        allowed_end: Tensor | None = None,
    ) -> None:
        super().__init__(
            num_tags,
            allowed_transitions=allowed_transitions,
            allowed_start=allowed_start,
            allowed_end=allowed_end,
        )
        if rank < 1:
            raise ValueError(f"rank: expected at least 1, got {rank}")
        self.matrices = nn.Parameter(torch.zeros(rank, num_tags, num_tags))

    @property
    def width(self) -> int:
        """The number of scores per token that all methods take as emissions: K + R."""
        return self.num_tags + len(self.matrices)

    def chain(self, emissions: Tensor, temperature: float = 1.0) -> Chain:
        """Return label scores `[B, T, K]`, transitions `[B, T - 1, K, K]`, first and last labels.

        Args:
            emissions: `[B, T, K + R]`.
            temperature: All scores are divided by it.
        """
        scores, gates = emissions[..., : self.num_tags], emissions[..., self.num_tags :]
        scores, transitions, start, end = super().chain(scores, temperature)
        added = torch.einsum("btr,rij->btij", gates[:, 1:], self.matrices) / temperature
        return scores, transitions + added, start, end


class MEMM(CRF):
    """A maximum-entropy Markov model: each label is a softmax given the one before it.

    p(y | x) = Π_t softmax_j(emissions[t, j] + transitions[y_t-1, j])[y_t]

    Each step is normalised by itself, and not the path as in a CRF (McCallum et al. 2000). So a
    label with few likely successors passes its probability on, whatever the next token is: the
    label bias (Lafferty et al. 2001). The last label of a sentence has no extra score.

    Args:
        num_tags: The number of labels K.
    """

    varies = True

    def __init__(self, num_tags: int) -> None:
        super().__init__(num_tags)
        del self.end_transitions
        self.register_buffer("end_transitions", torch.zeros(num_tags), persistent=False)

    def chain(self, emissions: Tensor, temperature: float = 1.0) -> Chain:
        """Return a chain whose scores are log-probabilities; its log partition is 0.

        The transitions `[B, T - 1, K, K]` have the scores of all labels but the first.

        Args:
            emissions: `[B, T, K]`.
            temperature: The scores are divided by it before the softmax of each step.
        """
        scores, transitions, start, end = super().chain(emissions, temperature)
        first = (scores[:, :1] + start).log_softmax(2)
        moves = (scores[:, 1:].unsqueeze(2) + transitions).log_softmax(3)
        none = torch.zeros_like
        return torch.cat([first, none(scores[:, 1:])], dim=1), moves, none(start), none(end)
