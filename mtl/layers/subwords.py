"""From words to the subwords that a transformer reads, and back.

Letters: B sentences, T words, S subwords of a word, P subwords of a sentence, H width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Alignment = Literal["first", "mean"]
"""A word is what its first subword is, or the mean of its subwords (Devlin et al. 2019)."""


class Layout(NamedTuple):
    """The subwords of sentences, one after the other.

    Args:
        numbers: `[B, P]` int64, the subwords; 0 on padding, which stands on the right.
        words: `[B, P]` int64: which word of its sentence a subword belongs to, from 1; 0 on
            padding and on the marks around a sentence.
    """

    numbers: Tensor
    words: Tensor

    @property
    def mask(self) -> Tensor:
        """`[B, P]` bool, True on what is no padding."""
        return self.numbers != 0


def lay_out(subwords: Tensor, begin: Sequence[int], end: Sequence[int], limit: int) -> Layout:
    """Put the subwords of each sentence in a row, between the marks of its begin and end.

    Where there are more than fit, every word is cut to its first k subwords, k being as large as
    can be.

    Args:
        subwords: `[B, T, S]` int64: the subwords of each word; 0 where it has no more.
        begin: The marks before a sentence.
        end: The marks after it.
        limit: The most subwords of a sentence, its marks counted.

    Raises:
        ValueError: A sentence has more words than fit with one subword each.
    """
    real = subwords != 0
    # What a sentence takes if its words keep k subwords each, [B, S], for every k from 1.
    taken = real.sum(1).cumsum(1) + len(begin) + len(end)
    if (taken[:, 0] > limit).any():
        longest = int(taken[:, 0].max()) - len(begin) - len(end)
        raise ValueError(f"expected room for {longest} words and their marks, got {limit} places")
    real &= (taken <= limit).unsqueeze(1)
    rows, words, places = real.nonzero(as_tuple=True)
    lengths = real.sum((1, 2))
    starts = lengths.cumsum(0) - lengths
    columns = len(begin) + torch.arange(len(rows), device=rows.device) - starts[rows]
    width = int(lengths.max()) + len(begin) + len(end)
    numbers = subwords.new_zeros(len(subwords), width)
    numbers[rows, columns] = subwords[rows, words, places]
    numbers[:, : len(begin)] = numbers.new_tensor(begin)
    after = lengths.unsqueeze(1) + len(begin) + torch.arange(len(end), device=rows.device)
    numbers.scatter_(1, after, numbers.new_tensor(end).expand_as(after))
    owners = torch.zeros_like(numbers)
    owners[rows, columns] = words + 1
    return Layout(numbers, owners)


def to_words(hidden: Tensor, words: Tensor, length: int, alignment: Alignment) -> Tensor:
    """Return the vectors of words `[B, T, H]`, zero where a sentence has no more words.

    Args:
        hidden: `[B, P, H]`, the vectors of subwords.
        words: As `Layout.words`.
        length: The number T of words of the longest sentence.
        alignment: What a word is of its subwords.
    """
    counted = words > 0
    if alignment == "first":
        counted &= words != functional.pad(words[:, :-1], (1, 0))
    batch = torch.arange(len(words), device=words.device).unsqueeze(1)
    rows = (words + batch * (length + 1)).flatten()
    parts = (hidden * counted.unsqueeze(2)).flatten(0, 1)
    places = len(words) * (length + 1)
    sums = hidden.new_zeros(places, hidden.shape[2]).index_add(0, rows, parts)
    counts = torch.zeros(places, 1, dtype=hidden.dtype, device=hidden.device)
    counts.index_add_(0, rows, counted.flatten().unsqueeze(1).to(counts.dtype))
    return (sums / counts.clamp(min=1)).view(len(words), length + 1, -1)[:, 1:]
