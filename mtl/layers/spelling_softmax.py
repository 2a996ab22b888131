"""Softmax whose word vectors are computed from spellings. Letters: V words, C bytes of a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from mtl.layers.next_word import WordVectors

_WIDTH = 4
"""The number of bytes that a filter reads."""
_LONGEST = 16
"""Longer words are cut after this many bytes."""


class SpellingSoftmax(WordVectors):
    """Softmax with output vectors from the spelling of words (Jozefowicz et al. 2016, CNN softmax).

    p = softmax(W h + b) with w_v = A tanh(CNN(spelling of v)) + M c_v. The convolution and its
    maximum over positions follow Kim et al. (2016). The correction c_v has few dimensions; it
    separates words with similar spellings and different meanings. Without it, only the biases
    depend on V.

    The vectors of all words are computed for each loss. Losses that sample words compute fewer.

    Args:
        in_features: Width H of the hidden states.
        words: The V words.
        correction: The number of dimensions of c_v; 0 for none.
        dim: The width of the vectors of bytes.
        filters: The number of filters of the convolution.
    """

    spellings: Tensor

    def __init__(
        self,
        in_features: int,
        words: Sequence[str],
        *,
        correction: int = 16,
        dim: int = 16,
        filters: int = 128,
    ) -> None:
        super().__init__(in_features, len(words))
        # 0 is padding, which marks the beginning and the end of a word. A filter also reads padding
        # alone, for each word: so its vector does not depend on the longest word.
        codes = [
            torch.tensor([byte + 1 for byte in word.encode("utf-8", "surrogatepass")[:_LONGEST]])
            for word in words
        ]
        spellings = nn.functional.pad(pad_sequence(codes, batch_first=True), (_WIDTH // 2, _WIDTH))
        # They follow from the words, so they are not saved.
        self.register_buffer("spellings", spellings.long(), persistent=False)
        self.bytes = nn.Embedding(257, dim)
        self.convolution = nn.Conv1d(dim, filters, _WIDTH)
        self.output = nn.Linear(filters, in_features, bias=False)
        self.correction = (
            nn.Sequential(
                nn.Embedding(len(words), correction), nn.Linear(correction, in_features, bias=False)
            )
            if correction
            else None
        )
        self.bias = nn.Parameter(torch.zeros(len(words)))

    def project(self, hidden: Tensor) -> Tensor:
        """Return the hidden states."""
        return hidden

    def vectors(self, words: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the vectors and biases of some words, `[n, H]` and `[n]`; None: of all words."""
        bias = self.bias if words is None else self.bias[words]
        if words is None:
            words = torch.arange(self.num_words, device=self.bias.device)
        letters = self.bytes(self.spellings[words]).transpose(1, 2)
        vectors: Tensor = self.output(self.convolution(letters).amax(2).tanh())
        if self.correction is not None:
            vectors = vectors + self.correction(words)
        return vectors, bias

    def rows(self) -> Mapping[str, Sequence[int]]:
        """Return the word ids of the rows: bias and correction have one row per word."""
        names = ["bias", *(["correction.0.weight"] if self.correction is not None else [])]
        return dict.fromkeys(names, range(self.num_words))
