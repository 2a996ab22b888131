"""Accuracy of the most probable words of a language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from mtl.metrics.base import UNDEFINED, Metric
from mtl.options import PositiveInt
from mtl.text.example import Labels, of_tokens


class WordTopK(Metric):
    """The fraction of tokens that are among the k most probable ones of a language model (–).

    `accuracy` compares the most probable token alone. The end of a sentence counts as a token. A
    word that the vocabulary lacks counts as the unknown word, as in the perplexity. The scores
    compare models with the same tokens only.

    Args:
        k: The number of tokens.
    """

    reads: ClassVar = "log_probs"
    reads_ranks: ClassVar[bool] = True

    def __init__(self, *, k: PositiveInt = 5) -> None:
        self.k = k
        self.tokens = 0
        self.found = 0
        self.first = 0

    def update(self, gold: Sequence[Labels], predicted: Sequence[Sequence[float]]) -> None:  # type: ignore[override]
        """Add sentences to the counts.

        Args:
            gold: The tokens of each sentence.
            predicted: For each token, the number of tokens that are more probable.

        Raises:
            ValueError: The numbers of sentences or tokens differ.
        """
        for tokens, ranks in zip(map(of_tokens, gold), predicted, strict=True):
            if len(tokens) != len(ranks):
                raise ValueError(f"expected {len(tokens)} ranks, got {len(ranks)}")
            self.tokens += len(tokens)
            self.found += sum(rank < self.k for rank in ranks)
            self.first += sum(rank < 1 for rank in ranks)

    def compute(self) -> dict[str, float]:
        """Return both fractions; undefined for zero tokens."""
        return {
            "word_top_k": self.found / self.tokens if self.tokens else UNDEFINED,
            "accuracy": self.first / self.tokens if self.tokens else UNDEFINED,
        }

    def merge(self, other: Self) -> None:
        """Add the counts of another metric of the same class."""
        self.tokens += other.tokens
        self.found += other.found
        self.first += other.first
