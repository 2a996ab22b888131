"""Domains drawn together by the distance between them. Letters: B sentences, T tokens, H width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from torch import Tensor, nn

from mtl.heads.classifier import Classifier
from mtl.layers.domain_distance import DISTANCES, Distance
from mtl.layers.sequence import Pooling, pool
from mtl.options import NonNegativeFloat, PositiveInt, Probability, check_choice
from mtl.targets.base import Target


class DomainDistance(Classifier):
    """Makes domains alike by CORAL (Sun & Saenko 2016) or MMD (Long et al. 2015).

    loss_i = −log p(y_i | x_i), in training + λ · distance between the domains of the batch

    Instead of an adversary (`domain`), for the same labels. It needs batches that hold several
    domains, so one corpus of all of them. A classifier, of which the trunk learns nothing, says how
    well domains can still be told apart: its score should fall towards chance, and has no share in
    the mean by which the best epoch is found.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, of which a sentence has one.
        distance: "coral": between the covariances; "mmd": between all of the distributions.
        strength: λ.
        pooling: The mean or the maximum over the tokens, or the state of the last one.
        hidden_size: Width of the hidden layer of the classifier.
        dropout: Probability of dropping a unit of that layer.
    """

    adversarial = True
    pairs = False

    def __init__(
        self,
        in_features: int,
        labels: Sequence[str],
        *,
        distance: Distance = "mmd",
        strength: NonNegativeFloat = 1.0,
        pooling: Pooling = "mean",
        hidden_size: PositiveInt = 100,
        dropout: Probability = 0.5,
    ) -> None:
        check_choice("distance", distance, get_args(Distance))
        check_choice("pooling", pooling, get_args(Pooling))
        super().__init__(in_features, labels, hidden_size, dropout)
        self.distance = DISTANCES[distance]
        self.strength = strength
        self.pooling = pooling
        self.hidden = nn.Sequential(nn.Linear(in_features, hidden_size), nn.ReLU())

    @classmethod
    def accepts(cls, target: type[Target]) -> bool:
        """Return whether each sentence has one label: distances are those between groups."""
        return target.level == "sentence" and target.plain_labels

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the hidden layer of the classifier, `[B, P]`."""
        vectors: Tensor = self.hidden(pool(hidden, mask, self.pooling).detach())
        return vectors

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sentence, `[B]`; in training each has the batch's distance."""
        loss = super().loss(hidden, mask, target)
        if not self.training:
            return loss
        return loss + self.strength * self.distance(pool(hidden, mask, self.pooling), target)
