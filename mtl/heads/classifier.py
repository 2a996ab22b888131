"""What sentence classifiers share. Letters: B sentences, T tokens, P width, K labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self, TypedDict

from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.heads.base import Head, HeadContext
from mtl.heads.pairs import PARTS, Comparison, Labelling, PairPart, Pairs
from mtl.options import Default, RunContext
from mtl.targets.base import Target
from mtl.targets.objectives import Answer, Objective, OneLabel


class ClassifierRecipe(TypedDict, total=False):
    """Options that the library follows when it builds a classifier.

    Args:
        compare: For pairs of sentences with vectors u and v, the parts of the input: both, the
            difference |u − v|, the product u ∘ v; null for all three.
    """

    compare: Annotated[tuple[PairPart, ...] | None, Default(None)]


class Classifier(Head):
    """A vector of the sentence, dropout, and scores: one for every label, or for a number.

    Of pairs, the hidden states are those of all first sentences and then of all second ones; what
    it says is of pairs: B, where there are 2 B rows of states.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, of which a sentence has one; a `LabelSet`, of which it has any;
            or a `Number`; or `Pairs`, of which these are the labels.
        sentence_features: Width P of what `sentence` returns.
        dropout: Probability of dropping a unit of the sentence vector.
    """

    level = "sentence"
    pairs: ClassVar[bool] = True
    """Whether the head can compare two sentences."""
    recipe = ClassifierRecipe

    def __init__(
        self, in_features: int, labels: Labelling, sentence_features: int, dropout: float
    ) -> None:
        own = labels.labels if isinstance(labels, Pairs) else labels
        objective = own if isinstance(own, Objective) else OneLabel(own)
        super().__init__(in_features, objective.labels)
        self.objective = objective
        self.comparison = Comparison(labels.compare) if isinstance(labels, Pairs) else None
        self.dropout = nn.Dropout(dropout)
        factor = self.comparison.factor if self.comparison else 1
        self.output = nn.Linear(factor * sentence_features, objective.size)

    @classmethod
    def accepts(cls, target: type[Target]) -> bool:
        """Return whether sentences have the values: an objective exists for each form."""
        return target.level == "sentence"

    @classmethod
    def from_options(cls, options: Mapping[str, Any], context: HeadContext) -> Self:
        """Return the classifier that a run file describes."""
        labels: Labelling = context.labels
        if context.pairs:
            assert not isinstance(context.labels, Pairs)
            compare = options.get("compare")
            labels = Pairs(context.labels, PARTS if compare is None else compare)
        return super().from_options(options, replace(context, labels=labels))

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error if `compare` is set and the task has no pairs of sentences."""
        yield from super().check(options, context)
        if options.get("compare") is not None and context.task not in context.pairs:
            yield OptionError(
                "compare",
                "the reader returns no pairs of sentences; set its `pair`, or leave this out",
            )

    @abstractmethod
    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return a vector of each sentence, `[B, P]`, given `[B, T, H]` and the mask `[B, T]`."""

    def scores(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the scores of each sentence, `[B, S]`: of every label, or that of a number."""
        return self.scores_of(self.sentence(hidden, mask))

    def scores_of(self, vectors: Tensor) -> Tensor:
        """Return `[B, S]`, given what `sentence` returns."""
        if self.comparison is not None:
            vectors = self.comparison(vectors)
        scores: Tensor = self.output(self.dropout(vectors))
        return scores

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sentence in nats, `[B]`: of one label the cross-entropy."""
        return self.objective.loss(self.scores(hidden, mask), target)

    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the most likely label ids, `[B]`; the labels of sets, `[B, K]`; numbers, `[B]`."""
        return self.conclude(self.scores(hidden, mask))

    def log_probs(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the log-probability of every label, `[B, K]`."""
        return self.log_probs_from(self.scores(hidden, mask))

    def evidence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the scores, `[B, S]`."""
        return self.scores(hidden, mask)

    def conclude(self, evidence: Tensor) -> Tensor:
        """Return what `decode` does, given scores."""
        return self.objective.decode(evidence)

    def log_probs_from(self, evidence: Tensor) -> Tensor:
        """Return what `log_probs` does, given scores."""
        return self.objective.log_probs(evidence)

    def named(self, decoded: Tensor) -> Sequence[Answer]:
        """Return what `decode` gave: the name of each label, sets of names, or numbers."""
        return self.objective.named(decoded)
