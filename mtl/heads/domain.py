"""Adversarial domain classifier. Letters: B sentences, T tokens, H width, K labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Unpack, get_args

from torch import Tensor, nn

from mtl.heads.classifier import Classifier, ClassifierOptions
from mtl.heads.pairs import Labelling
from mtl.layers.gradient_reversal import GradientReversal, ramp_notes
from mtl.layers.sequence import Pooling, pool
from mtl.options import (
    NonNegativeFloat,
    PositiveInt,
    Probability,
    Requires,
    RunContext,
    check_choice,
    refuse_idle,
)


class DomainClassifier(Classifier):
    """Domain-adversarial classifier with gradient reversal (Ganin and Lempitsky 2015).

    p(y | x) = softmax(W drop(relu(U pool_t h_t + c)) + b), with a reversed gradient for h

    The head learns to classify domains, and the trunk learns to make this impossible. As an
    auxiliary task it makes the hidden states transfer better to other domains. Its score should
    fall to chance level, and is excluded from the mean that selects the best epoch.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, a `LabelSet`, a `Number`, or `Pairs` with such labels.
        pooling: The mean, maximum or sum over the tokens, or the state of the last token.
        hidden_size: Width of the hidden layer.
        strength: λ: the gradient for the trunk is multiplied by −λ; with 0 only the head learns.
        ramp: Number of batches over which λ grows from 0, with the factor 2 / (1 + e^(−10 p)) − 1;
            null for a constant λ.
        dropout: Dropout probability of the hidden layer.
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
        **options: Unpack[ClassifierOptions],
    ) -> None:
        check_choice("pooling", pooling, get_args(Pooling))
        refuse_idle(DomainClassifier, {"strength": strength, "ramp": ramp})
        super().__init__(in_features, labels, hidden_size, dropout, **options)
        self.pooling = pooling
        self.reversal = GradientReversal(strength, ramp)
        self.hidden = nn.Sequential(nn.Linear(in_features, hidden_size), nn.ReLU())

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note if the run ends long before the end of the ramp."""
        yield from super().notes(options, context)
        yield from ramp_notes(options["ramp"], sum(context.batches.values()))

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the hidden layer, `[B, P]`."""
        # Reversed before the hidden layer, so that all layers of the head learn to classify.
        vectors: Tensor = self.hidden(self.reversal(pool(hidden, mask, self.pooling)))
        return vectors
