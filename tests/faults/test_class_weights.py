"""Balanced class weights follow from the training data, and are saved with the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

import mtl
from tests.cli.command import mtl as command
from tests.faults.project import KINDS, SPANS, TAGS, Project

TABLE = "text\tkind\n" + "a b\tx\n" * 7 + "b c\ty\n" * 2 + "c d\tz\n"
TOKENS = "a X\nb Y\nc _\n\n" * 3 + "d X\ne Z\n\n" * 2


@pytest.mark.parametrize("head", ["pool", "cnn", "attention", "domain", "domain_distance"])
def test_classifiers_of_every_kind(head: str) -> None:
    part = {"type": head, "class_weights": "balanced", "label_smoothing": 0.1}
    task = {**KINDS, "head": part}
    files = {"train.tsv": TABLE, "dev.tsv": TABLE}
    made = Project(task, files, reader={"type": "tsv"}, training={"metric": "t.accuracy"})
    assert made.train().code == 0
    Path("train.tsv").unlink()
    labels = [line.split("\t")[1] for line in TABLE.splitlines()[1:]]
    _compare(labels, ["x", "y", "z"])
    assert command("predict", "r", "-", stdin="a b").code == 0


@pytest.mark.parametrize("head", ["softmax", "constrained", "crf"])
def test_taggers_count_the_labelled_tokens(head: str) -> None:
    task = {**TAGS, "head": {"type": head, "class_weights": "balanced"}}
    made = Project(task, {"train.txt": TOKENS, "dev.txt": TOKENS})
    assert made.train().code == 0
    labels = [line.split()[1] for line in TOKENS.splitlines() if line]
    _compare([label for label in labels if label != "_"], ["X", "Y", "Z"])


def test_spans_are_counted_in_the_tags_of_the_head() -> None:
    head = {"type": "crf", "scheme": "iobes", "class_weights": "balanced"}
    text = "Ann B-X\nran O\n\n" * 3 + "Bo B-X\nLee I-X\nran O\noff O\n\n"
    made = Project({**SPANS, "head": head}, {"train.txt": text, "dev.txt": text})
    assert made.train().code == 0
    _compare([*["S-X", "O"] * 3, "B-X", "E-X", "O", "O"], ["S-X", "O", "B-X", "E-X"])


def _compare(labels: list[str], classes: list[str]) -> None:
    head: Any = mtl.load("r").experiment.model.head("t")
    found = dict(zip(head.labels, head.class_weights.tolist(), strict=True))
    expected = compute_class_weight("balanced", classes=np.array(classes), y=labels)
    assert [found[label] for label in classes] == pytest.approx(expected.tolist())


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("{class_weights: {x: 2, why: 3}}", "unknown label 'why'; expected one of: x, y, z"),
        ("{class_weights: even}", "class_weights: expected"),
        ("{class_weights: {x: -1}}", "class_weights.x: expected a number above 0, got -1"),
        ("{class_weights: {x: 1, y: a}}", "class_weights.y: expected a number above 0, got 'a'"),
        ("{label_smoothing: 1.5}", "label_smoothing: "),
    ],
)
def test_mistakes_are_one_error(head: str, message: str) -> None:
    files = {"train.tsv": TABLE, "dev.tsv": TABLE}
    checked = Project(KINDS, files, reader={"type": "tsv"}).check(f"tasks.t.head={head}")
    assert checked.code == 2
    assert message in checked.err
    assert checked.err.count("\n") == 1
    assert "Traceback" not in checked.err


def test_sets_have_no_class_weights() -> None:
    task = {"labels": {"column": "tag", "form": "set"}, "metric": "set_f1"}
    task["head"] = {"type": "pool", "class_weights": "balanced"}
    rows = '{"text": "a", "tag": ["x"]}\n'
    made = Project(task, {"train.jsonl": rows, "dev.jsonl": rows}, reader={"type": "jsonl"})
    checked = made.check()
    assert checked.code == 2
    assert "class_weights: expects one label per sentence; leave it out" in checked.err
