"""Domain adaptation by a distance between domains. Letters: B sentences, T tokens, H width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack, get_args

from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.heads.classifier import Classifier, ClassifierOptions
from mtl.layers.domain_distance import DISTANCES, Distance
from mtl.layers.sequence import Pooling, pool
from mtl.options import (
    NonNegativeFloat,
    PositiveInt,
    Probability,
    RunContext,
    check_choice,
    one_process,
)
from mtl.targets.base import Target


class DomainDistance(Classifier):
    """Align domains by the distance CORAL (Sun & Saenko 2016) or MMD (Long et al. 2015).

    loss_i = −log p(y_i | x_i), in training + λ · distance between the domains of the batch

    This is an alternative to the adversary `domain`, for the same labels. It needs several domains
    in each batch: in one corpus with a column of domains, or in several corpora whose tasks share
    the head, with the mixing `{type: joint, one_batch: true}`; the loss of each task then contains
    the distance. A domain classifier that does not train the trunk measures the remaining
    difference. Its score should fall to chance level, and is excluded from the mean that selects
    the best epoch.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names; each sentence has one label.
        distance: "coral" compares covariances, "mmd" whole distributions.
        strength: Weight λ of the distance.
        pooling: The mean, maximum or sum over the tokens, or the state of the last token.
        hidden_size: Width of the hidden layer of the classifier.
        dropout: Dropout probability of the hidden layer.
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
        **options: Unpack[ClassifierOptions],
    ) -> None:
        check_choice("distance", distance, get_args(Distance))
        check_choice("pooling", pooling, get_args(Pooling))
        super().__init__(in_features, labels, hidden_size, dropout, **options)
        self.distance = DISTANCES[distance]
        self.strength = strength
        self.pooling = pooling
        self.hidden = nn.Sequential(nn.Linear(in_features, hidden_size), nn.ReLU())

    @classmethod
    def accepts(cls, target: type[Target]) -> bool:
        """Return whether each sentence has one label: distances are those between groups."""
        return target.level == "sentence" and target.plain_labels

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for several processes, which have a part of each batch."""
        yield from super().check(options, context)
        yield from one_process("", context)

    @classmethod
    def idle(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error if no batch can have several domains, since they are several corpora."""
        yield from super().idle(options, context)
        corpora = [name for name, own in context.corpora.items() if {*own} & {*context.users}]
        if len(corpora) > 1 and not context.one_batch:
            yield OptionError(
                "",
                "compares the domains in a batch, but all sentences of a batch are from one "
                f"corpus, here {' or '.join(sorted(corpora))}, so the distance would be 0; set "
                "training.mixing to {type: joint, one_batch: true}",
            )

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the hidden layer of the classifier, `[B, P]`."""
        # Detached: the classifier only measures, and must not train the trunk to separate domains.
        vectors: Tensor = self.hidden(pool(hidden, mask, self.pooling).detach())
        return vectors

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sentence, `[B]`; in training each includes the distance.

        The distance depends on the batch, not on single sentences. Every sentence gets all of it,
        so the mean loss contains it once.
        """
        loss = super().loss(hidden, mask, target)
        if not self.training:
            return loss
        return loss + self.strength * self.distance(pool(hidden, mask, self.pooling), target)
