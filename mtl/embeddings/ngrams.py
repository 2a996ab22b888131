"""Vectors of words from their character n-grams. Letters: U distinct words, G n-grams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mtl.embeddings.base import Embedding, spread
from mtl.errors import OptionError
from mtl.options import PositiveInt, RunContext
from mtl.text.vocabulary import PAD, NgramVocabulary, Vocabulary
from mtl.text.vocabulary.ngrams import check_lengths


class NgramEmbedding(Embedding):
    """CHARAGRAM: the sum of the vectors of a word's character n-grams (Wieting et al. 2016).

    h(b + Σ over the known n-grams g of the word of W_g)

    For all words without known n-grams, one learned vector takes the place of the sum.

    Args:
        vocabularies: Feature name to vocabulary; "ngrams" is read.
        dim: Width D of the vectors.
        activation: The function h; `linear` leaves the sum as it is.
    """

    vocabulary = NgramVocabulary

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        *,
        dim: PositiveInt = 50,
        activation: Literal["tanh", "relu", "linear"] = "tanh",
    ) -> None:
        super().__init__()
        (ngrams,) = vocabularies["ngrams"].sizes()
        self.size = dim
        self.activation = activation
        self.table = nn.EmbeddingBag(ngrams, dim, mode="sum", padding_idx=PAD)
        self.bias = nn.Parameter(torch.zeros(dim))
        # A word has about a dozen n-grams, whose sum should have values of about one.
        nn.init.normal_(self.table.weight, std=0.3)
        with torch.no_grad():
            self.table.weight[PAD] = 0

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error if `longest` is smaller than `shortest`."""
        try:
            check_lengths(options["shortest"], options["longest"])
        except OptionError as error:
            yield error

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return `[B, T, D]`, given `features["ngrams"] [U, G]` and `features["types"]`."""
        sums = self.table(features["ngrams"]) + self.bias
        if self.activation != "linear":
            sums = sums.tanh() if self.activation == "tanh" else sums.relu()
        return spread(sums, features["types"])
