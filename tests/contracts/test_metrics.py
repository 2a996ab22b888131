"""Contracts of all metrics; for the scores see tests/metrics."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mtl.metrics import METRICS, Metric
from tests.contracts.variants import Variant, over, variants

OPTIONS = {
    "f1": [{"average": "macro"}, {"average": "micro"}],
    "top_k": [{"k": 1}],
    "word_top_k": [{"k": 1}],
}
metrics = over(variants(METRICS, OPTIONS))
Sentences = list[tuple[str, ...]]
GOLD = [("B-X", "I-X", "O"), ("O", "B-Y"), ("O",), ("B-Y", "B-X", "I-X", "O")]
WRONG = [tuple("O" if tag != "O" else "B-Z" for tag in tags) for tags in GOLD]
GUESS = [("B-X", "O", "O"), ("O", "B-Y"), ("B-Y",), ("B-Y", "B-Z", "I-Z", "O")]


def formed(variant: Variant, sentences: Sentences) -> list[Any]:
    """The labels in the form that the metric reads."""
    if variant.cls.level == "sentence":
        return [tags[0] for tags in sentences]
    found = [[tag for tag in tags if tag != "O"] for tags in sentences]
    if variant.cls.reads == "sets":
        return [frozenset(tags) for tags in found]
    if variant.cls.reads == "distributions":
        return [{tag: tags.count(tag) / len(tags) for tag in tags} for tags in sentences]
    return [float(len(t)) for t in found] if variant.cls.reads == "numbers" else sentences


def predicted(variant: Variant, gold: Sentences, guess: Sentences) -> Any:
    """The input of the metric: predicted labels, or log probabilities of the gold labels."""
    if variant.cls.ranked:
        return [(tags[0], "B-X", "B-Y", "O") for tags in guess]
    if variant.cls.reads != "log_probs":
        return formed(variant, guess)
    rows = [zip(*both, strict=True) for both in zip(gold, guess, strict=True)]
    if variant.cls.reads_ranks:
        return [[0 if right == own else 3 for right, own in row] for row in rows]
    return [[-0.1 if right == own else -2.3 for right, own in row] for row in rows]


def counted(variant: Variant, gold: Sentences, guess: Sentences) -> Metric:
    metric = variant.make()
    metric.update(formed(variant, gold), predicted(variant, gold, guess))
    return metric


def score(metric: Metric) -> float:
    """The score of the task, higher better."""
    sign = 1 if metric.higher_is_better else -1
    return sign * next(iter(metric.compute().values()))


@metrics
def test_perfect_beats_middling_beats_wrong(variant: Variant) -> None:
    perfect, middling, wrong = (score(counted(variant, GOLD, g)) for g in (GOLD, GUESS, WRONG))
    assert perfect > middling > wrong


@metrics
@given(cut=st.integers(0, 4), order=st.permutations(range(4)))
def test_parts_in_any_order_merge_to_the_whole(
    variant: Variant, cut: int, order: list[int]
) -> None:
    gold, guess = ([sentences[i] for i in order] for sentences in (GOLD, GUESS))
    merged = counted(variant, gold[:cut], guess[:cut])
    merged.merge(counted(variant, gold[cut:], guess[cut:]))
    whole = counted(variant, GOLD, GUESS)
    assert merged.compute() == whole.compute()
    assert merged.per_label() == whole.per_label()


@metrics
def test_merging_leaves_the_other_as_it_was(variant: Variant) -> None:
    one, other = counted(variant, GOLD, GUESS), counted(variant, GOLD, WRONG)
    one.merge(other)
    assert other.compute() == counted(variant, GOLD, WRONG).compute()


@metrics
def test_computing_changes_nothing(variant: Variant) -> None:
    metric = counted(variant, GOLD, GUESS)
    assert metric.compute() == metric.compute()
    metric.update(formed(variant, GOLD), predicted(variant, GOLD, GUESS))
    assert metric.compute() == counted(variant, GOLD * 2, GUESS * 2).compute()


@metrics
def test_rows_of_labels_have_precision_recall_f1_and_support(variant: Variant) -> None:
    rows = counted(variant, GOLD, GUESS).per_label()
    assert bool(rows) == (variant.cls.reads in ("labels", "sets"))
    assert all(list(row) == ["precision", "recall", "f1", "support"] for row in rows.values())
    assert list(rows) == sorted(rows)
