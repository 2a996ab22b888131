"""Output layers of language models. Letters: N tokens, H width, V words, D width of an embedding.

All of them implement `NextWord`; further ones are in `adaptive.py`, `differentiated.py`,
`hierarchical.py` and `spelling_softmax.py`. "Words" are the units
of the vocabulary, which may be subwords or characters.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.layers.linear_cross_entropy import linear_cross_entropy
from mtl.options import PositiveInt


class NextWord(nn.Module, ABC):
    """Base of output layers: p(next word | hidden state), independently for every token.

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
        """Return −log p(target) of each token in nats, `[N]`, without storing `[N, V]` scores.

        Args:
            hidden: `[N, H]`.
            targets: `[N]` int64, in [0, V).

        Raises:
            ValueError: A target is not in [0, V).
        """

    @abstractmethod
    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of all words, `[N, V]`, given `hidden [N, H]`."""

    @abstractmethod
    def rows(self) -> Mapping[str, Sequence[int]]:
        """Return the word id of each row, by parameter name, for parameters with rows per word.

        Rows for clusters have ids from V upwards. Parameters without rows per word are omitted.
        """


class WordVectors(NextWord):
    """Base of softmaxes that score a word by one vector: p = softmax(W f(h) + b).

    Losses of `mtl.layers.word_losses` can replace theirs in training.
    """

    @abstractmethod
    def project(self, hidden: Tensor) -> Tensor:
        """Return f(h), `[N, D]`."""

    @abstractmethod
    def vectors(self, words: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the vectors and biases of some words, `[n, D]` and `[n]`; None: of all words."""

    def normalise(self) -> None:
        """Set all biases to −log V, so that Σ exp(score) is near 1 while scores are small."""
        nn.init.constant_(self.vectors()[1], -math.log(self.num_words))

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return −log p(target) of each token in nats, `[N]`."""
        weight, bias = self.vectors()
        return linear_cross_entropy(self.project(hidden), weight, targets, bias)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of all words, `[N, V]`."""
        return nn.functional.linear(self.project(hidden), *self.vectors()).log_softmax(1)


class FullSoftmax(WordVectors):
    """Softmax with a separate weight vector for every word (Bengio et al. 2003).

    p = softmax(W h + b)

    Args:
        in_features: Width H of the hidden states.
        num_words: The number of words V.
    """

    def __init__(self, in_features: int, num_words: int) -> None:
        super().__init__(in_features, num_words)
        self.output = nn.Linear(in_features, num_words)

    def project(self, hidden: Tensor) -> Tensor:
        """Return the hidden states."""
        return hidden

    def vectors(self, words: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the vectors and biases of some words, `[n, H]` and `[n]`; None: of all words."""
        return rows_of(self.output.weight, self.output.bias, words)

    def rows(self) -> Mapping[str, Sequence[int]]:
        """Return the word ids of the rows: weight and bias have one row per word."""
        return dict.fromkeys(("output.weight", "output.bias"), range(self.num_words))


class TiedSoftmax(WordVectors):
    """Softmax with the input embedding as output weights (Inan et al. 2016, Press & Wolf 2017).

    p = softmax(E P h + b). The projection P is used only if H and D differ (Melis et al. 2017).

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

    def project(self, hidden: Tensor) -> Tensor:
        """Return P h, `[N, D]`."""
        projected: Tensor = self.projection(hidden)
        return projected

    def vectors(self, words: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the vectors and biases of some words, `[n, D]` and `[n]`; None: of all words."""
        return rows_of(self.embedding, self.bias, words)

    def rows(self) -> Mapping[str, Sequence[int]]:
        """Return the word ids of the rows: embedding and bias have one row per word."""
        return dict.fromkeys(("embedding", "bias"), range(self.num_words))


class MixtureOfSoftmaxes(NextWord):
    """A mixture of K softmaxes (Yang et al. 2017).

    p = Σ_k π_k(h) softmax(E tanh(P_k h) + b)

    The rank of the log-probability matrix is not limited by D, in contrast to a single softmax. The
    paper uses 15 softmaxes; the time grows with their number.

    Args:
        in_features: Width H of the hidden states.
        embedding: E `[V, D]`, shared, not copied; pass a new parameter for untied weights.
        num_softmaxes: The number K of softmaxes.
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
        count = prior.shape[1]
        # The K softmaxes of a token are K rows of one call.
        losses = linear_cross_entropy(
            latent.flatten(0, 1), self.embedding, targets.repeat_interleave(count), self.bias
        )
        return -(prior - losses.view_as(prior)).logsumexp(1)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of all words, `[N, V]`."""
        prior, latent = self._mixture(hidden)
        # One softmax at a time: K of them at once would need K times the memory.
        total = hidden.new_full((len(hidden), self.num_words), -torch.inf)
        for weight, x in zip(prior.unbind(1), latent.unbind(1), strict=True):
            scores = nn.functional.linear(x, self.embedding, self.bias)
            total = torch.logaddexp(total, weight.unsqueeze(1) + scores.log_softmax(1))
        return total

    def rows(self) -> Mapping[str, Sequence[int]]:
        """Return the word ids of the rows: embedding and bias have one row per word."""
        return dict.fromkeys(("embedding", "bias"), range(self.num_words))

    def _mixture(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return log π `[N, K]` and tanh(P_k h) `[N, K, D]`."""
        prior: Tensor = self.prior(hidden)
        latent: Tensor = self.latent(hidden)
        return prior.log_softmax(1), latent.tanh().view(*prior.shape, self.embedding.shape[1])


def to_width(in_features: int, width: int) -> nn.Module:
    """Return a linear map without a bias, or the identity if the widths are equal."""
    return nn.Identity() if in_features == width else nn.Linear(in_features, width, bias=False)


def rows_of(weight: Tensor, bias: Tensor, words: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the rows of some words, or all rows if `words` is None."""
    if words is None:
        return weight, bias
    # `embedding` accumulates the gradient of rows much faster than indexing does.
    return nn.functional.embedding(words, weight), bias[words]
