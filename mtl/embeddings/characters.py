"""Vectors of words made from their characters. Letters: U distinct words, C characters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.embeddings.base import Embedding, spread
from mtl.layers.sequence import last_real, reverse_padded
from mtl.options import PositiveInt, Probability
from mtl.text.vocabulary import PAD, CharacterVocabulary, Vocabulary


class CharacterCNN(Embedding):
    """A convolution over the characters of a word, its maximum over positions (Ma & Hovy 2016).

    Computed once per distinct word of the batch, not once per token.

    Args:
        vocabularies: Feature name to vocabulary; "characters" is read.
        dim: Width of the character vectors.
        filters: Width D of the word vectors.
        width: The number of characters that a filter reads.
        dropout: Probability of dropping a unit of the character vectors.
    """

    vocabulary = CharacterVocabulary

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        *,
        dim: PositiveInt = 30,
        filters: PositiveInt = 50,
        width: PositiveInt = 3,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        (characters,) = vocabularies["characters"].sizes()
        self.size = filters
        self.table = nn.Embedding(characters, dim, padding_idx=PAD)
        self.dropout = nn.Dropout(dropout)
        self.filters = nn.Linear(dim * width, filters)
        self.width = width

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return `[B, T, D]`, given `features["characters"] [U, C]` and `features["types"]`."""
        characters = features["characters"]
        x = self.dropout(self.table(characters))  # [U, C, dim]
        left = (self.width - 1) // 2
        x = functional.pad(x, (0, 0, left, self.width - 1 - left))
        windows = x.unfold(1, self.width, 1).flatten(2)  # [U, C, dim * width]
        scores = self.filters(windows).masked_fill((characters == PAD).unsqueeze(-1), -torch.inf)
        return spread(scores.amax(1).relu(), features["types"])


class CharacterLSTM(Embedding):
    """The last states of a forward and a backward LSTM over the characters (Lample et al. 2016).

    Args:
        vocabularies: Feature name to vocabulary; "characters" is read.
        dim: Width of the character vectors.
        hidden_size: Width of the states, per direction.
        dropout: Probability of dropping a unit of the character vectors.
    """

    vocabulary = CharacterVocabulary

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        *,
        dim: PositiveInt = 30,
        hidden_size: PositiveInt = 25,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        (characters,) = vocabularies["characters"].sizes()
        self.size = 2 * hidden_size
        self.table = nn.Embedding(characters, dim, padding_idx=PAD)
        self.dropout = nn.Dropout(dropout)
        self.forwards = nn.LSTM(dim, hidden_size, batch_first=True)
        self.backwards = nn.LSTM(dim, hidden_size, batch_first=True)

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return `[B, T, D]`, given `features["characters"] [U, C]` and `features["types"]`."""
        characters = features["characters"]
        real = characters != PAD
        x = self.dropout(self.table(characters))
        ahead = last_real(self.forwards(x)[0], real)
        back = last_real(self.backwards(reverse_padded(x, real))[0], real)
        return spread(torch.cat([ahead, back], dim=1), features["types"])
