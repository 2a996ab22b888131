"""Exact match and top-k accuracy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score

from mtl.errors import ConfigError, MtlError
from mtl.experiment import make_trainer
from mtl.metrics import ExactMatch, TopK, WordTopK
from mtl.text.example import Example
from mtl.text.running import END
from mtl.training.cache import Cache
from tests.training.runs import corpus, prepared
from tests.training.texts import language_model, words_of

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


def test_the_most_probable_words_are_counted_over_tokens() -> None:
    metric = WordTopK(k=2)
    metric.update([("a", "b"), ("c",)], [[0, 1], [2]])
    assert metric.compute() == {"word_top_k": 2 / 3, "accuracy": 1 / 3}
    with pytest.raises(ValueError, match="expected 1 ranks, got 2"):
        metric.update([("a",)], [[0, 1]])
    assert all(map(math.isnan, WordTopK().compute().values()))


@pytest.mark.parametrize("attention", [None, "key_value"])
def test_words_are_ranked_by_the_log_probabilities_of_the_head(
    attention: str | None, tmp_path: Path
) -> None:
    """The oracle is top_k_accuracy_score on the text as one stream, read in one go."""
    head = {"type": "lm", "dropout": 0.0, "attention": attention}
    tasks = {"next": {"use": "t/next", "metric": {"type": "word_top_k", "k": 2}, "head": head}}
    experiment, corpora = language_model(tmp_path, {"type": "lstm"}, tasks)
    found = experiment.evaluate([corpora["t"]], "dev", streams=1).scores()["next"]
    words = words_of(corpora["t"].splits["dev"])
    batch = experiment.batcher.batch([Example(tuple(words))])
    model = experiment.model.eval()
    with torch.no_grad():
        hidden = model.encode(batch, ["next"]).hidden["next"]
        scores = model.head("next").log_probs(hidden, batch.mask)[0].numpy()
    gold = np.array(experiment.batcher.targets["next"].encode((*words[1:], END)))
    for name, k in {"word_top_k": 2, "accuracy": 1}.items():
        expected = top_k_accuracy_score(gold, scores, k=k, labels=range(scores.shape[1]))
        assert found[name] == pytest.approx(expected)
    with pytest.raises(MtlError, match=r"task 'next': the cache changes the prob"):
        experiment.evaluate([corpora["t"]], "dev", cache=Cache(10, 0.3, 0.1))
