"""Which sentences a pass contains: curricula and balanced classes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.sampling import Balanced, EasyFirst, SentenceSampler


def passes(sampler: SentenceSampler, number: int, epochs: int) -> list[Counter[int]]:
    rows = np.arange(number)
    return [Counter(sampler.draw(rows, epoch).tolist()) for epoch in range(epochs)]


def easy(difficulty: list[float], **options: float) -> EasyFirst:
    defaults = {"passes": 4, "start": 0.2, "mixed": 0.0}
    return EasyFirst(1, "c", np.array(difficulty), **{**defaults, **options})


def test_the_pool_grows_from_the_easiest_sentences_to_all() -> None:
    """By hand: ten sentences, shares 0.2, 0.4, 0.6, 0.8 and 1."""
    difficulty = [9.0, 0.0, 8.0, 1.0, 7.0, 2.0, 6.0, 3.0, 5.0, 4.0]
    easiest = np.argsort(difficulty)
    for epoch, found in enumerate(passes(easy(difficulty), 10, 6)):
        pool = set(easiest[: min(10, 2 * (epoch + 1))].tolist())
        assert set(found) == pool
        assert sum(found.values()) == 10
        assert max(found.values()) - min(found.values()) <= 1


def test_sentences_of_equal_difficulty_stay_in_the_pool() -> None:
    found = passes(easy([1.0] * 50), 50, 5)
    for before, after in pairwise(found):
        assert set(before) <= set(after)


def test_sentences_without_a_number_come_last() -> None:
    found = passes(easy([np.nan, 2.0, 1.0, np.nan], start=0.5), 4, 1)
    assert set(found[0]) == {1, 2}


def test_a_share_of_a_mixed_pass_is_drawn_from_all() -> None:
    number, hard = 1000, 0
    for found in passes(easy([*range(number)], mixed=0.4, passes=50, start=0.1), number, 20)[:1]:
        hard += sum(times for row, times in found.items() if row >= 100)
        assert sum(found.values()) == number
    # 400 of 1,000 sentences without replacement, nine in ten of which are hard
    assert hard == pytest.approx(360, abs=5 * (400 * 0.9 * 0.1) ** 0.5)


def test_windows_of_a_sentence_are_as_difficult_as_it() -> None:
    rows = np.array([0, 0, 0, 1, 2])
    assert set(easy([5.0, 1.0, 3.0], start=0.4).draw(rows, 0).tolist()) == {3, 4}


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=60), st.floats(0, 1), st.integers(0, 3))
def test_each_class_is_drawn_as_often_as_its_share_says(
    classes: list[int], strength: float, epoch: int
) -> None:
    """Shares by the formula n_c^(1 − α) / Σ n^(1 − α), up to rounding."""
    sampler = Balanced(3, "c", np.array(classes), strength=strength)
    drawn = sampler.draw(np.arange(len(classes)), epoch)
    assert len(drawn) == len(classes)
    counts = Counter(c for c in classes if c >= 0)
    total = sum(n ** (1 - strength) for n in counts.values())
    found = Counter(classes[i] for i in drawn.tolist())
    for label, n in counts.items():
        expected = sum(counts.values()) * n ** (1 - strength) / total
        assert abs(found[label] - expected) < 1 + 1e-6
    assert abs(found[-1] - classes.count(-1)) <= 1


def test_each_sentence_of_a_class_is_drawn_equally_often() -> None:
    classes = [0] * 90 + [1] * 10
    every = sum(passes(Balanced(3, "c", np.array(classes), strength=1.0), 100, 200), Counter())
    for start, end, expected in ((0, 90, 50 / 90), (90, 100, 5.0)):
        times = [every[i] / 200 for i in range(start, end)]
        assert np.mean(times) == pytest.approx(expected, rel=0.01)
        assert max(abs(t - expected) for t in times) < 5 * 0.5 / 200**0.5


def test_no_strength_draws_each_sentence_once() -> None:
    found = passes(Balanced(3, "c", np.array([0, 0, 0, 1, -1]), strength=0.0), 5, 1)
    assert found == [Counter(range(5))]


def test_passes_and_corpora_differ_and_repeat() -> None:
    classes = np.array([0] * 90 + [1] * 10)
    rows = np.arange(100)
    one, other = (Balanced(3, name, classes, strength=1.0) for name in "ab")
    assert np.array_equal(one.draw(rows, 2), one.draw(rows, 2))
    assert not np.array_equal(one.draw(rows, 2), one.draw(rows, 3))
    assert not np.array_equal(one.draw(rows, 2), other.draw(rows, 2))
