"""Contracts of all mixings; for the sampler see tests/data/test_mixing.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.batching import generator
from mtl.data.mixing import MIXING
from tests.contracts.variants import Variant, over, variants

OPTIONS = {
    "temperature": [{}, {"temperature": 0.01}, {"temperature": 100.0}],
    "progress": [{}, {"power": 16.0, "smoothing": 0.001}],
}
mixings = over(variants(MIXING, OPTIONS))
some_sizes = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5000), min_size=1)


@mixings
@given(sizes=some_sizes, step=st.integers(0, 10**6))
def test_probabilities_of_all_corpora_sum_to_one(
    variant: Variant, sizes: dict[str, int], step: int
) -> None:
    probabilities = variant.make(sizes, 3).probabilities(step)
    assert list(probabilities) == list(sizes)
    assert all(0 <= p <= 1 for p in probabilities.values())
    assert sum(probabilities.values()) == pytest.approx(1)


@mixings
def test_answers_depend_on_the_step_alone(variant: Variant) -> None:
    sizes = {"a": 9, "b": 2}
    walked = variant.make(sizes, 3)
    forth = [walked.probabilities(step) for step in range(40)]
    assert [variant.make(sizes, 3).probabilities(step) for step in range(40)] == forth
    assert [walked.probabilities(step) for step in reversed(range(40))] == forth[::-1]
    assert sizes == {"a": 9, "b": 2}


@mixings
@given(reached=st.dictionaries(st.sampled_from("ab"), st.floats(0, 1)))
def test_scores_change_draws_only_where_they_are_needed(
    variant: Variant, reached: dict[str, float]
) -> None:
    mixing = variant.make({"a": 9, "b": 2}, 3)
    factors = mixing.factors(reached)
    assert list(factors) == ["a", "b"]
    assert all(0 < factor < float("inf") for factor in factors.values())
    assert mixing.needs_scores or set(factors.values()) == {1.0}


@mixings
def test_a_single_corpus_is_always_drawn(variant: Variant) -> None:
    mixing = variant.make({"a": 7}, 2)
    assert mixing.steps_per_epoch == 7
    assert [mixing.probabilities(step)["a"] for step in range(14)] == pytest.approx([1] * 14)


@mixings
@given(counts=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=1))
def test_the_order_has_every_corpus_as_often_as_asked(
    variant: Variant, counts: dict[str, int]
) -> None:
    order = variant.make(counts, 1).order(counts, generator(1))
    assert {corpus: order.count(corpus) for corpus in counts} == counts
    assert len(order) == sum(counts.values())
