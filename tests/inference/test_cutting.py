from __future__ import annotations

from mtl.inference.cutting import word_batches


def test_words_of_similar_length_are_embedded_together() -> None:
    assert list(word_batches(["ccc", "a", "bb", "b"], 2)) == [[1, 3], [2, 0]]
    assert list(word_batches([], 2)) == []


def test_words_are_not_padded_to_the_length_of_a_very_long_one() -> None:
    words = ["x" * 200_000, *"ab" * 500, "y" * 300_000]
    assert list(map(len, word_batches(words, 1024))) == [1000, 1, 1]
