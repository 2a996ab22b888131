"""From words to subwords and back, against a loop over lists."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mtl.layers.subwords import Alignment, lay_out, to_words

Sentences = list[list[list[int]]]
"""Sentences of words of subwords."""
SENTENCES = st.lists(
    st.lists(st.lists(st.integers(3, 9), min_size=1, max_size=4), max_size=4),
    min_size=1,
    max_size=4,
)
MARKS = [1], [2]


def padded(sentences: Sentences) -> Tensor:
    subwords = torch.zeros(len(sentences), max(1, *map(len, sentences), 1), 4, dtype=torch.long)
    for row, words in zip(subwords, sentences, strict=True):
        for place, word in zip(row, words, strict=False):
            place[: len(word)] = torch.tensor(word)
    return subwords


def shortened(words: list[list[int]], room: int) -> list[list[int]]:
    """Words cut to the most subwords each with which all of them fit."""
    most = [k for k in range(1, 5) if sum(min(len(word), k) for word in words) <= room]
    return [word[: most[-1]] for word in words]


@given(SENTENCES, st.integers(6, 20))
def test_subwords_stand_in_a_row_between_the_marks(sentences: Sentences, limit: int) -> None:
    layout = lay_out(padded(sentences), *MARKS, limit)
    for numbers, owners, words in zip(*layout, sentences, strict=True):
        kept = shortened(words, limit - 2)
        row = [1, *(n for word in kept for n in word), 2]
        of = [0, *(i for i, word in enumerate(kept, 1) for _ in word), 0]
        rest = [0] * (layout.numbers.shape[1] - len(row))
        assert (numbers.tolist(), owners.tolist()) == (row + rest, of + rest)
    assert layout.numbers.shape[1] <= limit


def test_a_sentence_of_too_many_words_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"limit: expected at least 5 positions for 3 words .* got 4"
    ):
        lay_out(padded([[[3]], [[3], [4], [5]]]), *MARKS, 4)


def test_there_may_be_no_marks() -> None:
    layout = lay_out(padded([[[3, 4], [5]], []]), [], [], 9)
    assert layout.numbers.tolist() == [[3, 4, 5], [0, 0, 0]]


@pytest.mark.parametrize("alignment", ["first", "mean"])
@given(SENTENCES)
def test_words_are_their_first_subword_or_the_mean(
    alignment: Alignment, sentences: Sentences
) -> None:
    layout = lay_out(padded(sentences), *MARKS, 99)
    hidden = torch.randn(*layout.numbers.shape, 3).double()
    length = max(map(len, sentences))
    words = to_words(hidden, layout.words, length, alignment)
    assert words.shape == (len(sentences), length, 3)
    for row, own, vectors in zip(words, sentences, hidden, strict=True):
        start = 1
        for vector, word in zip(row, own, strict=False):
            parts = vectors[start : start + len(word)]
            torch.testing.assert_close(vector, parts[0] if alignment == "first" else parts.mean(0))
            start += len(word)
        assert not row[len(own) :].any()
