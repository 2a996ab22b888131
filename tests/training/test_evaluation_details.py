"""Numbers per label, confusion and labels of an evaluation, as in scikit-learn and seqeval."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report as span_report
from seqeval.scheme import IOB2
from sklearn.metrics import classification_report, confusion_matrix, multilabel_confusion_matrix

import mtl
from mtl.metrics import METRICS
from mtl.metrics.base import Pair
from mtl.text.spans import read_spans
from mtl.training.evaluation import Evaluation
from tests.cli import project as small


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> mtl.TrainedModel:
    """A model that has not learned much, so that it makes many errors."""
    folder = tmp_path_factory.mktemp("project")
    small.write(folder)
    changes = {"training.epochs": 3, "training.optimizer.lr": 0.01}
    return mtl.train(folder / "run.yaml", changes, output=folder / "run", progress=False)


@pytest.fixture
def found(model: mtl.TrainedModel) -> Evaluation:
    return model.evaluate("dev", labels=True)


def flat(rows: Sequence[Any]) -> list[str]:
    return [label for row in rows for label in ([row] if isinstance(row, str) else row)]


def same(table: dict[str, dict[str, float]], report: dict[str, Any], labels: Sequence[str]) -> None:
    for label in labels:
        expected = {name.replace("-score", ""): value for name, value in report[label].items()}
        assert table[label] == pytest.approx(expected), label


@pytest.mark.parametrize("task", ["pos", "mood"])
def test_labels_as_in_scikit_learn(found: Evaluation, task: str) -> None:
    gold, predicted = flat(found.gold[task]), flat(found.predicted[task])
    table = found.per_label()[task]
    report = classification_report(gold, predicted, output_dict=True, zero_division=0)
    same(table, report, sorted(table))
    assert set(table) == {*gold, *predicted}
    matrix = confusion_matrix(gold, predicted, labels=sorted(table))
    counts = found.confusion()[task]
    ours = [[counts.get(a, {}).get(b, 0) for b in sorted(table)] for a in sorted(table)]
    assert ours == matrix.tolist()


def test_spans_as_in_seqeval(found: Evaluation) -> None:
    gold, predicted = found.gold["ner"], found.predicted["ner"]
    report = span_report(
        gold, predicted, output_dict=True, zero_division=0, mode="strict", scheme=IOB2
    )
    same(found.per_label()["ner"], report, ["LOC", "PER"])


def test_gold_and_predicted_labels_are_plain_lists(
    model: mtl.TrainedModel, found: Evaluation
) -> None:
    assert found.gold["mood"] == [row[1] for row in rows("data/mood.dev.tsv", model)[1:]]
    sentences = (model.folder.parent / "data/dev.txt").read_text().strip().split("\n\n")
    words = [[line.split()[0] for line in block.splitlines()] for block in sentences]
    assert found.predicted["pos"] == model.predict(words)["pos"]
    assert json.loads(json.dumps(found.gold)) == found.gold
    assert model.evaluate("dev").gold == {}


def rows(name: str, model: mtl.TrainedModel) -> list[list[str]]:
    return [line.split("\t") for line in (model.folder.parent / name).read_text().splitlines()]


TAGS = st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"])
SEQUENCES = st.lists(st.tuples(TAGS, TAGS), max_size=9)


@given(st.lists(SEQUENCES, max_size=4))
def test_pairs_of_spans_add_up_to_the_counts(sentences: list[list[tuple[str, str]]]) -> None:
    gold = [tuple(a for a, _ in sentence) for sentence in sentences]
    predicted = [tuple(b for _, b in sentence) for sentence in sentences]
    metric = METRICS.find("span_f1")()
    metric.update(gold, predicted)
    pairs = list(metric.pairs(gold, predicted))
    adds_up(metric.per_label(), pairs)
    assert len([a for a, _ in pairs if a]) == sum(len(read_spans(tags)) for tags in gold)
    assert (None, None) not in pairs


def adds_up(table: dict[str, dict[str, float]], pairs: list[Pair]) -> None:
    for label, row in table.items():
        gold = sum(a == label for a, _ in pairs)
        predicted = sum(b == label for _, b in pairs)
        both = pairs.count((label, label))
        assert row["support"] == gold
        assert row["precision"] == pytest.approx(both / predicted if predicted else 0)
        assert row["recall"] == pytest.approx(both / gold if gold else 0)


SETS = st.frozensets(st.sampled_from("abc"))


@given(st.lists(st.tuples(SETS, SETS), min_size=1, max_size=6))
def test_pairs_of_sets_as_in_scikit_learn(
    sentences: list[tuple[frozenset[str], frozenset[str]]],
) -> None:
    gold, predicted = map(list, zip(*sentences, strict=True))
    pairs = list(METRICS.find("set_f1").pairs(gold, predicted))

    def rows(sets: list[frozenset[str]]) -> list[list[int]]:
        return [[int(label in own) for label in "abc"] for own in sets]

    matrices = multilabel_confusion_matrix(rows(gold), rows(predicted))
    for label, matrix in zip("abc", matrices, strict=True):
        assert pairs.count((label, label)) == matrix[1, 1]
        assert pairs.count((label, None)) == matrix[1, 0]
        assert pairs.count((None, label)) == matrix[0, 1]


def test_evaluations_without_labels_have_no_details() -> None:
    make: Callable[[], Any] = METRICS.find("pearson")
    metric = make()
    metric.update([1.0, 2.0], [1.0, 3.0])
    evaluation = Evaluation({"stars": metric})
    assert set(evaluation.to_dict()["stars"]) == {"pearson", "spearman"}
    assert str(evaluation) == "stars: pearson 1.0000, spearman 1.0000"
