"""One label per token or per sentence, out of a fixed list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from typing_extensions import TypedDict

from mtl.errors import MtlError
from mtl.targets.base import (
    MISSING,
    BuildContext,
    SentenceTarget,
    Target,
    TokenTarget,
)
from mtl.text.example import ABSENT, Labels
from mtl.text.spans import OUTSIDE, PREFIXES, Scheme, convert_known, join_tag, parse_tag


class LabelsJson(TypedDict):
    """The saved form of a target with a list of labels."""

    labels: list[str]


class TagsJson(LabelsJson):
    """The saved form of a target whose labels may be span tags."""

    scheme: Scheme | None


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return labels in a fixed order: O first, the others alphabetically.

    The order does not depend on the data files. So tasks with the same labels can share a head,
    and models that were trained separately agree.
    """
    return tuple(sorted(set(labels), key=lambda label: (label != OUTSIDE, label)))


class ListedTarget(Target):
    """The shared part of targets whose labels come from a fixed list.

    Args:
        labels: The label names; sorted here.
    """

    json_type: ClassVar[Any] = LabelsJson

    def __init__(self, labels: Iterable[str]) -> None:
        self.labels = in_order(labels)
        self._index = {label: i for i, label in enumerate(self.labels)}

    @classmethod
    def build(cls, gold: Iterable[Labels], context: BuildContext) -> Self:
        """Collect the labels of the training data."""
        return cls(label for value in gold for label in cls.names(value))

    def unseen(self, gold: Iterable[Labels]) -> Counter[str]:
        """Count the labels that do not occur in the training data.

        >>> TokenLabelTarget(["a"]).unseen([("a", "b"), ("b",)])
        Counter({'b': 2})
        """
        labels = (label for value in gold for label in self._sequence(value) if label is not None)
        return Counter(label for label in labels if label not in self._index)

    def _sequence(self, gold: Labels) -> Sequence[str | None]:
        """Return the labels of a gold value as the head learns them; None where it has none."""
        return tuple(self.names(gold))

    def to_json(self) -> dict[str, Any]:
        """Return the labels."""
        return {"labels": list(self.labels)}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the target from its labels."""
        return cls(_not_empty(data["labels"]))


class LabelTarget(ListedTarget):
    """The shared part of `TokenLabelTarget` and `SentenceLabelTarget`.

    Args:
        labels: The label names; sorted here.
    """

    plain_labels: ClassVar[bool] = True

    def encode(self, gold: Labels) -> list[int]:
        """Return the id of each label; `MISSING` for none, and for unknown labels.

        >>> TokenLabelTarget(["a"]).encode(("a", None, "b"))
        [0, -1, -1]
        """
        index = self._index.get
        return [MISSING if x is None else index(x, MISSING) for x in self._sequence(gold)]

    def decode(self, ids: Iterable[int]) -> tuple[str, ...]:
        """Return the labels with these ids."""
        return tuple(self.labels[i] for i in ids)

    @classmethod
    def item_text(cls, item: Any) -> str:
        """Return the label, or "_" for a token without one."""
        return ABSENT if item is None else str(item)

    @classmethod
    def confidence(cls, value: Any, probabilities: Mapping[str, float]) -> float:
        """Return the probability of the label."""
        return probabilities[value]


class SentenceLabelTarget(LabelTarget, SentenceTarget):
    """One label per sentence.

    >>> SentenceLabelTarget(["yes", "no"]).encode("maybe")
    [-1]
    """

    name: ClassVar[str] = "sentence_label"
    noun: ClassVar[str] = "labels"

    @classmethod
    def accepts(cls, value: Any) -> bool:
        """Return whether the value is one string."""
        return isinstance(value, str)

    @classmethod
    def read(cls, value: Any, separator: str | None) -> str | None:
        """Return the label; an empty string is not a label."""
        if value is not None and not isinstance(value, str):
            raise ValueError(f"expected one label per sentence, found {value!r}")
        return value or None

    @classmethod
    def pack(cls, gold: Labels) -> list[str]:
        """Return a list of the label."""
        return [*cls.names(gold)]

    @classmethod
    def unpack(cls, strings: Sequence[str]) -> str:
        """Return the label."""
        return strings[0]

    @classmethod
    def informative(cls, gold: Labels) -> bool:
        """Return whether the label is not "_"."""
        return gold != ABSENT

    @classmethod
    def names(cls, gold: Labels) -> Iterable[str]:
        """Return the label."""
        if not isinstance(gold, str):
            raise MtlError(f"expected one label per sentence, got {gold!r}")
        return (gold,)

    def tensor(self, gold: Sequence[Labels | None], tokens: int) -> Tensor:
        """Return label ids, int64 `[B]`."""
        return torch.tensor([MISSING if value is None else self.encode(value)[0] for value in gold])


class TokenLabelTarget(LabelTarget, TokenTarget):
    """One label per token, which may be span tags in a scheme; tokens may lack one.

    >>> TokenLabelTarget.read(["DET", None], None)
    ('DET', None)

    Args:
        labels: The label names, in the scheme if there is one; sorted here.
        scheme: The scheme that span tags are converted to; None leaves labels as they are.
    """

    name: ClassVar[str] = "token_labels"
    json_type: ClassVar[Any] = TagsJson
    noun: ClassVar[str] = "labels"
    is_sequence: ClassVar[bool] = True
    has_spans: ClassVar[bool] = True

    def __init__(self, labels: Iterable[str], *, scheme: Scheme | None = None) -> None:
        super().__init__(labels)
        self.scheme = scheme

    @classmethod
    def accepts(cls, value: Any) -> bool:
        """Return whether the value is a list of strings."""
        return isinstance(value, list)

    @classmethod
    def read(cls, value: Any, separator: str | None) -> Labels | None:
        """Return a label per token; None and an empty string are missing values."""
        if value is None or value == "":
            return None
        if not isinstance(value, list) or not all(x is None or isinstance(x, str) for x in value):
            message = f"expected one label per token, found {value!r}"
            if isinstance(value, list) and all(map(_is_span, value)):
                message += "; write a tag per word, such as B-PER, in place of spans of words"
            raise ValueError(message)
        # An empty list is kept: it is an error unless the sentence is empty too.
        return cls.known(item or None for item in value) if value else ()

    @classmethod
    def pack(cls, gold: Labels) -> list[str]:
        """Return the labels, with an empty string where one is missing."""
        return [item or "" for item in cls.items(gold)]

    @classmethod
    def unpack(cls, strings: Sequence[str]) -> Labels:
        """Return the labels."""
        # Most sentences lack no label, and then no call per token is needed.
        return tuple(strings) if "" not in strings else tuple(item or None for item in strings)

    @classmethod
    def informative(cls, gold: Labels) -> bool:
        """Return whether any label is not "_"."""
        return any(label != ABSENT for label in cls.names(gold))

    @classmethod
    def names(cls, gold: Labels) -> Sequence[str]:
        """Return the labels of the tokens that have one."""
        if not isinstance(gold, tuple):
            raise MtlError(f"expected one label per token, got {gold!r}")
        labels: Any = gold  # items are checked when they are read
        return labels if None not in labels else [item for item in labels if item is not None]

    @classmethod
    def build(cls, gold: Iterable[Labels], context: BuildContext) -> Self:
        """Collect the labels of the training data.

        With a scheme, each span type has all its tags, also tags that training lacks.

        >>> TokenLabelTarget.build([("O", "I-PER")], BuildContext(scheme="bio")).labels
        ('O', 'B-PER', 'I-PER')

        Raises:
            MtlError: There is a scheme, and a label is not a span tag.
        """
        labels = {label for value in gold for label in cls.names(value)}
        return cls(_all_tags(labels, context.scheme), scheme=context.scheme)

    def _sequence(self, gold: Labels) -> Sequence[str | None]:
        labels = self.items(gold)
        return convert_known(labels, self.scheme) if self.scheme else labels

    def tensor(self, gold: Sequence[Labels | None], tokens: int) -> Tensor:
        """Return label ids, int64 `[B, T]`, `MISSING` for tokens without a label."""
        target = torch.full((len(gold), tokens), MISSING)
        for row, value in enumerate(gold):
            if value is not None:
                ids = self.encode(value)
                target[row, : len(ids)] = torch.tensor(ids, dtype=torch.long)
        return target

    @classmethod
    def plain(cls, value: Labels) -> list[Any]:
        """Return a list of the labels."""
        # Without a call per token: lists of labels are the most frequent result.
        return list(cls.items(value))

    def to_json(self) -> dict[str, Any]:
        """Return labels and scheme."""
        return {"labels": list(self.labels), "scheme": self.scheme}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the target from labels and scheme."""
        return cls(_not_empty(data["labels"]), scheme=data["scheme"])


def _not_empty(labels: list[str]) -> list[str]:
    """Return labels that were saved.

    Raises:
        ValueError: There are none, so that a head could predict nothing.
    """
    if not labels:
        raise ValueError("expected at least one label")
    return labels


def _all_tags(labels: set[str], scheme: Scheme | None) -> Iterable[str]:
    if not scheme:
        return labels
    types = {parse_tag(label)[1] for label in labels - {OUTSIDE}}
    return {OUTSIDE, *(join_tag(prefix, kind) for kind in types for prefix in PREFIXES[scheme])}


def _is_span(value: Any) -> bool:
    """Return whether a value is a span such as `["0", "2", "PER"]`."""
    return isinstance(value, list) and len(value) == 3 and all(str(n).isdigit() for n in value[:2])
