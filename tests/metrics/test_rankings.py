"""Exact match and top-k accuracy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from mtl.errors import ConfigError
from mtl.experiment import make_trainer
from mtl.metrics import ExactMatch, TopK
from tests.training.runs import corpus, prepared

LABELS = ["a", "b", "c", "d"]


def test_a_sentence_matches_if_all_its_labelled_tokens_do() -> None:
    metric = ExactMatch()
    gold = [("a", "b"), ("a", None), ("a",), (None, None)]
    metric.update(gold, [("a", "b"), ("a", "x"), ("b",), ("a", "a")])
    assert metric.compute() == {"exact_match": 2 / 3, "accuracy": 3 / 4}


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_is_that_of_scikit_learn(k: int) -> None:
    rng = np.random.default_rng(k)
    scores, gold = rng.normal(size=(50, 4)), rng.integers(4, size=50)
    metric = TopK(k=k)
    rankings = [tuple(LABELS[i] for i in np.argsort(-row)) for row in scores]
    metric.update([LABELS[i] for i in gold], rankings)
    expected = top_k_accuracy_score(gold, scores, k=k, labels=range(4))
    assert metric.compute()["top_k"] == pytest.approx(expected)
    assert metric.compute()["accuracy"] == np.mean(scores.argmax(1) == gold)


def test_gold_labels_that_training_lacks_are_never_found() -> None:
    metric = TopK(k=4)
    metric.update(["z", "a"], [tuple(LABELS), tuple(LABELS)])
    assert metric.compute() == {"top_k": 0.5, "accuracy": 0.5}


@pytest.mark.parametrize("metric", [ExactMatch(), TopK()])
def test_nothing_to_compare_has_no_score(metric: ExactMatch | TopK) -> None:
    assert all(map(math.isnan, metric.compute().values()))


def test_both_are_scored_in_a_run(tmp_path: Path) -> None:
    tasks = {
        "verb": {"use": "c/verb", "metric": {"type": "top_k", "k": 2}},
        "pos": {"use": "c/pos", "metric": "exact_match"},
    }
    experiment, corpora = prepared(tmp_path, tasks, {"c": corpus(tmp_path, "c", 9)}, epochs=1)
    *_, epoch = make_trainer(experiment, corpora).run()
    scores = epoch.dev.scores()
    assert 0 <= scores["verb"]["accuracy"] <= scores["verb"]["top_k"] <= 1
    assert 0 <= scores["pos"]["exact_match"] <= scores["pos"]["accuracy"] <= 1
    assert epoch.dev.pairs["verb"].total() == epoch.dev.metrics["verb"].sentences


@pytest.mark.parametrize(
    ("task", "metric", "message"),
    [
        ("pos", "top_k", "'top_k' compares labels of sentences, the task has one value per token"),
        ("verb", "exact_match", "'exact_match' compares labels of tokens"),
    ],
)
def test_the_level_of_the_labels_must_be_that_of_the_metric(
    task: str, metric: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        prepared(tmp_path, {task: {"use": f"c/{task}", "metric": metric}})
