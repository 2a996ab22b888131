"""Counts of pairs, mutual information and singular vectors, against loops and numpy in float64."""

from __future__ import annotations

from collections import defaultdict
from math import log
from typing import Any

import numpy as np
import pytest

from mtl.analysis.word_vectors import PPMI, SVD
from mtl.analysis.word_vectors.cooccurrence import count_pairs
from mtl.analysis.word_vectors.ppmi import positive_information
from mtl.errors import MtlError
from tests.analysis.word_vectors.texts import TEXT, of_topics

SIZE = len(TEXT.words)


def counted(weights: list[float]) -> dict[tuple[int, int], float]:
    found: dict[tuple[int, int], float] = defaultdict(float)
    for i in range(len(TEXT.ids)):
        for j in range(len(TEXT.ids)):
            if 0 < abs(i - j) <= len(weights) and TEXT.lines[i] == TEXT.lines[j]:
                found[int(TEXT.ids[i]), int(TEXT.ids[j])] += weights[abs(i - j) - 1]
    return found


def learned(method: PPMI, dim: int, text: Any = TEXT) -> Any:
    return method.learn(text, dim, seed=1, progress=lambda done: None)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 1.0], [1.0, 0.5, 1 / 3]])
def test_pairs_within_a_sentence_are_counted_on_both_sides(weights: list[float]) -> None:
    words, contexts, counts = count_pairs(TEXT, weights)
    found = {(int(w), int(c)): n for w, c, n in zip(words, contexts, counts, strict=True)}
    assert found == pytest.approx(counted(weights))
    assert list(found) == sorted(found)


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize(("smoothing", "shift"), [(1.0, 1.0), (0.75, 1.0), (0.75, 3.0), (0.0, 1.0)])
def test_information_follows_the_formula(dynamic: bool, smoothing: float, shift: float) -> None:
    pairs = counted([1.0, 2 / 3, 1 / 3] if dynamic else [1.0] * 3)
    total = sum(pairs.values())
    share = [sum(n for (w, _), n in pairs.items() if w == word) / total for word in range(SIZE)]
    smoothed = [value**smoothing if value else 0 for value in share]
    expected = np.zeros((SIZE, SIZE))
    for (word, context), count in pairs.items():
        chance = share[word] * smoothed[context] / sum(smoothed)
        expected[word, context] = max(0.0, log(count / total / chance) - log(shift))
    method = PPMI(window=3, dynamic=dynamic, smoothing=smoothing, shift=shift)
    found = learned(method, SIZE)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert (found > 0).any()
    np.testing.assert_array_equal(learned(method, 3), found[:, :3])


@pytest.mark.parametrize("weighting", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("add_contexts", [False, True])
def test_singular_vectors_are_those_of_the_dense_matrix(
    weighting: float, add_contexts: bool
) -> None:
    text = of_topics(60)
    method = SVD(window=3, weighting=weighting, add_contexts=add_contexts)
    words, contexts, values = method.information(text, 1, lambda done: None)
    dense = np.zeros((len(text.words),) * 2)
    dense[words, contexts] = values
    left, scales, right = np.linalg.svd(dense)
    expected = left[:, :4] * scales[:4] ** weighting
    if add_contexts:
        expected += right[:4].T * scales[:4] ** weighting
    found = learned(method, 4, text)
    # The signs of singular vectors are free.
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, rtol=1e-3, atol=1e-4)


def test_the_random_part_of_the_decomposition_has_a_seed() -> None:
    text = of_topics(60)
    assert np.array_equal(learned(SVD(), 3, text), learned(SVD(), 3, text))


def test_frequent_words_can_be_left_out_of_the_counts() -> None:
    text = of_topics(60)
    whole, part = (PPMI(subsample=t).information(text, 1, lambda done: None) for t in (0, 0.01))
    assert not np.array_equal(whole.counts, part.counts)


def test_a_pair_that_is_as_frequent_as_by_chance_has_no_information() -> None:
    pairs = count_pairs(of_topics(2), [1.0])
    alike = pairs._replace(counts=np.ones(len(pairs.counts)))
    assert (positive_information(alike, 1.0, 1.0).counts > 0).all()


@pytest.mark.parametrize("method", [PPMI(), SVD()])
def test_vectors_are_not_wider_than_the_number_of_words(method: PPMI) -> None:
    with pytest.raises(MtlError, match=f"dim: expected at most {SIZE}, .* got {SIZE + 1}"):
        learned(method, SIZE + 1)
