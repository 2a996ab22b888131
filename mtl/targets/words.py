"""Targets that follow from the words of the text: neighbouring words, and word frequencies."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from typing_extensions import TypedDict

from mtl.options import Bounds
from mtl.targets.base import MISSING, BuildContext
from mtl.targets.label import TokenLabelTarget
from mtl.text.example import Labels, Values
from mtl.text.vocabulary.words import WordsJson, WordVocabulary


class NextWordJson(TypedDict):
    """The saved form of `NextWordTarget`."""

    words: WordsJson


class FrequencyJson(TypedDict):
    """The saved form of `FrequencyTarget`; no count is so large that its logarithm exceeds 64."""

    bins: dict[str, Annotated[int, Bounds(ge=0, le=64)]]


class NextWordTarget(TokenLabelTarget):
    """A word per token: the next, the previous or the same word, for language models.

    The labels are the words of a vocabulary, in its order. An unknown word has the id of the
    unknown word, and so has a word that the training text lacks.

    >>> target = NextWordTarget(WordVocabulary.build({"a": 2, "b": 1}))
    >>> target.labels, target.encode(("b", "c"))
    (('<pad>', '<unk>', 'a', 'b'), [3, 1])

    Args:
        vocabulary: The words of the embedding whose vectors are trained.
    """

    name: ClassVar[str] = "words"
    json_type: ClassVar[Any] = NextWordJson
    noun: ClassVar[str] = "words of the text"
    values: ClassVar[Values] = "log_probs"
    plain_labels: ClassVar[bool] = False
    is_sequence: ClassVar[bool] = False
    open_vocabulary: ClassVar[bool] = True
    has_spans: ClassVar[bool] = False

    def __init__(self, vocabulary: WordVocabulary) -> None:
        super().__init__(())
        # Not sorted: ids must equal the ids of the embedding, whose vectors the output may share.
        self.labels = tuple(vocabulary.words)
        self.vocabulary = vocabulary

    @classmethod
    def build(cls, gold: Iterable[Labels], context: BuildContext) -> Self:
        """Make the target from the words of the embedding."""
        assert context.words is not None
        return cls(context.words.trained_words())

    def encode(self, gold: Labels) -> list[int]:
        """Return the id of each word; `MISSING` for a token without one."""
        encode = self.vocabulary.encode
        return [MISSING if word is None else encode(word)[0] for word in self.items(gold)]

    def unseen(self, gold: Iterable[Labels]) -> Counter[str]:
        """Return an empty count: each word has an id."""
        return Counter()

    def to_json(self) -> dict[str, Any]:
        """Return the vocabulary."""
        return {"words": self.vocabulary.to_json()}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the target from a vocabulary."""
        return cls(WordVocabulary.from_json(data["words"]))


class FrequencyTarget(TokenLabelTarget):
    """The frequency of each word in the training text, ⌊ln count⌋ (Plank et al. 2016).

    A gold value holds the words themselves, since counts are known only after reading all text.

    >>> target = FrequencyTarget.build([("the", "the"), ("the", "cat")], BuildContext())
    >>> target.labels, target.comparable(("the", "cat", "dog"))
    (('0', '1'), ('1', '0', '0'))

    Args:
        bins: Word to bin. A word without an entry is in bin 0, like words that occur once or
            twice: an unknown word is a rare word.
    """

    name: ClassVar[str] = "word_frequency"
    json_type: ClassVar[Any] = FrequencyJson
    noun: ClassVar[str] = "word frequencies"
    has_spans: ClassVar[bool] = False

    def __init__(self, bins: Mapping[str, int]) -> None:
        super().__init__(map(str, range(1 + max(bins.values(), default=0))))
        self.bins = dict(bins)

    @classmethod
    def build(cls, gold: Iterable[Labels], context: BuildContext) -> Self:
        """Count the words of the training text."""
        counts = Counter(word for words in gold for word in cls.names(words))
        bins = {word: int(math.log(count)) for word, count in counts.items()}
        return cls({word: number for word, number in bins.items() if number})

    def comparable(self, gold: Labels) -> tuple[str, ...]:
        """Return the bin of each word."""
        return tuple(str(self.bins.get(word, 0)) for word in self.names(gold))

    def _sequence(self, gold: Labels) -> Sequence[str]:
        return self.comparable(gold)

    def unseen(self, gold: Iterable[Labels]) -> Counter[str]:
        """Return an empty count: each word has a bin."""
        return Counter()

    def to_json(self) -> dict[str, Any]:
        """Return the bins."""
        return {"bins": self.bins}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the target from bins."""
        return cls(data["bins"])
