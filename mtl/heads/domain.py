"""Adversary on the domain of a sentence. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from typing import Annotated, get_args

from torch import Tensor, nn

from mtl.heads.classifier import Classifier
from mtl.heads.pairs import Labelling
from mtl.layers.gradient_reversal import GradientReversal
from mtl.layers.sequence import Pooling, pool
from mtl.options import (
    NonNegativeFloat,
    PositiveInt,
    Probability,
    Requires,
    check_choice,
    refuse_idle,
)


class DomainClassifier(Classifier):
    """Tells domains apart while the trunk learns to blur them (Ganin and Lempitsky 2015).

    p(y | x) = softmax(W drop(relu(U pool_t h_t + c)) + b), its gradient reversed on the way to h

    An auxiliary task with this head makes the hidden states serve other domains better. Its own
    score should fall towards chance, and has no share in the mean by which the best epoch is found.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, a `LabelSet`, a `Number`, or `Pairs` of these.
        pooling: The mean or the maximum over the tokens, or the state of the last one.
        hidden_size: Width of the hidden layer.
        strength: λ: the trunk gets the gradient times −λ; with 0 the head learns alone.
        ramp: Over how many batches of the task λ grows from 0, as 2 / (1 + e^(−10 p)) − 1; null:
            it does not grow.
        dropout: Probability of dropping a unit of the hidden layer.
    """

    adversarial = True

    def __init__(
        self,
        in_features: int,
        labels: Labelling,
        *,
        pooling: Pooling = "mean",
        hidden_size: PositiveInt = 100,
        strength: NonNegativeFloat = 1.0,
        ramp: Annotated[PositiveInt | None, Requires("strength")] = None,
        dropout: Probability = 0.5,
    ) -> None:
        check_choice("pooling", pooling, get_args(Pooling))
        refuse_idle(DomainClassifier, {"strength": strength, "ramp": ramp})
        super().__init__(in_features, labels, hidden_size, dropout)
        self.pooling = pooling
        self.reversal = GradientReversal(strength, ramp)
        self.hidden = nn.Sequential(nn.Linear(in_features, hidden_size), nn.ReLU())

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the hidden layer, `[B, P]`."""
        vectors: Tensor = self.hidden(self.reversal(pool(hidden, mask, self.pooling)))
        return vectors
