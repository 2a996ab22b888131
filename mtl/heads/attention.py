"""Attention classifier. Letters: B sentences, T tokens, H width, Q hops, K labels."""

from __future__ import annotations

from typing import Annotated, Literal, Unpack

from torch import Tensor

from mtl.heads.classifier import Classifier, ClassifierOptions
from mtl.heads.pairs import Labelling
from mtl.layers.attention import QueryPooling, SelfAttentionPooling, overlap
from mtl.options import (
    NonNegativeFloat,
    PositiveInt,
    Probability,
    Requires,
    complete,
    refuse_idle,
)


class AttentionClassifier(Classifier):
    """Attention classifier: weighted means of the states (Lin et al. 2017; Yang et al. 2016).

    A = softmax_t(score(h_t)), p(y | x) = softmax(W drop([A_1 H; …; A_Q H]) + b)

    `head.attention_weights(hidden, mask)` returns A. The penalty applies only in training; in
    evaluation the loss is the negative log-likelihood.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, a `LabelSet`, a `Number`, or `Pairs` with such labels.
        score: The attention score. "self" is a two-layer network, V tanh(W Hᵀ). The others compare
            each state with a learned query: "additive" with separate matrices, "concat" with one
            matrix for both, "multiplicative" with a bilinear form, "scaled" by the dot product
            divided by √H.
        hops: Number Q of weighted means.
        size: Width of the inner layer of "self"; the other scores have the width of the states.
        penalty: Weight of ‖A Aᵀ − I‖² in the training loss. It makes the hops attend to different
            tokens, and each hop to few.
        dropout: Dropout probability of the means.
    """

    def __init__(
        self,
        in_features: int,
        labels: Labelling,
        *,
        score: Literal["self", "additive", "concat", "multiplicative", "scaled"] = "self",
        hops: PositiveInt = 1,
        size: Annotated[PositiveInt, Requires("score", ("self",))] = 100,
        penalty: NonNegativeFloat = 0.0,
        dropout: Probability = 0.5,
        **options: Unpack[ClassifierOptions],
    ) -> None:
        options = complete(ClassifierOptions, options)
        refuse_idle(AttentionClassifier, {"score": score, "size": size})
        super().__init__(in_features, labels, hops * in_features, dropout, **options)
        self.penalty = penalty
        self.pooling = (
            SelfAttentionPooling(in_features, size=size, hops=hops)
            if score == "self"
            else QueryPooling(in_features, score=score, hops=hops)
        )

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the concatenated means, `[B, Q · H]`."""
        means: Tensor = self.pooling(hidden, mask)[0]
        return means.flatten(1)

    def attention_weights(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the attention weights A, `[B, Q, T]`, zero on padding."""
        weights: Tensor = self.pooling(self.states(hidden, mask), mask)[1]
        return weights

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sentence in nats, `[B]`; in training it includes the penalty."""
        if not (self.penalty and self.training):
            return super().loss(hidden, mask, target)
        means, weights = self.pooling(self.states(hidden, mask), mask)
        scores = self.with_bag(self.scores_of(means.flatten(1)), hidden, mask)
        losses = self.losses_of(scores, target)
        # A pair has two rows of weights, one per sentence: both penalties count for its loss.
        return losses + self.penalty * overlap(weights).view(-1, len(target)).sum(0)
