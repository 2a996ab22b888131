"""Sentence classifier by attention. Letters: B sentences, T tokens, H width, Q hops, K labels."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor

from mtl.heads.classifier import Classifier
from mtl.heads.pairs import Labelling
from mtl.layers.attention import QueryPooling, SelfAttentionPooling, overlap
from mtl.options import NonNegativeFloat, PositiveInt, Probability, Requires, refuse_idle


class AttentionClassifier(Classifier):
    """Weighted means of the states, the weights being learnt (Lin et al. 2017; Yang et al. 2016).

    A = softmax_t(score(h_t)), p(y | x) = softmax(W drop([A_1 H; …; A_Q H]) + b)

    `head.attention_weights(hidden, mask)` gives A, which tells where it looks. The penalty is for
    training: in evaluation the loss is the likelihood alone.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, a `LabelSet`, a `Number`, or `Pairs` of these.
        score: How a state is weighed: self by two layers, Q = V tanh(W Hᵀ), the others by
            comparing it with a learned query: additive with a matrix each, concat with one for
            both, multiplicative with one between them, scaled by the dot product over √H.
        hops: How many means are taken.
        size: Width of the inner layer of self; the others are as wide as the states.
        penalty: The loss grows by this times ‖A Aᵀ − I‖², so that the hops look at different
            tokens, and each at few.
        dropout: Probability of dropping a unit of the means.
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
    ) -> None:
        refuse_idle(AttentionClassifier, {"score": score, "size": size})
        super().__init__(in_features, labels, hops * in_features, dropout)
        self.penalty = penalty
        self.pooling = (
            SelfAttentionPooling(in_features, size=size, hops=hops)
            if score == "self"
            else QueryPooling(in_features, score=score, hops=hops)
        )

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the means side by side, `[B, Q H]`."""
        means: Tensor = self.pooling(hidden, mask)[0]
        return means.flatten(1)

    def attention_weights(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the weights A, `[B, Q, T]`."""
        weights: Tensor = self.pooling(hidden, mask)[1]
        return weights

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sentence in nats, in training with the penalty, `[B]`."""
        if not (self.penalty and self.training):
            return super().loss(hidden, mask, target)
        means, weights = self.pooling(hidden, mask)
        losses = self.objective.loss(self.scores_of(means.flatten(1)), target)
        return losses + self.penalty * overlap(weights).view(-1, len(target)).sum(0)
