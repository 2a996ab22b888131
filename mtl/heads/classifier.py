"""The base class of sentence classifiers. Letters: B sentences, T tokens, P width, K labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypedDict, Unpack

import torch
from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.heads.base import HeadContext
from mtl.heads.pairs import PARTS, Comparison, Labelling, PairPart, Pairs
from mtl.heads.single_label import ClassWeights, Focus, LabelSmoothing, SingleLabelHead
from mtl.layers.cross_attention import CrossAttention
from mtl.layers.inputs import check_labels, check_width
from mtl.layers.ngram_bag import NgramBag
from mtl.options import Bounds, Default, PositiveInt, Requires, RunContext, complete
from mtl.targets.base import Target
from mtl.targets.objectives import Answer, Objective, OneLabel
from mtl.text.vocabulary.hashes import HashVocabulary

if TYPE_CHECKING:
    from mtl.embeddings.base import EmbeddingOutput
    from mtl.text.vocabulary import Vocabulary

_NO_ADVERSARY = (
    "has no effect on an adversary, which must read the states of the trunk; leave it out"
)
_NO_PAIRS = "has no form for pairs of sentences; leave it out"


class ClassifierRecipe(TypedDict, total=False):
    """Options of a classifier that the library applies when it builds the head.

    Args:
        compare: For pairs of sentences with vectors u and v, the parts of the input: both vectors,
            the difference |u − v|, the product u ∘ v; null for all three.
        cross_attention: For pairs, whether each token is compared with the tokens of the other
            sentence that it attends to, before the head computes u and v (Parikh et al. 2016).
    """

    compare: Annotated[tuple[PairPart, ...] | None, Default(None)]
    cross_attention: Annotated[bool, Default(False)]


class ClassifierOptions(TypedDict, total=False):
    """Options of all classifiers.

    Args:
        label_smoothing: ε: training targets are the gold labels with probability 1 − ε, and any
            label with ε.
        class_weights: Label to the weight of its sentences in training, by default 1; or balanced:
            all labels have the same total weight in the training data.
        focal: γ of the focal loss: the loss of a sentence whose label has the probability p is
            multiplied by (1 - p)^γ in training, so that easy sentences count less (Lin et al.
            2017); 0 for none.
        ngrams: Add the scores of a linear bag of word n-grams to the scores of the network, for
            n-grams of up to this many words (Joulin et al. 2017); 0 for none.
        buckets: Number of rows of the weights of n-grams, each with one weight per label. N-grams
            with the same hash share a row.
    """

    label_smoothing: LabelSmoothing
    class_weights: ClassWeights
    focal: Focus
    ngrams: Annotated[int, Bounds(ge=0, le=10), Default(0)]
    buckets: Annotated[PositiveInt, Default(2**16), Requires("ngrams")]


class Classifier(SingleLabelHead):
    """A sentence vector, dropout, and a linear layer with one score per label, or one for a number.

    For pairs, the hidden states have 2 B rows: all first sentences, then all second ones. The
    outputs have B rows, one per pair.

    With `ngrams`, the last S columns of the hidden states, beyond H, are the output of `bag`.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, for one label per sentence; a `LabelSet` for sets of labels; a
            `Number`; or `Pairs`, which wraps one of these for pairs of sentences.
        sentence_features: Width P of the vectors that `sentence` returns.
        dropout: Probability of dropping a unit of the sentence vector.
    """

    level = "sentence"
    objective: Objective
    pairs: ClassVar[bool] = True
    """Whether the head can compare two sentences."""
    recipe = ClassifierRecipe

    def __init__(
        self,
        in_features: int,
        labels: Labelling,
        sentence_features: int,
        dropout: float,
        **options: Unpack[ClassifierOptions],
    ) -> None:
        options = complete(ClassifierOptions, options)
        answers = labels.labels if isinstance(labels, Pairs) else labels
        objective = answers if isinstance(answers, Objective) else OneLabel(answers)
        single = isinstance(objective, OneLabel)
        super().__init__(
            in_features,
            objective.labels,
            label_smoothing=options["label_smoothing"],
            class_weights=options["class_weights"],
            focal=options["focal"],
            single=single,
        )
        self.objective = objective
        pairs = labels if isinstance(labels, Pairs) else None
        self.bag: NgramBag | None = None
        if options["ngrams"]:
            if pairs or self.adversarial:
                raise OptionError("ngrams", _NO_PAIRS if pairs else _NO_ADVERSARY)
            self.bag = NgramBag(options["ngrams"], options["buckets"], objective.size)
        self.comparison = Comparison(pairs.compare) if pairs else None
        if pairs and pairs.cross_attention and self.adversarial:
            raise OptionError("cross_attention", _NO_ADVERSARY)
        attends = pairs is not None and pairs.cross_attention
        self.cross_attention = CrossAttention(in_features) if attends else None
        self.dropout = nn.Dropout(dropout)
        factor = self.comparison.factor if self.comparison else 1
        self.output = nn.Linear(factor * sentence_features, objective.size)

    @classmethod
    def vocabularies(cls, options: Mapping[str, Any]) -> Sequence[type[Vocabulary]]:
        """Return the hashes of words, if there is a bag of n-grams."""
        return (HashVocabulary,) if options.get("ngrams") else ()

    @classmethod
    def accepts(cls, target: type[Target]) -> bool:
        """Return whether the target has one value per sentence, of any form."""
        return target.level == "sentence"

    @classmethod
    def from_options(cls, options: Mapping[str, Any], context: HeadContext) -> Self:
        """Return the classifier that a run file describes."""
        labels: Labelling = context.labels
        # These options belong to the comparison instead of the head, so no constructor has them.
        if context.pairs:
            assert not isinstance(context.labels, Pairs)
            compare = options.get("compare")
            labels = Pairs(
                context.labels,
                PARTS if compare is None else compare,
                bool(options.get("cross_attention")),
            )
        return super().from_options(options, replace(context, labels=labels))

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for options of pairs if the task has none, or the head is an adversary."""
        yield from super().check(options, context)
        for name in ("compare", "cross_attention"):
            if options.get(name) not in (None, False) and context.task not in context.pairs:
                yield OptionError(
                    name,
                    "the reader returns no pairs of sentences; set its `pair`, or leave this out",
                )
        for name in ("cross_attention", "ngrams"):
            if cls.adversarial and options.get(name):
                yield OptionError(name, _NO_ADVERSARY)
        if context.task in context.pairs and options.get("ngrams"):
            yield OptionError("ngrams", _NO_PAIRS)

    @property
    def reads_words(self) -> bool:
        """Whether there is a bag of n-grams."""
        return self.bag is not None

    @property
    def width(self) -> int:
        """Width of the input: H, and S for the scores of n-grams."""
        return self.in_features + (self.bag.size if self.bag else 0)

    def inputs(self, hidden: Tensor, embedded: EmbeddingOutput) -> Tensor:
        """Return the hidden states `[B, T, H]`, and beside them the output of `bag`, if any."""
        if self.bag is None:
            return hidden
        hashes = embedded.features[HashVocabulary.feature]
        return torch.cat([hidden, self.bag(hashes, embedded.gates)], dim=2)

    @abstractmethod
    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the vector of each sentence, `[B, P]`, from `[B, T, H]` and the mask `[B, T]`."""

    def scores(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the scores of each sentence, `[B, S]`: one per label, or one for a number.

        Raises:
            ValueError: The hidden states have another width than H.
        """
        return self.with_bag(
            self.scores_of(self.sentence(self.states(hidden, mask), mask)), hidden, mask
        )

    def with_bag(self, scores: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the scores `[B, S]` with the scores of the n-grams added, if there are any."""
        if self.bag is None:
            return scores
        return scores + self.bag.pool(hidden[..., self.in_features :], mask)

    def states(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the states that `sentence` reads, `[B, T, H]`.

        These are the hidden states, or for pairs the output of `CrossAttention`, if it is set.

        Raises:
            ValueError: The hidden states have another width than `width`.
        """
        check_width(hidden, self.width)
        hidden = hidden[..., : self.in_features]
        if self.cross_attention is None:
            return hidden
        outputs: Tensor = self.cross_attention(hidden, mask)[0]
        return outputs

    def scores_of(self, vectors: Tensor) -> Tensor:
        """Return the scores `[B, S]` from sentence vectors, `[B, P]` or for pairs `[2 B, P]`."""
        if self.comparison is not None:
            # Before dropout, or |u − v| would measure the difference of two dropout masks.
            vectors = self.comparison(vectors)
        scores: Tensor = self.output(self.dropout(vectors))
        return scores

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sentence in nats, `[B]`; for single labels the cross-entropy."""
        scores = self.scores(hidden, mask)
        check_labels("target", target, len(self.labels))
        return self.losses_of(scores, target)

    def losses_of(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sentence, `[B]`, from its scores `[B, S]`."""
        if isinstance(self.objective, OneLabel):
            return self.row_losses(scores, target)
        return self.objective.loss(scores, target)

    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the most likely label ids, `[B]`; sets of labels, `[B, K]`; or numbers, `[B]`."""
        return self.conclude(self.scores(hidden, mask))

    def log_probs(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the log-probability of every label, `[B, K]`."""
        return self.log_probs_from(self.scores(hidden, mask))

    def evidence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the scores, `[B, S]`; see `Head.evidence`."""
        return self.scores(hidden, mask)

    def conclude(self, evidence: Tensor) -> Tensor:
        """Return the predictions of `decode` for scores `[B, S]`."""
        return self.objective.decode(evidence)

    def log_probs_from(self, evidence: Tensor) -> Tensor:
        """Return the log-probabilities of `log_probs`, `[B, K]`, for scores `[B, S]`."""
        return self.objective.log_probs(evidence)

    def named(self, decoded: Tensor) -> Sequence[Answer]:
        """Return the output of `decode` as label names, sets of names, or numbers."""
        return self.objective.named(decoded)
