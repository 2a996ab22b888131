"""A hidden Markov model of labels and words. Letters: B sentences, T tokens, K labels, V words."""

from __future__ import annotations

import torch
from torch import Tensor

from mtl.layers.inputs import check_labels
from mtl.ops.crf import crf_log_partition, crf_marginals, crf_viterbi
from mtl.ops.crf_logarithms import log_backward
from mtl.ops.crf_paths import ends
from mtl.ops.crf_semirings import Chain


class HMM:
    """A first-order hidden Markov model, the generative baseline of taggers (Rabiner 1989).

    p(x, y) = start[y_1] Π_t transitions[y_t-1, y_t] emissions[y_t, x_t] end[y_T]

    The end of a sentence is one of the steps from a label, so that the probabilities of all
    sentences add up to 1. `count` estimates them from labelled sentences, and `fit` improves them
    on sentences without labels by expectation maximisation (Baum et al. 1970). It reads word ids
    only and has no gradients.

    Args:
        labels: The number of labels K.
        words: The number of words V.
        smoothing: The number added to each count (Laplace); it must be positive.
        generator: For the random probabilities of the start; None: the default generator.

    Raises:
        ValueError: An argument is not positive.
    """

    def __init__(
        self,
        labels: int,
        words: int,
        *,
        smoothing: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        if labels < 1 or words < 1 or smoothing <= 0:
            raise ValueError(
                "expected positive numbers of labels and words and a positive smoothing"
            )
        self.smoothing = smoothing

        def random(*shape: int) -> Tensor:
            # EM needs labels that differ: equal ones stay equal.
            return torch.rand(shape, generator=generator, dtype=torch.float64) + 1

        self._set(random(labels), random(labels, labels), random(labels), random(labels, words))

    def _set(self, start: Tensor, moves: Tensor, end: Tensor, emissions: Tensor) -> None:
        """Set the log-probabilities from counts: `[K]`, `[K, K]`, `[K]` and `[K, V]`."""
        self.start = (start / start.sum()).log()
        leaving = moves.sum(1) + end  # a label is followed by a label or by the end
        self.transitions = (moves / leaving.unsqueeze(1)).log()
        self.end = (end / leaving).log()
        self.emissions = (emissions / emissions.sum(1, keepdim=True)).log()

    def count(self, words: Tensor, labels: Tensor, mask: Tensor) -> None:
        """Set the probabilities to the smoothed relative frequencies of labelled sentences.

        Args:
            words: Word ids, `[B, T]`.
            labels: Label ids, `[B, T]`.
            mask: `[B, T]` bool, True on real tokens, which come first.

        Raises:
            ValueError: An id is out of range.
        """
        check_labels("labels", labels, len(self.start), mask)
        certain = torch.nn.functional.one_hot(labels * mask, len(self.start)).double()
        certain = certain * mask.unsqueeze(2)
        pairs = torch.einsum("bti,btj->ij", certain[:, :-1], certain[:, 1:])
        self._maximise(words, mask, certain, pairs)

    def fit(self, words: Tensor, mask: Tensor, *, steps: int = 1) -> list[float]:
        """Improve the probabilities on sentences without labels, by steps of Baum-Welch.

        Args:
            words: Word ids, `[B, T]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            steps: The number of steps of expectation maximisation.

        Returns:
            The log-likelihood of all sentences in nats before each step. It never falls by a step,
            apart from the effect of the smoothing.
        """
        found = []
        for _ in range(steps):
            chain = self.chain(words, mask)
            found.append(crf_log_partition(*chain, mask).sum().item())
            each = mask.any(1).double()
            marginals, pairs = log_backward(*chain, mask, each)
            self._maximise(words, mask, marginals, pairs)
        return found

    def _maximise(self, words: Tensor, mask: Tensor, marginals: Tensor, pairs: Tensor) -> None:
        """Set the probabilities to expected counts: of labels `[B, T, K]` and of pairs `[K, K]`."""
        check_labels("words", words, self.emissions.shape[1], mask)
        emitted = torch.zeros_like(self.emissions)
        emitted.index_add_(1, words[mask], marginals[mask].T)
        last = marginals[ends(mask)].sum(0)
        more = self.smoothing
        self._set(marginals[:, 0].sum(0) + more, pairs + more, last + more, emitted + more)

    def chain(self, words: Tensor, mask: Tensor) -> Chain:
        """Return the log-probabilities of sentences as a linear chain; see `mtl.ops`.

        Its log partition is ln p(x), and its best path is the best label sequence.

        Raises:
            ValueError: A word id is out of range.
        """
        check_labels("words", words, self.emissions.shape[1], mask)
        return self.emissions.T[words * mask], self.transitions, self.start, self.end

    def decode(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return the most probable label ids (Viterbi 1967), `[B, T]`, 0 on padding."""
        return crf_viterbi(*self.chain(words, mask), mask)[0]

    def marginals(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return p(y_t | x), `[B, T, K]`, zero on padding."""
        return crf_marginals(*self.chain(words, mask), mask)

    def log_likelihood(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return ln p(x) of each sentence in nats, `[B]`."""
        return crf_log_partition(*self.chain(words, mask), mask)
