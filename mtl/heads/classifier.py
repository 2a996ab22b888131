"""What sentence classifiers share. Letters: B sentences, T tokens, P width, K labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from mtl.heads.base import Head
from mtl.heads.objectives import Answer, Labelling, Objective, OneLabel


class Classifier(Head):
    """A vector of the sentence, dropout, and scores: one for every label, or for a number.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, of which a sentence has one; a `LabelSet`, of which it has any;
            or a `Number`.
        sentence_features: Width P of what `sentence` returns.
        dropout: Probability of dropping a unit of the sentence vector.
    """

    level = "sentence"

    def __init__(
        self, in_features: int, labels: Labelling, sentence_features: int, dropout: float
    ) -> None:
        objective = labels if isinstance(labels, Objective) else OneLabel(labels)
        super().__init__(in_features, objective.labels)
        self.objective = objective
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(sentence_features, objective.size)

    @abstractmethod
    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return a vector of each sentence, `[B, P]`, given `[B, T, H]` and the mask `[B, T]`."""

    def scores(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the scores of each sentence, `[B, S]`: of every label, or that of a number."""
        scores: Tensor = self.output(self.dropout(self.sentence(hidden, mask)))
        return scores

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sentence in nats, `[B]`: of one label the cross-entropy."""
        return self.objective.loss(self.scores(hidden, mask), target)

    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the most likely label ids, `[B]`; the labels of sets, `[B, K]`; numbers, `[B]`."""
        return self.conclude(self.scores(hidden, mask))

    def log_probs(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the log-probability of every label, `[B, K]`."""
        return self.objective.log_probs(self.scores(hidden, mask))

    def evidence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the scores, `[B, S]`."""
        return self.scores(hidden, mask)

    def conclude(self, evidence: Tensor) -> Tensor:
        """Return what `decode` does, given scores."""
        return self.objective.decode(evidence)

    def named(self, decoded: Tensor) -> Sequence[Answer]:
        """Return what `decode` gave: the name of each label, sets of names, or numbers."""
        return self.objective.named(decoded)
