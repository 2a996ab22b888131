"""Conversion between words and the subword sequence of a transformer.

Letters: B sentences, T words, S subwords per word, P subwords per sentence, H width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Alignment = Literal["first", "mean"]
"""The vector of a word: its first subword or the mean of its subwords (Devlin et al. 2019)."""


class Layout(NamedTuple):
    """The subword sequences of a batch.

    Args:
        numbers: `[B, P]` int64, the subword ids; 0 on padding, which is on the right.
        words: `[B, P]` int64, the position of each subword's word in its sentence, from 1; 0 on
            padding and special tokens.
    """

    numbers: Tensor
    words: Tensor

    @property
    def mask(self) -> Tensor:
        """`[B, P]` bool, True on subwords and special tokens, False on padding."""
        return self.numbers != 0


def lay_out(subwords: Tensor, begin: Sequence[int], end: Sequence[int], limit: int) -> Layout:
    """Concatenate the subwords of each sentence, between the special tokens of its begin and end.

    If a sentence exceeds the limit, each of its words is cut to its first k subwords, for the
    largest k that fits.

    Args:
        subwords: `[B, T, S]` int64, the subword ids of each word; 0 on padding.
        begin: The ids of the special tokens before a sentence.
        end: The ids of the special tokens after a sentence.
        limit: The maximum number of subwords per sentence, including special tokens.

    Raises:
        ValueError: A sentence exceeds the limit even with one subword per word.
    """
    real = subwords != 0
    # The length of each sentence if its words keep k subwords, for k = 1 … S: [B, S].
    needed = real.sum(1).cumsum(1) + len(begin) + len(end)
    if (needed[:, 0] > limit).any():
        longest = int(needed[:, 0].max()) - len(begin) - len(end)
        raise ValueError(
            f"limit: expected at least {longest + len(begin) + len(end)} positions for "
            f"{longest} words and the special tokens, got {limit}; shorten the sentence"
        )
    real &= (needed <= limit).unsqueeze(1)
    # nonzero returns row-major order, which is the order of the subwords in each sentence.
    rows, words, positions = real.nonzero(as_tuple=True)
    lengths = real.sum((1, 2))
    starts = lengths.cumsum(0) - lengths
    columns = len(begin) + torch.arange(len(rows), device=rows.device) - starts[rows]
    width = int(lengths.max()) + len(begin) + len(end)
    numbers = subwords.new_zeros(len(subwords), width)
    numbers[rows, columns] = subwords[rows, words, positions]
    numbers[:, : len(begin)] = numbers.new_tensor(begin)
    after = lengths.unsqueeze(1) + len(begin) + torch.arange(len(end), device=rows.device)
    numbers.scatter_(1, after, numbers.new_tensor(end).expand_as(after))
    owners = torch.zeros_like(numbers)
    owners[rows, columns] = words + 1
    return Layout(numbers, owners)


def to_words(hidden: Tensor, words: Tensor, length: int, alignment: Alignment) -> Tensor:
    """Return the word vectors `[B, T, H]`, zero on padding.

    Args:
        hidden: `[B, P, H]`, the subword vectors.
        words: `[B, P]` int64, as in `Layout.words`.
        length: The number T of words of the longest sentence.
        alignment: The subwords of a word that count: the first, or the mean of all.
    """
    counted = words > 0
    if alignment == "first":
        counted &= words != functional.pad(words[:, :-1], (1, 0))
    batch = torch.arange(len(words), device=words.device).unsqueeze(1)
    # Position 0 of each sentence collects padding and special tokens; it is dropped at the end.
    rows = (words + batch * (length + 1)).flatten()
    parts = (hidden * counted.unsqueeze(2)).flatten(0, 1)
    size = len(words) * (length + 1)
    sums = hidden.new_zeros(size, hidden.shape[2]).index_add(0, rows, parts)
    counts = torch.zeros(size, 1, dtype=hidden.dtype, device=hidden.device)
    counts.index_add_(0, rows, counted.flatten().unsqueeze(1).to(counts.dtype))
    return (sums / counts.clamp(min=1)).view(len(words), length + 1, -1)[:, 1:]
