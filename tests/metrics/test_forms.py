"""Metrics of sets of labels and of numbers, against scikit-learn and scipy."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, mean_squared_error
from sklearn.preprocessing import MultiLabelBinarizer

from mtl.metrics import UNDEFINED, Pearson, SetF1, SquaredError

LABELS = "abc"
sets = st.frozensets(st.sampled_from(LABELS))
numbers = st.integers(-3, 3).map(float)
pairs_of_numbers = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12)


def varied(pairs):
    return all(len(set(side)) > 1 for side in zip(*pairs, strict=True))


def scores(metric, pairs):
    metric.update(*map(list, zip(*pairs, strict=True)))
    return metric.compute()


def labels_of(pairs):
    return sorted(frozenset().union(*(gold | guess for gold, guess in pairs)))


@given(st.lists(st.tuples(sets, sets), max_size=8).filter(lambda p: len(labels_of(p)) > 1))
def test_scores_of_sets_equal_those_of_scikit_learn(pairs):
    rows = MultiLabelBinarizer(classes=labels_of(pairs))
    gold, guess = (rows.fit_transform(side) for side in zip(*pairs, strict=True))
    expected = {
        "set_f1": f1_score(gold, guess, average="micro", zero_division=0),
        "macro_f1": f1_score(gold, guess, average="macro", zero_division=0),
        "subset_accuracy": accuracy_score(gold, guess),
    }
    if not gold.any():
        expected |= {"set_f1": UNDEFINED, "macro_f1": UNDEFINED}
    assert scores(SetF1(), pairs) == pytest.approx(expected, nan_ok=True)


def test_an_empty_set_is_correct_for_an_empty_gold_set():
    found = scores(SetF1(), [(frozenset(), frozenset()), (frozenset("a"), frozenset("ab"))])
    assert found["subset_accuracy"] == 0.5


@given(pairs_of_numbers.filter(varied))
def test_correlations_equal_those_of_scipy(pairs):
    gold, guess = zip(*pairs, strict=True)
    expected = {"pearson": pearsonr(gold, guess)[0], "spearman": spearmanr(gold, guess)[0]}
    assert scores(Pearson(), pairs) == pytest.approx(expected, abs=1e-9)


@given(pairs_of_numbers)
def test_the_squared_error_equals_that_of_scikit_learn(pairs):
    expected = mean_squared_error(*zip(*pairs, strict=True))
    assert scores(SquaredError(), pairs) == {"squared_error": pytest.approx(expected)}


@pytest.mark.parametrize("pairs", [[], [(1.0, 2.0)], [(0.1, 1.0), (0.1, 2.0), (0.1, 3.0)]])
def test_what_does_not_vary_has_no_correlation(pairs):
    metric = Pearson()
    metric.update([gold for gold, _ in pairs], [guess for _, guess in pairs])
    assert metric.compute() == {"pearson": UNDEFINED, "spearman": UNDEFINED}


def test_predictions_that_do_not_vary_have_the_correlation_zero():
    assert scores(Pearson(), [(1.0, 3.0), (2.0, 3.0)]) == {"pearson": 0, "spearman": 0}


def test_ranks_see_the_order_alone():
    found = scores(Pearson(), [(n, math.exp(n)) for n in (1.0, 2.0, 5.0, 9.0)])
    assert found["spearman"] == pytest.approx(1)
    assert found["pearson"] < 0.9


def test_other_forms_are_an_error():
    with pytest.raises(ValueError, match="expected a set of labels, got 'a'"):
        SetF1().update(["a"], ["a"])
    with pytest.raises(ValueError, match="expected a number, got 'a'"):
        Pearson().update(["a"], ["a"])


def test_sets_may_be_mutable() -> None:
    pairs = [({"a", "b"}, {"a"}), (set(), {"c"})]
    frozen = [tuple(map(frozenset, pair)) for pair in pairs]
    assert scores(SetF1(), pairs) == scores(SetF1(), frozen)


def test_whole_numbers_are_numbers() -> None:
    assert scores(SquaredError(), [(1, 3), (2, 2)])["squared_error"] == 2
