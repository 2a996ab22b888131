"""Numbering of the labels of a task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Self, TypeAlias

from mtl.errors import MtlError
from mtl.text.example import Labels
from mtl.text.spans import OUTSIDE, PREFIXES, Scheme, convert, join_tag, parse_tag
from mtl.text.vocabulary import WordVocabulary

Level: TypeAlias = Literal["token", "sentence"]

UNSEEN = -1
"""Number of a label that training never saw. No target of training has it."""


class LabelVocabulary:
    """The labels of a task in a fixed order: O first, then by alphabet.

    The order does not depend on that of the files, so that tasks with the same labels can share
    a head, and models trained apart agree.

    Args:
        labels: The labels in the scheme; sorted here.
        level: Whether there is one label a token or one a sentence.
        scheme: The scheme into which span tags are turned, or None: labels stay as they are.
    """

    def __init__(
        self, labels: Iterable[str], *, level: Level, scheme: Scheme | None = None
    ) -> None:
        if scheme and level != "token":
            raise MtlError(f"the scheme {scheme} needs one label a token, got one a sentence")
        self.labels = tuple(sorted(set(labels), key=lambda label: (label != OUTSIDE, label)))
        self.level = level
        self.scheme = scheme
        self._index = {label: number for number, label in enumerate(self.labels)}

    @classmethod
    def build(
        cls, sequences: Iterable[Labels], *, level: Level, scheme: Scheme | None = None
    ) -> Self:
        """Collect the labels of the training text.

        With a scheme, a type that occurs has all its tags, also those that training lacks.

        >>> LabelVocabulary.build([("O", "I-PER")], level="token", scheme="bio").labels
        ('O', 'B-PER', 'I-PER')

        Args:
            sequences: The labels of each sentence, span tags in any scheme.
            level: Whether there is one label a token or one a sentence.
            scheme: The scheme of the head, or None: labels stay as they are.

        Raises:
            MtlError: A scheme is asked for, and a label is no span tag.
        """
        found: set[str] = set()
        for labels in sequences:
            found.update(_sequence(labels, level))
        if scheme:
            types = {parse_tag(label)[1] for label in found - {OUTSIDE}}
            tags = (join_tag(prefix, kind) for kind in types for prefix in PREFIXES[scheme])
            found = {OUTSIDE, *tags}
        return cls(found, level=level, scheme=scheme)

    def __len__(self) -> int:
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelVocabulary) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.labels, self.level, self.scheme))

    def encode(self, labels: Labels) -> list[int] | int:
        """Return the number of each label, or of the sentence's; `UNSEEN` for new ones.

        >>> LabelVocabulary.build(["yes", "no"], level="sentence").encode("maybe")
        -1
        """
        numbers = [self._index.get(label, UNSEEN) for label in self._normal(labels)]
        return numbers if self.level == "token" else numbers[0]

    def decode(self, numbers: Sequence[int] | int) -> Labels:
        """Return the labels that have these numbers, in the scheme of the vocabulary."""
        if isinstance(numbers, int):
            return self.labels[numbers]
        return tuple(self.labels[number] for number in numbers)

    def unseen(self, sequences: Iterable[Labels]) -> Counter[str]:
        """Count the labels that `encode` does not know, by label (in the scheme).

        >>> LabelVocabulary(["a"], level="token").unseen([("a", "b"), ("b",)])
        Counter({'b': 2})
        """
        return Counter(
            label
            for labels in sequences
            for label in self._normal(labels)
            if label not in self._index
        )

    def _normal(self, labels: Labels) -> Sequence[str]:
        sequence = _sequence(labels, self.level)
        return convert(sequence, self.scheme) if self.scheme else sequence

    def to_json(self) -> Any:
        """Return what `from_json` needs, made of JSON types."""
        return {"labels": list(self.labels), "level": self.level, "scheme": self.scheme}

    @classmethod
    def from_json(cls, data: Any) -> LabelVocabulary:
        """Make the vocabulary from what `to_json` gave."""
        if "words" in data:
            return WordLabels(WordVocabulary.from_json(data["words"]))
        return cls(data["labels"], level=data["level"], scheme=data["scheme"])


class WordLabels(LabelVocabulary):
    """Labels that are words, as those of language models: the words of a vocabulary, in its order.

    >>> labels = WordLabels(WordVocabulary.build({"a": 2, "b": 1}))
    >>> labels.labels, labels.encode(("b", "c"))
    (('<pad>', '<unk>', 'a', 'b'), [3, 1])

    Args:
        vocabulary: The vocabulary. A word that it does not know is its unknown word.
    """

    def __init__(self, vocabulary: WordVocabulary) -> None:
        super().__init__((), level="token")
        self.labels = tuple(vocabulary.words)
        self.vocabulary = vocabulary

    def encode(self, labels: Labels) -> list[int]:
        """Return the number of each word."""
        return [self.vocabulary.encode(word)[0] for word in labels]

    def unseen(self, sequences: Iterable[Labels]) -> Counter[str]:
        """Return nothing: every word has a number."""
        return Counter()

    def to_json(self) -> Any:
        """Return what `from_json` needs, made of JSON types."""
        return {"words": self.vocabulary.to_json()}


def _sequence(labels: Labels, level: Level) -> Sequence[str]:
    """Return the labels as a sequence, of one for a sentence."""
    if isinstance(labels, str) != (level == "sentence"):
        wanted = "one label a sentence" if level == "sentence" else "one label a token"
        raise MtlError(f"expected {wanted}, got {labels!r}")
    return (labels,) if isinstance(labels, str) else labels
