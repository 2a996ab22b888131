"""The contract of heads. Letters: B sentences, T tokens, H width of the hidden states, K labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from mtl.heads.pairs import Labelling
from mtl.layers.imitation import imitation_loss
from mtl.options import Checked, constructor_options
from mtl.targets.base import Target
from mtl.targets.objectives import Answer
from mtl.targets.words import NextWordTarget
from mtl.text.spans import Scheme

if TYPE_CHECKING:
    from mtl.embeddings.base import EmbeddingOutput
    from mtl.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class HeadContext:
    """The inputs of a head that do not come from its options.

    Args:
        in_features: Width H of the hidden states.
        labels: The label names, or the objective for sets of labels or numbers.
        scheme: The scheme of the labels if they are span tags, else None.
        pairs: Whether the task compares two sentences.
        word_table: `[V, D]`, the input vectors of the words, for output layers that share them;
            None if the embedding has no such table.
    """

    in_features: int
    labels: Labelling
    scheme: Scheme | None = None
    pairs: bool = False
    word_table: nn.Parameter | None = None


class Head(Checked, nn.Module, ABC):
    """Predicts labels from hidden states. Results do not depend on padding or the rest of a batch.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, in the order of their ids.
    """

    level: ClassVar[Literal["token", "sentence"]]
    """Whether the head predicts one label per token or one per sentence."""
    adversarial: ClassVar[bool] = False
    """Whether the trunk is trained to make the head fail, so a high score is not a goal."""
    reads_temperature: ClassVar[bool] = True
    """Whether `imitation` depends on its temperature."""
    attention_option: ClassVar[str | None] = None
    """The option that enables attention; None if the head always has attention, or never."""

    def __init__(self, in_features: int, labels: Sequence[str]) -> None:
        super().__init__()
        self.in_features = in_features
        self.labels = tuple(labels)

    @classmethod
    def vocabularies(cls, options: Mapping[str, Any]) -> Sequence[type[Vocabulary]]:
        """Return the vocabularies of the features of words that `inputs` reads."""
        return ()

    @property
    def reads_words(self) -> bool:
        """Whether `inputs` appends columns that depend on words.

        If so, prediction embeds whole sentences, instead of each distinct word once.
        """
        return False

    @property
    def width(self) -> int:
        """Width of the input: H, and the number of columns that `inputs` appends."""
        return self.in_features

    def inputs(self, hidden: Tensor, embedded: EmbeddingOutput) -> Tensor:
        """Return the input of all other methods, `[B, T, width]`: by default, the hidden states.

        Args:
            hidden: The hidden states of words, `[B, T, H]`.
            embedded: The output of the embedding, with the features of the words.
        """
        return hidden

    @classmethod
    def accepts(cls, target: type[Target]) -> bool:
        """Return whether the head can learn targets of this form.

        By default, a head accepts single labels: one per token or one per sentence, see `level`.
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
        # Only language models can share the input vectors, so other heads have no such argument.
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

        In training, the loss may include regularisers: a penalty per sentence, label smoothing or
        class weights. In evaluation it does not.

        Args:
            hidden: `[B, T, H]`, finite also on padding.
            mask: `[B, T]` bool, True on real tokens, which come first.
            target: Label ids, int64: `[B, T]` (taggers; ignored on padding, −1 for tokens without
                a label) or `[B]`. For sets of labels and numbers, the objective defines the form.
        """

    @abstractmethod
    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the most likely label ids: `[B, T]` (taggers; 0 on padding) or `[B]`."""

    @abstractmethod
    def log_probs(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return log-probabilities: `[B, T, K]` (marginals; zero on padding) or `[B, K]`."""

    def sample(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return random label ids: `[B, T]` (taggers; 0 on padding) or `[B]`.

        By default, each token gets a label by its own probability; heads whose labels depend on
        each other draw whole sequences if they can.

        Args:
            hidden: `[B, T, H]`, finite also on padding.
            mask: `[B, T]` bool, True on real tokens, which come first.
        """
        chances = self.log_probs(hidden, mask).exp()
        drawn = torch.multinomial(chances.flatten(0, -2), 1).view(chances.shape[:-1])
        return drawn.masked_fill(~mask, 0) if drawn.ndim == 2 else drawn

    def imitation(
        self, hidden: Tensor, mask: Tensor, teacher: Tensor, temperature: float
    ) -> Tensor:
        """Return the loss of each sentence that imitates a teacher, in nats, `[B]`.

        By default T² · KL(teacher ‖ student) at temperature T, summed over the tokens of taggers
        (Hinton et al. 2015); for T = ∞ half the mean squared distance of the centred logits.

        Args:
            hidden: `[B, T, H]`, finite also on padding.
            mask: `[B, T]` bool, True on real tokens, which come first.
            teacher: The log-probabilities of the teacher: `[B, T, K]` (taggers; any finite values
                on padding) or `[B, K]`.
            temperature: T.
        """
        losses = imitation_loss(self.log_probs(hidden, mask), teacher, temperature)
        return losses if losses.ndim == 1 else losses.masked_fill(~mask, 0).sum(1)

    def attention_weights(self, hidden: Tensor, mask: Tensor) -> Tensor | None:
        """Return attention weights, which sum to one over tokens and are zero on padding.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.

        Returns:
            `[B, N, T]` if the head computes N weighted means per sentence; `[B, N, T, T]` if each
            token attends to all tokens with N sets of weights; None if it has no attention.
        """
        return None

    # ---- windows of long documents, for heads with one label per sentence
    #
    # A document that is longer than a window gets one label: the logits of its windows are averaged
    # before they are decoded. So computing logits and decoding them are separate methods.

    def evidence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the logits of each window, `[B, S]`; those are averaged over a document."""
        return self.log_probs(hidden, mask)

    def conclude(self, evidence: Tensor) -> Tensor:
        """Return the predictions of `decode` for logits `[B, S]`."""
        return evidence.argmax(1)

    def log_probs_from(self, evidence: Tensor) -> Tensor:
        """Return the log-probabilities of `log_probs`, `[B, K]`, for logits `[B, S]`."""
        return evidence.log_softmax(1)

    def named(self, decoded: Tensor) -> Sequence[Answer]:
        """Return the output of `decode` as label names, or as the user writes other values."""
        return [self.labels[i] for i in decoded.tolist()]
