"""Training losses of language models. Letters: N tokens, D width, V words, S samples.

Each replaces −log p(target) of an output layer with word vectors (`WordVectors`) in training; the
model is evaluated by the exact probabilities. Samples are drawn once for all tokens of a step, so
that their scores are one matrix product (Jozefowicz et al. 2016).

Let s_w be the score of word w, Z = Σ_w exp(s_w), t the target and q the distribution of samples.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.layers.linear_cross_entropy import check_targets, linear_cross_entropy, log_normaliser
from mtl.layers.next_word import WordVectors


class WordLoss(nn.Module, ABC):
    """Base of losses over a part of the vocabulary."""

    unit_normaliser: bool = True
    """Whether the loss drives Z to 1; then biases should start at −log V (Devlin et al. 2014)."""

    @abstractmethod
    def forward(self, output: WordVectors, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each token in nats, `[N]`.

        Args:
            output: The output layer.
            hidden: `[N, H]`.
            targets: `[N]` int64, in [0, V).

        Raises:
            ValueError: A target is not in [0, V).
        """


class SampledLoss(WordLoss):
    """Base of losses with samples from the frequencies of words.

    Args:
        counts: `[V]`, the number of occurrences of each word, at least 1.
        samples: The number S of samples per step, drawn with replacement.

    Raises:
        ValueError: A count or the number of samples is below 1.
    """

    frequencies: Tensor

    def __init__(self, counts: Tensor, samples: int) -> None:
        super().__init__()
        if samples < 1:
            raise ValueError(f"samples: expected at least 1, got {samples}")
        self.samples = samples
        # They follow from the training text, so they are not saved.
        self.register_buffer("frequencies", torch.empty(len(counts)), persistent=False)
        self.set_counts(counts)

    def set_counts(self, counts: Tensor) -> None:
        """Set the number of occurrences of each word, `[V]`, at least 1.

        Raises:
            ValueError: A count is below 1, so that a sample or target has no probability.
        """
        if not counts.is_meta and (lowest := counts.min()) < 1:
            raise ValueError(f"counts: expected at least 1 for each word, got {lowest}")
        self.frequencies.copy_(counts / counts.sum())

    def _ratios(
        self, output: WordVectors, hidden: Tensor, targets: Tensor, q: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the scores of the targets, and s − log q of targets and samples.

        Shapes `[N]`, `[N]`, `[N, S]`; q is `[V]`.
        """
        if len(q) != output.num_words:
            raise ValueError(f"counts: expected {output.num_words} words, got {len(q)}")
        if hidden.shape != (len(targets), output.in_features):
            expected = [len(targets), output.in_features]
            raise ValueError(f"hidden: expected shape {expected}, got {list(hidden.shape)}")
        drawn = torch.multinomial(q, self.samples, replacement=True)
        x = output.project(hidden)
        scores = _scores(x, *output.vectors(targets))
        of_samples = functional.linear(x, *output.vectors(drawn)) - q[drawn].log()
        return scores, scores - q[targets].log(), of_samples


class ImportanceSampling(SampledLoss):
    """Z is estimated from samples (Bengio & Senécal 2003; Jozefowicz et al. 2016).

    L = log Ẑ − s_t with Ẑ = 1/(S + 1) · Σ_w exp(s_w)/q_w over the S samples and the target. The
    target in the sum bounds the loss from below. For S → ∞, the loss converges to −log p.

    Samples come from the frequencies of the training text. If `adaptive`, half of them follow the
    targets of the step, so q is near the words that the model should expect there. Bengio & Senécal
    (2008) adapt the weights of n-grams instead.

    Args:
        counts: `[V]`, the number of occurrences of each word, at least 1.
        samples: The number S of samples per step, drawn with replacement.
        adaptive: Whether q follows the targets of the step.
    """

    unit_normaliser = False

    def __init__(self, counts: Tensor, samples: int, *, adaptive: bool = False) -> None:
        super().__init__(counts, samples)
        self.adaptive = adaptive

    def forward(self, output: WordVectors, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each token in nats, `[N]`."""
        check_targets(targets, output.num_words)
        q = self.frequencies
        if self.adaptive and len(targets):
            of_step = torch.zeros_like(q).index_add_(0, targets, q.new_ones(len(targets)))
            q = (q + of_step / len(targets)) / 2
        scores, target, samples = self._ratios(output, hidden, targets, q)
        summed = torch.logaddexp(samples.logsumexp(1), target)
        return summed - math.log(self.samples + 1) - scores


class NoiseContrastive(SampledLoss):
    """A classifier of words and noise (NCE; Gutmann & Hyvärinen 2010, Mnih & Teh 2012).

    L = −log σ(s_t − log(S q_t)) − Σ_j log σ(log(S q_j) − s_j) over the S samples j. The scores
    become log-probabilities: Z tends to 1 without a sum over the words.

    Args:
        counts: `[V]`, the number of occurrences of each word, at least 1.
        samples: The number S of samples per step, drawn with replacement.
    """

    def forward(self, output: WordVectors, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each token in nats, `[N]`."""
        check_targets(targets, output.num_words)
        _, target, samples = self._ratios(output, hidden, targets, self.frequencies)
        shift = math.log(self.samples)
        return functional.softplus(shift - target) + functional.softplus(samples - shift).sum(1)


class TargetSampling(WordLoss):
    """A softmax over the words that occur as targets in the step (Jean et al. 2015).

    L = log Σ_{w ∈ W} exp(s_w) − s_t. W has the targets of the step, and further words at random,
    each with the same probability. In the paper, W has the targets of a larger part of the text.

    Args:
        samples: The number of further words.
    """

    unit_normaliser = False

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.samples = samples

    def forward(self, output: WordVectors, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each token in nats, `[N]`."""
        check_targets(targets, output.num_words)
        further = torch.randperm(output.num_words, device=targets.device)[: self.samples]
        words, places = torch.unique(torch.cat([targets, further]), return_inverse=True)
        weight, bias = output.vectors(words)
        return linear_cross_entropy(output.project(hidden), weight, places[: len(targets)], bias)


class SelfNormalised(WordLoss):
    """A softmax whose Z is driven to 1, so that scores are nearly log-probabilities.

    L = log Z − s_t + α (log Z)² (Devlin et al. 2014). If only a fraction γ of the tokens is
    normalised, L = (α/γ) (log Z)² − s_t for these and −s_t for all others (Andreas & Klein 2015).

    Args:
        strength: The weight α.
        fraction: The fraction γ of tokens whose Z is computed; they are drawn at each step.
    """

    def __init__(self, strength: float, fraction: float = 1.0) -> None:
        super().__init__()
        self.strength = strength
        self.fraction = fraction

    def forward(self, output: WordVectors, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each token in nats, `[N]`."""
        check_targets(targets, output.num_words)
        x = output.project(hidden)
        scores = _scores(x, *output.vectors(targets))
        weight, bias = output.vectors()
        if self.fraction == 1:
            log_z = log_normaliser(x, weight, bias)
            return log_z - scores + self.strength * log_z.square()
        drawn = torch.rand(len(x), device=x.device) < self.fraction
        (tokens,) = drawn.nonzero(as_tuple=True)
        penalties = log_normaliser(x[tokens], weight, bias).square()
        return (-scores).index_add(0, tokens, penalties * (self.strength / self.fraction))


def _scores(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the score of one word per token, `[N]`."""
    return (x * weight).sum(1) + bias
