"""Perplexity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

from mtl.metrics.base import UNDEFINED, Metric
from mtl.text.example import Labels, of_tokens
from mtl.text.running import goes_on, length


class Perplexity(Metric):
    """exp of the mean negative log-probability per word (Jelinek et al. 1977).

    `perplexity` is per word, where the end of a sentence counts as a word. `bits_per_character` is
    per character, including the space or line break after each word. Both are therefore
    comparable between models of words, subwords and characters.
    """

    higher_is_better = False
    unit = "plain"
    reads = "log_probs"

    def __init__(self) -> None:
        self.nats: list[float] = []
        self.words = 0
        self.characters = 0

    def update(self, gold: Sequence[Labels], predicted: Sequence[Sequence[float]]) -> None:  # type: ignore[override]
        """Add sentences.

        Args:
            gold: The tokens of each sentence.
            predicted: The log-probability of each token in nats.

        Raises:
            ValueError: The numbers of sentences or tokens differ.
        """
        for tokens, log_probs in zip(map(of_tokens, gold), predicted, strict=True):
            if len(tokens) != len(log_probs):
                raise ValueError(f"expected {len(tokens)} log-probabilities, got {len(log_probs)}")
            # One sum per sentence: the exact total does not depend on the order of sentences.
            self.nats.append(-math.fsum(log_probs))
            # A subword that continues the previous token is not a further word.
            self.words += sum(not goes_on(token) for token in tokens)
            self.characters += sum(map(length, tokens))

    def compute(self) -> dict[str, float]:
        """Return perplexity and bits per character; undefined for zero words."""
        if not self.words:
            return {"perplexity": UNDEFINED, "bits_per_character": UNDEFINED}
        nats = math.fsum(self.nats)
        mean = nats / self.words
        return {
            "perplexity": math.exp(mean) if mean < 700 else math.inf,  # exp overflows at 709.8
            "bits_per_character": nats / math.log(2) / max(1, self.characters),
        }

    def merge(self, other: Self) -> None:
        """Add the counts of another metric of the same class."""
        self.nats += other.nats
        self.words += other.words
        self.characters += other.characters
