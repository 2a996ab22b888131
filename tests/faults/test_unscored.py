"""A task that cannot be scored shows no score, and decides nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import mtl
from tests.faults.project import KINDS, SPANS, TAGS, Project

TSV = {"type": "tsv"}
MOOD = {**KINDS, "labels": "mood"}
HEADER = "text\tkind\tmood\n"
TRAIN = HEADER + "a b\tx\tgood\nb c\ty\tbad\nc a\tx\tgood\n"
UNLABELLED = HEADER + "a b\t\tgood\nb c\t\tbad\n"


def project(**training: object) -> Project:
    files = {"train.tsv": TRAIN, "dev.tsv": UNLABELLED}
    return Project(KINDS, files, reader=TSV, training=training, mood=MOOD)


def test_a_task_without_dev_labels_shows_a_dash_everywhere() -> None:
    made = project()
    trained = made.train()
    assert trained.code == 0
    row = next(line for line in trained.err.splitlines() if line.startswith("│ t "))
    assert row.split("│")[2].strip() == "–"
    assert [epoch["dev"]["t"] for epoch in made.epochs()] == [{"accuracy": None}] * 2
    assert "t.accuracy –" in Path("r/log.txt").read_text()
    evaluated = made.evaluate()
    assert "│ t    │        – │" in evaluated.out
    assert "t: not scored" in evaluated.err
    scores = json.loads(made.evaluate("--json").out)
    assert scores["t"] == {"accuracy": None}
    assert scores["mood"]["accuracy"] is not None
    shown = mtl("report", "r", "--task", "t").out
    (row,) = [line.split("│") for line in shown.splitlines() if line.startswith("│ t ")]
    assert [cell.strip() for cell in row[2:4]] == ["accuracy –", ""]
    reported = json.loads(mtl("report", "r", "--format", "json").out)
    assert reported["runs"]["r"]["dev"]["t"]["accuracy"]["mean"] is None


def test_it_does_not_decide_the_best_epoch() -> None:
    made = project(epochs=3)
    assert made.train().code == 0
    for epoch in made.epochs():
        assert epoch["score"] == epoch["dev"]["mood"]["accuracy"]


def test_several_seeds_have_no_mean_of_nothing() -> None:
    made = project()
    trained = made.train("seeds=2")
    assert trained.code == 0
    assert "nan" not in trained.out
    summary = json.loads(Path("r/summary.json").read_text())
    assert summary["dev"]["t"]["accuracy"] == {"mean": None, "sd": None, "values": [None, None]}
    assert "nan" not in mtl("report", "r").out + made.evaluate().out
    assert "NaN" not in made.evaluate("--json").out + mtl("report", "r", "--format", "json").out


def test_a_run_without_any_score_saves_the_last_epoch() -> None:
    files = {"train.tsv": TRAIN, "dev.tsv": UNLABELLED}
    made = Project(KINDS, files, reader=TSV)
    trained = made.train()
    assert trained.code == 0
    assert "note: no task has a dev score: the last epoch is saved" in trained.err
    assert [epoch["improved"] for epoch in made.epochs()] == [True, True]
    assert json.loads(made.evaluate("--json").out) == {"t": {"accuracy": None}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.metric=t.accuracy", "the dev set of 't' has no labels that can be scored"),
        ("training.schedule=plateau", "'plateau' follows the scores on a dev set, and no task"),
        ("training.mixing=progress", "'progress' follows the scores on a dev set, and no task"),
    ],
)
def test_a_run_that_needs_the_missing_score_is_refused(override: str, message: str) -> None:
    files = {"train.tsv": TRAIN, "dev.tsv": UNLABELLED}
    made = Project(KINDS, files, reader=TSV)
    for checked in (made.check(override), made.train(override)):
        assert checked.code == 2
        assert message in checked.err
        assert "Traceback" not in checked.err


def test_all_sentences_are_tried() -> None:
    dev = UNLABELLED + "a b\t\tgood\n" * 1500 + "c a\tx\tgood\n"
    made = Project(KINDS, {"train.tsv": TRAIN, "dev.tsv": dev}, reader=TSV)
    assert made.train().code == 0
    assert {epoch["dev"]["t"]["accuracy"] for epoch in made.epochs()} <= {0, 1}


@pytest.mark.parametrize("complete", [0, 1])
def test_partial_labels_need_one_sentence_that_can_be_scored_at_any_place(complete: int) -> None:
    labels = {"column": "tag", "form": "partial", "separator": "|"}
    dev = "a X|Y\n\n" * 1500 + "b Y\n\n" * complete
    files = {"train.txt": "a X\n\nb Y\n", "dev.txt": dev}
    result = Project({**TAGS, "labels": labels, "head": "crf"}, files).check()
    assert result.code == (0 if complete else 2), result.err
    assert ("no sentence of dev can be scored" in result.err) == (not complete)


def test_spans_that_the_dev_set_lacks_have_no_f1() -> None:
    files = {"train.txt": "Ann B-X\nran O\n\n" * 4, "dev.txt": "it O\nran O\n\n"}
    made = Project(SPANS, files, pos={**TAGS, "metric": "f1"})
    assert made.train().code == 0
    for epoch in made.epochs():
        assert epoch["dev"]["t"] == {"span_f1": None, "precision": None, "recall": None}
        assert epoch["score"] == epoch["dev"]["pos"]["f1"]


def test_sets_without_dev_labels_fit_no_thresholds() -> None:
    rows = ['{"text": "a b", "tag": ["x"], "kind": "p"}', '{"text": "b", "tag": [], "kind": "q"}']
    task = {"labels": {"column": "tag", "form": "set"}, "head": "pool", "metric": "set_f1"}
    files = {"train.jsonl": "\n".join(rows), "dev.jsonl": '{"text": "a", "kind": "p"}'}
    made = Project(task, files, reader={"type": "jsonl"}, kind=KINDS)
    assert made.train().code == 0
    assert made.epochs()[0]["dev"]["t"]["set_f1"] is None


def test_two_models_on_nothing_are_not_compared() -> None:
    made = project()
    assert made.train().code == 0
    table = mtl("report", "--test", "r", "r", "--split", "dev")
    assert table.code == 0
    assert "nan" not in table.out
    found = mtl("report", "--test", "r", "r", "--split", "dev", "--format", "json").out
    assert json.loads(found)["test"]["t"]["p"] is None
    assert json.loads(found)["test"]["mood"]["p"] == 1


def test_relate_needs_scores_and_shows_no_negative_zero() -> None:
    files = {
        "train.txt": "Dogs O N\nbark O V\n\nCats O N\n\n",
        "dev.txt": "Dogs O N\nbark O V\n\nBonn B-LOC N\n\n",
    }
    reader = {"type": "conll", "columns": ["tokens", "tag", "pos"]}
    Project(SPANS, files, reader=reader, pos={**TAGS, "labels": "pos"})
    found = mtl("relate", "run.yaml", "--seeds", "1", "--epochs", "1", "--output", "rel")
    assert found.code == 0, found.err
    assert "-0.00" not in found.out
    row = next(line for line in found.out.splitlines() if "entropy" in line)
    assert row.split("│")[2].strip() == "0.00"
