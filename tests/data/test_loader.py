"""Loaders: windows of long sentences and their labels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.loader import pieces
from mtl.data.windows import windows
from mtl.text.example import Example


@given(st.lists(st.integers(1, 30), max_size=8), st.integers(2, 10), st.integers(1, 9))
def test_batches_contain_the_windows_of_each_sentence_in_order(lengths, limit, overlap):
    overlap = min(overlap, limit - 1)
    expected = [
        [row, window.start, window.end]
        for row, length in enumerate(lengths)
        for window in windows(length, limit, overlap)
    ]
    assert pieces(np.array(lengths, dtype=np.int32), limit, overlap).tolist() == expected


@given(st.lists(st.integers(1, 30), max_size=8), st.integers(1, 10))
def test_without_overlap_every_token_is_in_one_piece(lengths, limit):
    found = pieces(np.array(lengths, dtype=np.int32), limit, 0)
    read = [(row, token) for row, start, end in found for token in range(start, end)]
    assert read == [(row, token) for row, n in enumerate(lengths) for token in range(n)]
    assert all(end - start <= limit for _, start, end in found)


def test_a_piece_keeps_the_labels_of_its_tokens_and_of_the_sentence():
    example = Example(("a", "b", "c"), {"pos": ("X", "Y", "Z"), "kind": "k"}, line=7)
    found = example.cut(1, 3)
    assert found == Example(("b", "c"), {"pos": ("Y", "Z"), "kind": "k"}, line=7)
    assert example.cut(0, 3) == example
