"""Augmented copies of sentences, by rules that need no model (Tang et al. 2019)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from mtl.data.batching import generator
from mtl.text.example import Labels

MASKED = "[MASK]"
"""The word in place of a masked one. No vocabulary of words contains it."""
_LONGEST_CUT = 5


class TagLexicon:
    """Words by tag: a word has its most frequent tag.

    Args:
        counts: The number of occurrences of each pair of a word and a tag.
    """

    def __init__(self, counts: Mapping[tuple[str, str], int]) -> None:
        by_word: dict[str, Counter[str]] = defaultdict(Counter)
        for (word, tag), number in sorted(counts.items()):
            by_word[word][tag] += number
        self._tags = {word: tags.most_common(1)[0][0] for word, tags in by_word.items()}
        self._words: dict[str, list[str]] = defaultdict(list)
        frequencies: dict[str, list[int]] = defaultdict(list)
        for word, tag in self._tags.items():
            self._words[tag].append(word)
            frequencies[tag].append(by_word[word].total())
        self._sums = {tag: np.array([*accumulate(own)]) for tag, own in frequencies.items()}

    @classmethod
    def read(cls, sentences: Iterable[tuple[Sequence[str], Labels | None]]) -> TagLexicon:
        """Count words and their tags in sentences; sentences and words without tags are skipped."""
        counts: Counter[tuple[str, str]] = Counter()
        for words, tags in sentences:
            if isinstance(tags, tuple):
                pairs = zip(words, tags, strict=True)
                counts.update((word, str(tag)) for word, tag in pairs if tag is not None)
        return cls(counts)

    def other(self, word: str, draw: float) -> str:
        """Return a word with the same tag by its frequency; a word without a tag is returned.

        Args:
            word: The word.
            draw: A number in [0, 1), which decides.
        """
        tag = self._tags.get(word)
        if tag is None:
            return word
        sums = self._sums[tag]
        return self._words[tag][int(np.searchsorted(sums, draw * sums[-1], side="right"))]


@dataclass(frozen=True)
class Augmenter:
    """Makes changed copies of sentences: a pure function of the words and the seed.

    Args:
        seed: The seed of the run.
        number: The number of copies; copies without a change are left out.
        mask: Probability that a word becomes `MASKED`.
        replace: Probability that a word becomes another one with the same tag.
        cut: Probability that a copy is cut to one to five adjacent words.
        lexicon: The words by tag, for `replace`.
    """

    seed: int
    number: int
    mask: float
    replace: float
    cut: float
    lexicon: TagLexicon

    def copies(self, words: Sequence[str]) -> Iterator[list[str]]:
        """Yield the copies of a sentence."""
        random = generator(self.seed, "augmentation", *words)
        for _ in range(self.number):
            draws, others = random.random((2, len(words)))
            copy = [
                self._changed(*each)
                for each in zip(words, draws.tolist(), others.tolist(), strict=True)
            ]
            cut, length, place = random.random(3).tolist()
            if cut < self.cut:
                size = min(len(copy), 1 + int(length * _LONGEST_CUT))
                start = int(place * (len(copy) - size + 1))
                copy = copy[start : start + size]
            if copy != list(words):
                yield copy

    def _changed(self, word: str, draw: float, other: float) -> str:
        if draw < self.mask:
            return MASKED
        return self.lexicon.other(word, other) if draw < self.mask + self.replace else word
