"""Evaluation of models on splits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mtl.experiment import make_trainer
from mtl.metrics import Accuracy, SpanF1
from mtl.training.evaluation import Evaluation, evaluate
from tests.training.runs import corpus, prepared, sentence


def accuracy(gold: list[str], guess: list[str]) -> Accuracy:
    metric = Accuracy()
    metric.update(gold, guess)
    return metric


def test_evaluations_of_different_tasks_are_joined() -> None:
    first = Evaluation({"a": accuracy(["x"], ["x"])}, {"a": Counter(y=1)})
    joined = Evaluation.joined([first, Evaluation({"b": accuracy(["x", "y"], ["x", "x"])})])
    assert joined.scores() == {"a": {"accuracy": 1.0}, "b": {"accuracy": 0.5}}
    assert joined.unseen == {"a": Counter(y=1)}


def test_scores_are_those_of_the_predictions(tmp_path: Path) -> None:
    experiment, corpora = prepared(tmp_path, {"ner": {"use": "c/ner"}}, epochs=9)
    list(make_trainer(experiment, corpora).run())
    predictor, split = experiment.predictor, corpora["c"].splits["train"]
    expected = SpanF1()
    guesses = [predictor.predict([example], ["ner"])[0]["ner"] for example in split]
    expected.update([example.labels["ner"] for example in split], guesses)
    assert evaluate(predictor, split, {"ner": SpanF1}).scores() == {"ner": expected.compute()}
    assert expected.compute()["recall"] > 0


def test_sentences_without_labels_do_not_count(tmp_path: Path) -> None:
    written = {"c": corpus(tmp_path, "c", 10, verb=7)}
    experiment, corpora = prepared(tmp_path, {"verb": {"use": "c/verb"}}, written)
    found = evaluate(experiment.predictor, corpora["c"].splits["train"], {"verb": Accuracy})
    assert sum(row["support"] for row in found.metrics["verb"].per_label().values()) == 3


def test_unseen_labels_are_errors_and_are_reported(tmp_path: Path) -> None:
    written = {"c": corpus(tmp_path, "c", 1)}  # a single word with the tag X
    experiment, corpora = prepared(tmp_path, {"pos": {"use": "c/pos"}}, written)
    gold = [tag for i in range(1, 7) for tag in sentence(i)["pos"]]
    found = experiment.evaluate(corpora.values(), "dev")
    assert found.unseen["pos"] == Counter(tag for tag in gold if tag != "X")
    assert found.scores()["pos"]["accuracy"] == pytest.approx(6 / len(gold))


def test_a_split_that_no_corpus_has_gives_nothing(tmp_path: Path) -> None:
    experiment, corpora = prepared(tmp_path, {"pos": {"use": "c/pos"}})
    assert not experiment.evaluate(corpora.values(), "test").metrics
