"""What sentence classifiers share. Letters: B sentences, T tokens, P width, K labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from mtl.heads.base import Head


class Classifier(Head):
    """One label a sentence: a vector of the sentence, dropout, and a score for every label.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names.
        sentence_features: Width P of what `sentence` returns.
        dropout: Probability of dropping a unit of the sentence vector.
    """

    level = "sentence"

    def __init__(
        self, in_features: int, labels: Sequence[str], sentence_features: int, dropout: float
    ) -> None:
        super().__init__(in_features, labels)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(sentence_features, len(self.labels))

    @abstractmethod
    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return a vector of each sentence, `[B, P]`, given `[B, T, H]` and the mask `[B, T]`."""

    def scores(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the score of every label, `[B, K]`."""
        scores: Tensor = self.output(self.dropout(self.sentence(hidden, mask)))
        return scores

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy of each sentence in nats, `[B]`."""
        return functional.cross_entropy(self.scores(hidden, mask), target, reduction="none")

    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the most likely label ids, `[B]`."""
        return self.scores(hidden, mask).argmax(1)

    def log_probs(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return `[B, K]`."""
        return self.scores(hidden, mask).log_softmax(1)
