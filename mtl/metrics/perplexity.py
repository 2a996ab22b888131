"""Perplexity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

from mtl.metrics.base import Metric
from mtl.text.example import Labels, of_tokens
from mtl.text.running import goes_on, length


class Perplexity(Metric):
    """exp of the mean negative log-probability of a word (Jelinek et al. 1977).

    `perplexity` counts words, whose ends of sentences are some, and `bits_per_character` the
    characters of the text, with one behind each word. So both say the same of models that read
    words and of those that read characters.
    """

    higher_is_better = False
    unit = "plain"
    reads = "log_probs"

    def __init__(self) -> None:
        self.nats: list[float] = []
        self.words = 0
        self.characters = 0

    def update(self, gold: Sequence[Labels], predicted: Sequence[Sequence[float]]) -> None:  # type: ignore[override]
        """Count more sentences: their tokens, and the log-probability of each in nats."""
        for tokens, log_probs in zip(map(of_tokens, gold), predicted, strict=True):
            if len(tokens) != len(log_probs):
                raise ValueError(f"expected {len(tokens)} log-probabilities, got {len(log_probs)}")
            self.nats.append(-math.fsum(log_probs))
            self.words += sum(not goes_on(token) for token in tokens)
            self.characters += sum(map(length, tokens))

    def compute(self) -> dict[str, float]:
        """Return perplexity and bits a character; of no words, infinity."""
        nats = math.fsum(self.nats)
        mean = nats / self.words if self.words else math.inf
        return {
            "perplexity": math.exp(mean) if mean < 700 else math.inf,
            "bits_per_character": nats / math.log(2) / max(1, self.characters),
        }

    def merge(self, other: Self) -> None:
        """Add the counts of another."""
        self.nats += other.nats
        self.words += other.words
        self.characters += other.characters
