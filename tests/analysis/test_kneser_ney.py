"""N-gram models against the published formula with dictionaries, and a computation by hand."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict

import numpy as np
import pytest

from mtl.analysis.kneser_ney import KneserNey

WORDS = 6


def some_text(length: int, seed: int) -> list[int]:
    """Words whose frequencies differ, and that call for each other."""
    draw, words = random.Random(seed), [0]
    while len(words) < length:
        follow = (words[-1] + 1) % (WORDS - 1)
        words.append(follow if draw.random() < 0.5 else min(draw.randrange(9), WORDS - 2))
    return words


def by_formula(text: list[int], order: int, context: tuple[int, ...], word: int) -> float:
    """Interpolated modified Kneser–Ney (Chen & Goodman 1999, section 3)."""
    if len(context) + 1 == order:
        counts = Counter(tuple(text[i : i + order]) for i in range(len(text) - order + 1))
    else:
        n = len(context) + 2
        longer = {tuple(text[i : i + n]) for i in range(len(text) - n + 1)}
        counts = Counter(gram[1:] for gram in longer)
    of_counts = Counter(counts.values())
    n1, n2, n3, n4 = (of_counts[k] for k in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2) if n1 else 0.5
    discounts = {1: y, 2: y, 3: y}
    if n1 and n2 and n3 and n4:
        discounts = {1: 1 - 2 * y * n2 / n1, 2: 2 - 3 * y * n3 / n2, 3: 3 - 4 * y * n4 / n3}
    follow = defaultdict(int, {g[-1]: c for g, c in counts.items() if g[:-1] == context})
    lower = by_formula(text, order, context[1:], word) if context else 1 / WORDS
    if not follow:
        return lower
    total = sum(follow.values())
    rest = sum(discounts[min(c, 3)] for c in follow.values()) / total
    own = follow[word] - discounts[min(follow[word], 3)] if follow[word] else 0
    return own / total + rest * lower


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [8, 60, 400])
def test_probabilities_are_those_of_the_formula(order: int, length: int) -> None:
    text = some_text(length, seed=order)
    model = KneserNey(np.array(text), WORDS, order)
    further = some_text(12, seed=99)
    found = model.log_probs(np.array(further))
    expected = [
        by_formula(text, order, tuple(further[max(0, i - order + 1) : i]), word)
        for i, word in enumerate(further)
    ]
    assert np.exp(found).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("order", [1, 3, 5])
def test_probabilities_sum_to_one_after_every_context(order: int) -> None:
    model = KneserNey(np.array(some_text(80, seed=5)), WORDS, order)
    draw = random.Random(1)
    for _ in range(20):
        context = [draw.randrange(WORDS) for _ in range(draw.randrange(6))]
        last = [model.log_probs(np.array([*context, word]))[-1] for word in range(WORDS)]
        assert math.fsum(map(math.exp, last)) == pytest.approx(1)


def test_by_hand() -> None:
    """Counts 2 and 1: Y = 1/3 is the discount, and 2/9 is left for all three words."""
    model = KneserNey(np.array([0, 0, 1]), 3, 1)
    found = np.exp(model.log_probs(np.array([0, 1, 2])))
    assert found.tolist() == pytest.approx([17 / 27, 8 / 27, 2 / 27])


def test_a_text_shorter_than_an_n_gram_is_an_error() -> None:
    with pytest.raises(ValueError, match="text: expected at least 3 words, got 2"):
        KneserNey(np.array([0, 1]), 2, 3)
