"""Output layers of language models. Letters: N tokens, H width, V words, D width of an embedding.

All share one contract, `NextWord`; those with clusters of rare words are in `adaptive.py`. Words
are the units of any vocabulary: pieces of words and characters too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.layers.linear_cross_entropy import linear_cross_entropy
from mtl.options import PositiveInt


class NextWord(nn.Module, ABC):
    """Gives each word its probability after a text. Every token is independent of the others.

    Args:
        in_features: Width H of the hidden states.
        num_words: The number of words V.
    """

    def __init__(self, in_features: int, num_words: int) -> None:
        super().__init__()
        self.in_features = in_features
        self.num_words = num_words

    @abstractmethod
    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return −log p(target) of each token in nats, `[N]`, without holding `[N, V]` scores.

        Args:
            hidden: `[N, H]`.
            targets: `[N]` int64, in [0, V).

        Raises:
            ValueError: A target is no word.
        """

    @abstractmethod
    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of all words, `[N, V]`, given `hidden [N, H]`."""

    @abstractmethod
    def rows(self) -> Mapping[str, Sequence[int]]:
        """Return which parameters have rows that stand for words: name to the words, by number.

        Rows for clusters of words count on from V. All other parameters know of no words.
        """


class FullSoftmax(NextWord):
    """A weight of its own for every word (Bengio et al. 2003).

    p = softmax(W h + b)

    Args:
        in_features: Width H of the hidden states.
        num_words: The number of words V.
    """

    def __init__(self, in_features: int, num_words: int) -> None:
        super().__init__(in_features, num_words)
        self.output = nn.Linear(in_features, num_words)

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return −log p(target) of each token in nats, `[N]`."""
        return linear_cross_entropy(hidden, self.output.weight, targets, self.output.bias)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of all words, `[N, V]`."""
        scores: Tensor = self.output(hidden)
        return scores.log_softmax(1)

    def rows(self) -> Mapping[str, Sequence[int]]:
        """Return that weight and bias have all words."""
        return dict.fromkeys(("output.weight", "output.bias"), range(self.num_words))


class TiedSoftmax(NextWord):
    """Scores words by the vectors they are read with (Inan et al. 2016, Press & Wolf 2017).

    p = softmax(E P h + b); P is there only where the widths differ (down-projection, Melis et
    al. 2017).

    Args:
        in_features: Width H of the hidden states.
        embedding: E `[V, D]`, shared, not copied.
    """

    def __init__(self, in_features: int, embedding: nn.Parameter) -> None:
        num_words, width = embedding.shape
        super().__init__(in_features, num_words)
        self.embedding = embedding
        self.projection = to_width(in_features, width)
        self.bias = nn.Parameter(torch.zeros(num_words))

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return −log p(target) of each token in nats, `[N]`."""
        return linear_cross_entropy(self.projection(hidden), self.embedding, targets, self.bias)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of all words, `[N, V]`."""
        scores = nn.functional.linear(self.projection(hidden), self.embedding, self.bias)
        return scores.log_softmax(1)

    def rows(self) -> Mapping[str, Sequence[int]]:
        """Return that embedding and bias have all words."""
        return dict.fromkeys(("embedding", "bias"), range(self.num_words))


class MixtureOfSoftmaxes(NextWord):
    """A mixture of K softmaxes, whose log-probabilities have no low rank (Yang et al. 2017).

    p = Σ_k π_k(h) softmax(E tanh(P_k h) + b)

    The paper takes 15 of them; time grows with their number.

    Args:
        in_features: Width H of the hidden states.
        embedding: E `[V, D]`, shared, not copied; give a new parameter for weights that are not
            tied.
        num_softmaxes: The number K.
    """

    def __init__(
        self, in_features: int, embedding: nn.Parameter, *, num_softmaxes: PositiveInt = 4
    ) -> None:
        num_words, width = embedding.shape
        super().__init__(in_features, num_words)
        self.embedding = embedding
        self.prior = nn.Linear(in_features, num_softmaxes, bias=False)
        self.latent = nn.Linear(in_features, num_softmaxes * width)
        self.bias = nn.Parameter(torch.zeros(num_words))

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return −log p(target) of each token in nats, `[N]`."""
        prior, latent = self._mixture(hidden)
        number = prior.shape[1]
        losses = linear_cross_entropy(
            latent.flatten(0, 1), self.embedding, targets.repeat_interleave(number), self.bias
        )
        return -(prior - losses.view_as(prior)).logsumexp(1)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of all words, `[N, V]`."""
        prior, latent = self._mixture(hidden)
        total = hidden.new_full((len(hidden), self.num_words), -torch.inf)
        for weight, x in zip(prior.unbind(1), latent.unbind(1), strict=True):
            scores = nn.functional.linear(x, self.embedding, self.bias)
            total = torch.logaddexp(total, weight.unsqueeze(1) + scores.log_softmax(1))
        return total

    def rows(self) -> Mapping[str, Sequence[int]]:
        """Return that embedding and bias have all words."""
        return dict.fromkeys(("embedding", "bias"), range(self.num_words))

    def _mixture(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return log π `[N, K]` and tanh(P_k h) `[N, K, D]`."""
        prior: Tensor = self.prior(hidden)
        latent: Tensor = self.latent(hidden)
        return prior.log_softmax(1), latent.tanh().view(*prior.shape, self.embedding.shape[1])


def to_width(in_features: int, width: int) -> nn.Module:
    """Return a linear map without a bias, or nothing to do where the widths are the same."""
    return nn.Identity() if in_features == width else nn.Linear(in_features, width, bias=False)
