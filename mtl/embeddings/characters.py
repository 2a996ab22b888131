"""Vectors of words made from their characters. Letters: U distinct words, C characters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.embeddings.base import Embedding, spread
from mtl.layers.gates import initialize_gates
from mtl.layers.largest_sum import largest_sum
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
        left = (self.width - 1) // 2
        around = (left, self.width - 1 - left)
        if self.training and characters.device.type == "cpu" and not self.dropout.p:
            return spread(self._by_tables(characters, around).relu(), features["types"])
        x = self.dropout(self.table(characters))  # [U, C, dim]
        x = functional.pad(x, (0, 0, *around))
        windows = x.unfold(1, self.width, 1).flatten(2)  # [U, C, dim * width]
        scores = self.filters(windows).masked_fill((characters == PAD).unsqueeze(-1), -torch.inf)
        return spread(scores.amax(1).relu(), features["types"])

    def _by_tables(self, characters: Tensor, around: tuple[int, int]) -> Tensor:
        """Return the largest scores `[U, D]`, from the product of each character and filter column.

        There are few characters, so a step of training on a CPU needs a quarter of the time. On a
        GPU the sums of the backward pass would have no fixed order.

        Args:
            characters: `[U, C]`.
            around: The number of characters that a filter reads on the left and on the right.
        """
        count, dim = self.table.weight.shape
        vectors = self.table(torch.arange(count))  # with no gradient for padding
        columns = self.filters.weight.view(-1, dim, self.width).permute(2, 1, 0)
        tables = vectors @ columns  # [width, count, D], with autocast of a lower precision
        tables = tables.to(torch.promote_types(tables.dtype, torch.float32))
        bias = torch.zeros(self.width, count, 1)
        bias[around[0], PAD] = -torch.inf  # a filter is never centred on padding
        tables = tables + bias + self.filters.bias / self.width
        ids = functional.pad(characters.T, (0, 0, *around)).unfold(0, self.width, 1)
        rows = ids.contiguous() + count * torch.arange(self.width)
        return largest_sum(tables.flatten(0, 1), rows)


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
        for direction in (self.forwards, self.backwards):
            initialize_gates(direction, (0.0, 1.0, 0.0, 0.0))  # input, forget, cell, output

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return `[B, T, D]`, given `features["characters"] [U, C]` and `features["types"]`."""
        characters = features["characters"]
        real = characters != PAD
        x = self.dropout(self.table(characters))
        # The layers in bfloat16 need instructions that many processors lack.
        with torch.autocast("cpu", enabled=False):
            ahead = last_real(self.forwards(x)[0], real)
            back = last_real(self.backwards(reverse_padded(x, real))[0], real)
        return spread(torch.cat([ahead, back], dim=1), features["types"])
