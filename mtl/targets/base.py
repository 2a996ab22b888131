"""The contract of targets: the form of the values of a task, and the known values.

Letters: B sentences, T tokens, S scores per sentence or token, K labels.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

import torch
from torch import Tensor

from mtl.errors import MtlError
from mtl.text.example import ABSENT

if TYPE_CHECKING:
    from mtl.targets.objectives import Objective
    from mtl.text.example import Labels, Values
    from mtl.text.spans import Scheme
    from mtl.text.vocabulary.words import WordVocabulary

Level: TypeAlias = Literal["token", "sentence"]

MISSING = -1
"""Id of a token or sentence without a label, or with a label that the training data lacks."""

UNLABELLED = (None, "", ABSENT, str(MISSING))
"""Values in files for tokens without a label; -1 is the missing class of `datasets`."""


def labelled(target: Tensor) -> Tensor:
    """Return a mask of the tokens `[B, T]` or sentences `[B]` with a gold value in a target tensor.

    The type of the tensor determines how a missing value looks, so no target object is needed:

    - int64 `[B, T]` or `[B]`, label ids: `MISSING`;
    - float `[B]`, `[B, S]` or `[B, T, S]`, values: NaN;
    - bool `[B, T, K]`, possible labels: all of them (nothing is known), or none (padding).
    """
    if target.dtype == torch.bool:
        return target.any(-1) & ~target.all(-1)
    if not target.is_floating_point():
        return target != MISSING
    return ~(target if target.ndim == 1 else target[..., 0]).isnan()


@dataclass(frozen=True)
class BuildContext:
    """The settings of a run that the values of a target may depend on.

    Args:
        scheme: The scheme of the head for span tags; None leaves tags as they are.
        words: The vocabulary of the embedding, for targets that predict words.
    """

    scheme: Scheme | None = None
    words: WordVocabulary | None = None


class Target(ABC):
    """The form of the values that a task predicts, and the values known from the training data.

    Class attributes and class methods describe the form, before any data has been read. An object
    is built from the gold values of the training data and is saved with the model.
    """

    name: ClassVar[str]
    """The name in saved models and in cached corpora."""
    noun: ClassVar[str]
    """The name of the values in messages, in the plural: "numbers per token"."""
    level: ClassVar[Level]
    """Whether each token or each sentence has a value."""
    values: ClassVar[Values] = "labels"
    """The kind of value, which decides the metrics that the task can use."""
    plain_labels: ClassVar[bool] = False
    """Whether each token or sentence has exactly one label out of a fixed list."""
    is_sequence: ClassVar[bool] = False
    """Whether a prediction is a sequence of labels out of a fixed list, one per token."""
    open_vocabulary: ClassVar[bool] = False
    """Whether the labels are the words of the text."""
    has_spans: ClassVar[bool] = False
    """Whether the labels may be span tags in a scheme."""
    has_items: ClassVar[bool] = False
    """Whether a string may contain several items, so that a separator is needed."""
    tuned: ClassVar[bool] = False
    """Whether decision thresholds are fitted to the development set."""
    json_type: ClassVar[Any] = Any
    """Type of the saved form. Files are checked against it before `from_json` reads them."""

    labels: tuple[str, ...] = ()
    """The K label names, in the order of their ids. Empty for numbers."""
    scheme: Scheme | None = None
    """The scheme of span tags."""

    # ---- from a file to a gold value

    @classmethod
    def accepts(cls, value: Any) -> bool:
        """Return whether a raw value has this form, for forms that exist at both levels."""
        return True

    @classmethod
    @abstractmethod
    def read(cls, value: Any, separator: str | None) -> Labels | None:
        """Return the gold value for a raw value of a record, or None if the value is missing.

        Args:
            value: A string, a list with one item per token, or a JSON value.
            separator: The separator of items inside a string.

        Raises:
            ValueError: The value does not have this form.
        """

    @classmethod
    @abstractmethod
    def pack(cls, gold: Labels) -> list[str]:
        """Return a gold value as strings, to be stored."""

    @classmethod
    @abstractmethod
    def unpack(cls, strings: Sequence[str]) -> Labels:
        """Return the gold value that `pack` stored."""

    @classmethod
    def informative(cls, gold: Labels) -> bool:
        """Return whether a gold value contains more than placeholders such as "_"."""
        return True

    @classmethod
    def names(cls, gold: Labels) -> Iterable[str]:
        """Return the label names in a gold value or prediction; empty for numbers."""
        return ()

    # ---- from gold values to tensors

    @classmethod
    @abstractmethod
    def build(cls, gold: Iterable[Labels], context: BuildContext) -> Self:
        """Collect the values of the training data.

        Args:
            gold: At least one gold value.
            context: Settings of the run.

        Raises:
            MtlError: The values cannot be learned.
        """

    @abstractmethod
    def tensor(self, gold: Sequence[Labels | None], tokens: int) -> Tensor:
        """Return the target tensor of a batch; `labelled` lists the forms of missing values.

        Args:
            gold: The gold value of each of B sentences, None where it is missing.
            tokens: The number T of tokens, padding included.
        """

    def labelling(self) -> Sequence[str] | Objective:
        """Return the `labels` argument of a head: K names, or an objective."""
        return self.labels

    def problem(self) -> str | None:
        """Return why nothing can be learned from the training data, or None."""
        return None

    def summary(self) -> str:
        """Return a short description for the plan of a run."""
        return f"{len(self.labels)} labels"

    # ---- from predictions to results

    def comparable(self, gold: Labels) -> Labels | None:
        """Return the gold value that a metric compares with predictions, None if there is none."""
        return gold

    def unseen(self, gold: Iterable[Labels]) -> Counter[str]:
        """Count the gold labels that do not occur in the training data."""
        return Counter()

    @classmethod
    def plain_item(cls, item: Any) -> Any:
        """Return the value of one sentence or token made of JSON types."""
        return item

    @classmethod
    @abstractmethod
    def item_text(cls, item: Any) -> str:
        """Return the value of one sentence or token on one line, for a person."""

    @classmethod
    @abstractmethod
    def plain(cls, value: Labels) -> Any:
        """Return a gold value or prediction made of JSON types."""

    @classmethod
    @abstractmethod
    def text(cls, value: Labels) -> str:
        """Return a gold value or prediction on one line, for a person."""

    @classmethod
    def confidence(cls, value: Any, probabilities: Mapping[str, float]) -> Any:
        """Return the confidence of the value of a sentence or of one token.

        Args:
            value: The prediction.
            probabilities: The probability of each label.

        Returns:
            A probability, the probability of each label of a set, or None.
        """
        return None

    # ---- saving

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, without the type."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Any) -> Self:
        """Make a target from the result of `to_json`, which has the type `json_type`."""

    def __len__(self) -> int:
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.to_json() == self.to_json()

    def __hash__(self) -> int:
        return hash((self.name, json.dumps(self.to_json(), sort_keys=True)))


class TokenTarget(Target):
    """A target with one value per token. A gold value is a tuple as long as the sentence."""

    level: ClassVar[Level] = "token"

    @staticmethod
    def items(value: Labels) -> tuple[Any, ...]:
        """Return the values of the tokens, after a check that there is one per token."""
        if not isinstance(value, tuple):
            raise MtlError(f"expected one value per token, got {value!r}")
        return value

    @staticmethod
    def known(items: Iterable[Any]) -> tuple[Any, ...] | None:
        """Return values of tokens as a gold value, or None if no token has a value."""
        values = tuple(items)
        return values if any(item is not None for item in values) else None

    @classmethod
    def plain(cls, value: Labels) -> list[Any]:
        """Return a list with one JSON value per token."""
        return [cls.plain_item(item) for item in cls.items(value)]

    @classmethod
    def text(cls, value: Labels) -> str:
        """Return the values of the tokens with blanks between."""
        return " ".join(map(cls.item_text, cls.items(value)))


class SentenceTarget(Target):
    """A target with one value per sentence, or per pair of sentences."""

    level: ClassVar[Level] = "sentence"

    @classmethod
    def plain(cls, value: Labels) -> Any:
        """Return the value made of JSON types."""
        return cls.plain_item(value)

    @classmethod
    def text(cls, value: Labels) -> str:
        """Return the value on one line."""
        return cls.item_text(value)


def per_token(value: Any, expected: str) -> list[Any]:
    """Return the raw values of the tokens; None and an empty string are an empty list.

    Raises:
        ValueError: The value is not a list; the message names `expected`.
    """
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        raise ValueError(f"expected {expected}, found {value!r}")
    return value


def pad_tokens(rows: Iterable[Sequence[Any] | None], tokens: int, missing: Any) -> list[Any]:
    """Return rows of T items each, padded on the right with `missing`."""
    return [[*(row or ()), *[missing] * (tokens - len(row or ()))] for row in rows]
