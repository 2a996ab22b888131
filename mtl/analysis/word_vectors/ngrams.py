"""Word vectors that are means of the vectors of character n-grams.

Letters: V words, G n-grams, D width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from mtl.analysis.word_vectors.base import uniform_table
from mtl.text.vocabulary.ngrams import ngrams_of


class InputTable(nn.Module):
    """One vector per word.

    Args:
        words: The number of words V.
        dim: Width D.
        generator: Random numbers for the first values.
    """

    def __init__(self, words: int, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.table = uniform_table(words, dim, generator, bound=0.5 / dim)

    def forward(self, ids: Tensor) -> Tensor:
        """Return `[…, D]` for ids `[…]`."""
        found: Tensor = self.table(ids)
        return found


class NgramTable(nn.Module):
    """The mean of a word's own vector and the vectors of its n-grams (Bojanowski et al. 2017).

    The paper hashes n-grams into two million rows. Here, each n-gram of at least two words has a
    row of its own: an n-gram of one word only would be a second vector of this word.

    Args:
        words: The V words.
        lengths: The least and the greatest number of characters of an n-gram, with `<` and `>` at
            the borders of the word.
        dim: Width D.
        generator: Random numbers for the first values.
    """

    def __init__(
        self,
        words: Sequence[str],
        lengths: tuple[int, int],
        dim: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        of_words = [list(dict.fromkeys(ngrams_of(word, *lengths))) for word in words]
        counts = Counter(chain.from_iterable(of_words))
        shared = [ngram for ngram, count in counts.items() if count > 1]
        numbers = {ngram: number for number, ngram in enumerate(shared, len(words))}
        rows = [
            [word, *(numbers[ngram] for ngram in own if ngram in numbers)]
            for word, own in enumerate(of_words)
        ]
        self.lengths: Tensor
        self.rows: Tensor
        self.register_buffer("lengths", torch.tensor([len(own) for own in rows]))
        self.register_buffer("rows", torch.tensor([*chain.from_iterable(rows)]))
        self.table = uniform_table(len(words) + len(shared), dim, generator, bound=0.5 / dim)

    def forward(self, ids: Tensor) -> Tensor:
        """Return `[…, D]` for ids `[…]`."""
        # Each different word is composed once.
        words, places = torch.unique(ids, return_inverse=True)
        starts = self.lengths.cumsum(0) - self.lengths
        lengths = self.lengths[words]
        offsets = lengths.cumsum(0) - lengths
        shift = torch.repeat_interleave(starts[words] - offsets, lengths)
        rows = self.rows[torch.arange(len(shift)) + shift]
        means = nn.functional.embedding_bag(
            rows, self.table.weight, offsets, mode="mean", sparse=True
        )
        return nn.functional.embedding(places, means)
