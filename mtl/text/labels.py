"""Numbering of the labels of a task."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self, TypeAlias

from mtl.errors import MtlError
from mtl.text.example import Labels, of_tokens
from mtl.text.spans import OUTSIDE, PREFIXES, Scheme, convert, join_tag, parse_tag
from mtl.text.vocabulary import WordVocabulary

Level: TypeAlias = Literal["token", "sentence"]

UNSEEN = -1
"""Number of a label that training never saw. No target of training has it."""

Target: TypeAlias = "list[int] | int | list[float] | float"
"""What a head learns: a number a label; a row of ones and zeros for a set; a number itself."""


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

    @property
    def missing(self) -> Target:
        """The target of a sentence that has no labels."""
        return UNSEEN

    def __len__(self) -> int:
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelVocabulary) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.labels, self.level, self.scheme))

    def read(self, labels: Labels) -> Labels:
        """Return the labels for which those of the data stand: as a rule, the same."""
        return labels

    def encode(self, labels: Labels) -> Target:
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
        sequence = _sequence(self.read(labels), self.level)
        return convert(sequence, self.scheme) if self.scheme else sequence

    def to_json(self) -> Any:
        """Return what `from_json` needs, made of JSON types."""
        return {"labels": list(self.labels), "level": self.level, "scheme": self.scheme}

    @classmethod
    def from_json(cls, data: Any) -> LabelVocabulary:
        """Make the vocabulary from what `to_json` gave."""
        if "words" in data:
            return WordLabels(WordVocabulary.from_json(data["words"]))
        if "bins" in data:
            return FrequencyBins(data["bins"])
        if "sets" in data:
            return LabelSets(data["sets"])
        if "mean" in data:
            return Numbers(data["mean"], data["scale"])
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
        return [self.vocabulary.encode(word)[0] for word in of_tokens(labels)]

    def unseen(self, sequences: Iterable[Labels]) -> Counter[str]:
        """Return nothing: every word has a number."""
        return Counter()

    def to_json(self) -> Any:
        """Return what `from_json` needs, made of JSON types."""
        return {"words": self.vocabulary.to_json()}


class FrequencyBins(LabelVocabulary):
    """How frequent words are in the training text: ⌊ln count⌋ (Plank et al. 2016).

    >>> bins = FrequencyBins.of([("the", "the"), ("the", "cat")])
    >>> bins.labels, bins.read(("the", "cat", "dog"))
    (('0', '1'), ('1', '0', '0'))

    Args:
        bins: Word to bin. A word that is not there is in bin 0, as those are that occur once or
            twice: an unknown word is a rare one.
    """

    def __init__(self, bins: Mapping[str, int]) -> None:
        super().__init__(map(str, range(1 + max(bins.values(), default=0))), level="token")
        self.bins = dict(bins)

    @classmethod
    def of(cls, sentences: Iterable[Labels]) -> FrequencyBins:
        """Count the words of the training text."""
        counts = Counter(word for words in sentences for word in of_tokens(words))
        bins = {word: int(math.log(count)) for word, count in counts.items()}
        return cls({word: number for word, number in bins.items() if number})

    def read(self, labels: Labels) -> tuple[str, ...]:
        """Return the bin of each word."""
        return tuple(str(self.bins.get(word, 0)) for word in of_tokens(labels))

    def to_json(self) -> Any:
        """Return what `from_json` needs, made of JSON types."""
        return {"bins": self.bins}


class LabelSets(LabelVocabulary):
    """The labels of sentences of which each has a set, which may be empty.

    >>> LabelSets(["a", "b"]).encode(frozenset(["b", "new"]))
    [0.0, 1.0]

    Args:
        labels: The labels; sorted here.
    """

    def __init__(self, labels: Iterable[str]) -> None:
        super().__init__(labels, level="sentence")

    @property
    def missing(self) -> list[float]:
        """The target of a sentence of which no set is known."""
        return [math.nan] * len(self)

    def encode(self, labels: Labels) -> list[float]:
        """Return 1 for each label in the set, 0 for each other one; new labels have no place."""
        found = _set(labels)
        return [float(label in found) for label in self.labels]

    def unseen(self, sequences: Iterable[Labels]) -> Counter[str]:
        """Count the labels that training never saw."""
        return Counter(
            label for labels in sequences for label in _set(labels) if label not in self._index
        )

    def to_json(self) -> Any:
        """Return what `from_json` needs, made of JSON types."""
        return {"sets": list(self.labels)}


class Numbers(LabelVocabulary):
    """Sentences with a number each: mean and deviation of those of the training data.

    Args:
        mean: The mean.
        scale: The standard deviation, 1 where all numbers are the same.
    """

    def __init__(self, mean: float, scale: float) -> None:
        super().__init__((), level="sentence")
        self.mean = mean
        self.scale = scale

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Numbers:
        """Measure numbers, at least one.

        >>> found = Numbers.of([1.0, 3.0])
        >>> found.mean, found.scale
        (2.0, 1.0)
        """
        mean = math.fsum(numbers) / len(numbers)
        variance = math.fsum((number - mean) ** 2 for number in numbers) / len(numbers)
        return cls(mean, math.sqrt(variance) or 1.0)

    @property
    def missing(self) -> float:
        """The target of a sentence without a number."""
        return math.nan

    def encode(self, labels: Labels) -> float:
        """Return the number as it is."""
        if not isinstance(labels, float):
            raise MtlError(f"expected a number a sentence, got {labels!r}")
        return labels

    def unseen(self, sequences: Iterable[Labels]) -> Counter[str]:
        """Return nothing: no number is new."""
        return Counter()

    def to_json(self) -> Any:
        """Return what `from_json` needs, made of JSON types."""
        return {"mean": self.mean, "scale": self.scale}


def _sequence(labels: Labels, level: Level) -> Sequence[str]:
    """Return the labels as a sequence, of one for a sentence."""
    if level == "sentence" and isinstance(labels, str):
        return (labels,)
    if level == "token" and isinstance(labels, tuple):
        return labels
    wanted = "one label a sentence" if level == "sentence" else "one label a token"
    raise MtlError(f"expected {wanted}, got {labels!r}")


def _set(labels: Labels) -> frozenset[str]:
    if not isinstance(labels, frozenset):
        raise MtlError(f"expected a set of labels a sentence, got {labels!r}")
    return labels
