"""Text as word vectors are learned from it: word ids in order, without rare words.

Letters: V different words, N words of the text.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtl.errors import MtlError


@dataclass(frozen=True)
class CountedText:
    """The words of a text in order, and their counts.

    Args:
        words: The V words, the most frequent first; words with one count in alphabetical order.
        counts: Number of occurrences of each word, `[V]` int64.
        ids: The text, `[N]` int32: the id of each word. Rare words are left out, so that the words
            around them become neighbours, as in word2vec (Mikolov et al. 2013).
        lines: The number of the sentence of each word, `[N]` int32. Windows end with the sentence.
    """

    words: list[str]
    counts: NDArray[np.int64]
    ids: NDArray[np.int32]
    lines: NDArray[np.int32]

    @classmethod
    def of(
        cls, sentences: Iterable[Sequence[str]], *, min_count: int = 1, lowercase: bool = False
    ) -> CountedText:
        """Count the words of sentences.

        Args:
            sentences: The words of each sentence.
            min_count: Words with a lower count are left out.
            lowercase: Whether words are converted to lower case.

        Raises:
            MtlError: Fewer than two different words are left.
        """
        numbers: dict[str, int] = {}
        ids, lines = array("i"), array("i")
        for line, sentence in enumerate(sentences):
            for word in map(str.lower, sentence) if lowercase else sentence:
                ids.append(numbers.setdefault(word, len(numbers)))
            lines.extend([line] * len(sentence))
        given = np.frombuffer(ids, dtype=np.int32) if ids else np.zeros(0, dtype=np.int32)
        words = list(numbers)
        counts = np.bincount(given, minlength=len(words))
        frequent = [number for number in range(len(words)) if counts[number] >= min_count]
        frequent.sort(key=lambda number: (-counts[number], words[number]))
        if len(frequent) < 2:
            raise MtlError(
                f"expected at least two different words that occur {min_count} times or more, got "
                f"{len(frequent)}; pass more text or a lower --min-count"
            )
        renumbered = np.full(len(words), -1, dtype=np.int32)
        renumbered[frequent] = np.arange(len(frequent))
        left = renumbered[given]
        kept = left >= 0
        return cls(
            [words[number] for number in frequent],
            counts[frequent],
            left[kept],
            np.frombuffer(lines, dtype=np.int32)[kept],
        )

    def thinned(self, threshold: float, random: np.random.Generator) -> CountedText:
        """Return the text with a random part of its frequent words left out.

        A word whose share of the text is f stays with probability √(t/f), at most 1 (Mikolov et al.
        2013). The counts do not change.

        Args:
            threshold: The share t; 0 returns the text itself.
            random: The random numbers.
        """
        if not threshold:
            return self
        chance = np.sqrt(threshold * self.counts.sum() / self.counts)
        kept = random.random(len(self.ids)) < chance[self.ids]
        return CountedText(self.words, self.counts, self.ids[kept], self.lines[kept])
