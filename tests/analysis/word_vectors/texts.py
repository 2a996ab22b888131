"""Small texts for tests of word vectors."""

from __future__ import annotations

import numpy as np

from mtl.analysis.word_vectors import CountedText

SENTENCES = [
    ["the", "cat", "sat", "on", "the", "mat"],
    ["once"],
    ["a", "dog", "and", "a", "cat", "sat"],
    [],
    ["the", "dog", "saw", "the", "mat"],
]
TEXT = CountedText.of(SENTENCES)


def of_topics(sentences: int = 300) -> CountedText:
    """Sentences whose words are of one of two topics, and of function words of both."""
    random = np.random.default_rng(5)
    words = [[f"{topic}{number}" for number in range(6)] for topic in "xy"]
    both = ["the", "of"]
    return CountedText.of(
        [*random.choice(words[topic] + both, size=10)]
        for topic in random.integers(2, size=sentences)
    )
