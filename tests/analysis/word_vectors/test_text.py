"""Text as ids: counts, rare words, frequent words, and the words of a window."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch

from mtl.analysis.word_vectors import CountedText
from mtl.analysis.word_vectors.windows import OUTSIDE, blocks, neighbours
from mtl.errors import MtlError
from tests.analysis.word_vectors.texts import SENTENCES, TEXT

RANDOM = np.random.default_rng(0)


def words_of(text: CountedText) -> list[str]:
    return [text.words[number] for number in text.ids]


def test_ids_are_sorted_by_frequency_and_keep_the_order_of_the_text() -> None:
    counts = Counter(chain.from_iterable(SENTENCES))
    assert dict(zip(TEXT.words, TEXT.counts.tolist(), strict=True)) == counts
    assert TEXT.words == sorted(counts, key=lambda word: (-counts[word], word))
    assert words_of(TEXT) == [*chain.from_iterable(SENTENCES)]
    assert TEXT.lines.tolist() == [0] * 6 + [1] + [2] * 6 + [4] * 5


def test_rare_words_are_left_out() -> None:
    text = CountedText.of(SENTENCES, min_count=2)
    assert words_of(text)[:6] == ["the", "cat", "sat", "the", "mat", "a"]


def test_words_that_differ_in_case_can_be_one() -> None:
    assert CountedText.of([["The", "the", "Cat"]], lowercase=True).words == ["the", "cat"]


@pytest.mark.parametrize(("sentences", "least"), [([], 1), ([["a", "a"]], 1), (SENTENCES, 5)])
def test_text_has_two_words(sentences: list[list[str]], least: int) -> None:
    with pytest.raises(MtlError, match=r"at least two different words .* lower --min-count"):
        CountedText.of(sentences, min_count=least)


def test_frequent_words_stay_with_the_probability_of_the_paper() -> None:
    text = CountedText.of([["the"] * 9000 + ["cat"] * 1000])
    thinned = text.thinned(0.225, RANDOM)
    # Binomial, 9,000 trials with probability √(0.225 / 0.9) = 1/2; five standard deviations.
    assert abs((thinned.ids == 0).sum() - 4500) < 5 * (9000 / 4) ** 0.5
    assert (thinned.ids == 1).sum() == 1000
    assert thinned.counts is text.counts
    assert text.thinned(0, RANDOM) is text


@pytest.mark.parametrize(("size", "reach"), [(1, 1), (3, 2), (32, 5)])
def test_each_word_is_once_in_the_middle_with_its_neighbours_around(size: int, reach: int) -> None:
    ids, lines = blocks(TEXT, size, reach)
    width = size + 2 * reach
    padded = [OUTSIDE] * reach + TEXT.ids.tolist() + [OUTSIDE] * width
    expected = [padded[start : start + width] for start in range(0, len(TEXT.ids), size)]
    assert ids.tolist() == expected
    middle = lines[:, reach : reach + size].flatten()
    assert middle[middle != OUTSIDE].tolist() == TEXT.lines.tolist()


def test_windows_end_at_their_reach_and_at_the_sentence() -> None:
    _, lines = blocks(TEXT, 4, 3)
    reach = torch.from_numpy(RANDOM.integers(1, 4, size=(len(lines), 4)))
    found = neighbours(lines, reach, 3)
    for block, own in enumerate(lines.tolist()):
        for place in range(4):
            window = {
                other
                for other, line in enumerate(own)
                if line == own[place + 3] != OUTSIDE
                and 0 < abs(other - place - 3) <= reach[block, place]
            }
            assert set(found[block, place].nonzero().flatten().tolist()) == window
