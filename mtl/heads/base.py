"""The contract of heads. Letters: B sentences, T tokens, H width of the hidden states, K labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn

from mtl.heads.pairs import Labelling
from mtl.options import Checked, constructor_options
from mtl.targets.base import Target
from mtl.targets.objectives import Answer
from mtl.targets.words import NextWordTarget
from mtl.text.spans import Scheme


@dataclass(frozen=True)
class HeadContext:
    """The inputs of a head that do not come from its options.

    Args:
        in_features: Width H of the hidden states.
        labels: The label names, or the objective for sets of labels or numbers.
        scheme: The scheme of the labels, if they are span tags.
        pairs: Whether the task compares two sentences.
        word_table: `[V, D]`, the vectors with which the model reads words; None if the embedding
            has no such table.
    """

    in_features: int
    labels: Labelling
    scheme: Scheme | None = None
    pairs: bool = False
    word_table: nn.Parameter | None = None


class Head(Checked, nn.Module, ABC):
    """Turns hidden states into labels. Every result is independent of padding and of neighbours.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names; ids count along them.
    """

    level: ClassVar[Literal["token", "sentence"]]
    """Whether there is one label a token or one a sentence."""
    adversarial: ClassVar[bool] = False
    """Whether the trunk learns against the head, so that the task's score is not to be high."""
    attention_option: ClassVar[str | None] = None
    """The option without which the head has no attention; None: it always has or never has."""

    def __init__(self, in_features: int, labels: Sequence[str]) -> None:
        super().__init__()
        self.in_features = in_features
        self.labels = tuple(labels)

    @classmethod
    def accepts(cls, target: type[Target]) -> bool:
        """Return whether the head can learn targets of this form.

        By default these are single labels, one per token or one per sentence as `level` says.
        """
        return target.level == cls.level and target.plain_labels

    @classmethod
    def from_options(cls, options: Mapping[str, Any], context: HeadContext) -> Self:
        """Return the head that a run file describes.

        Args:
            options: All options, recipe included.
            context: The inputs that do not come from options.

        Raises:
            OptionError: An option does not fit the labels.
        """
        supplied: list[Any] = [context.in_features, context.labels]
        if cls.accepts(NextWordTarget):
            supplied.append(context.word_table)
        return cls(*supplied, **constructor_options(cls, options))

    @classmethod
    def tag_scheme(cls, options: Mapping[str, Any]) -> Scheme | None:
        """Return the scheme in which the head learns span tags; None: the scheme of the corpus."""
        return None

    @abstractmethod
    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the negative log-likelihood of each sentence in nats, `[B]`.

        In training, regularisers may be in it: a penalty a sentence, smoothing, weights. In
        evaluation there are none.

        Args:
            hidden: `[B, T, H]`, finite also on padding.
            mask: `[B, T]` bool, True on real tokens, which come first.
            target: Label ids, int64: `[B, T]` (taggers; ignored on padding) or `[B]`. Of sentences
                that have sets of labels or numbers what their objective says.
        """

    @abstractmethod
    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the most likely label ids: `[B, T]` (taggers; 0 on padding) or `[B]`."""

    @abstractmethod
    def log_probs(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return log-probabilities: `[B, T, K]` (marginals; zero on padding) or `[B, K]`."""

    def attention_weights(self, hidden: Tensor, mask: Tensor) -> Tensor | None:
        """Return where the head looks: weights that sum to one over tokens, zero on padding.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.

        Returns:
            `[B, N, T]`, if it makes N means of a sentence; `[B, N, T, T]`, if each token looks at
            the tokens in N ways; None if it has no attention.
        """
        return None

    # ---- long texts, of heads whose labels belong to sentences

    def evidence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return what a piece of a text says of the whole, `[B, S]`; the mean of pieces counts."""
        return self.log_probs(hidden, mask)

    def conclude(self, evidence: Tensor) -> Tensor:
        """Return what `decode` does, given `evidence`."""
        return evidence.argmax(1)

    def log_probs_from(self, evidence: Tensor) -> Tensor:
        """Return what `log_probs` does, `[B, K]`, given `evidence`."""
        return evidence.log_softmax(1)

    def named(self, decoded: Tensor) -> Sequence[Answer]:
        """Return what `decode` gave, in the words of a user."""
        return [self.labels[i] for i in decoded.tolist()]
