"""Tokens with "_", -1 or null have no label: they are neither learnt nor scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import mtl
from tests.faults.project import KINDS, SPANS, TAGS, Project

UD = "\t".join(["{}", "{}", "_", "_", "{}", *"_____"])
ROWS = [[("Dogs", "N"), ("bark", "_"), ("loud", "_")], [("Cats", "N"), ("sleep", "V")]]
ROWS += [[("birds", "_")]]
FILES = {
    "conll": "\n\n".join("\n".join(" ".join(row) for row in rows) for rows in ROWS * 3),
    "conllu": "".join(
        "".join(f"{UD.format(n, *row)}\n" for n, row in enumerate(rows, 1)) + "\n"
        for rows in ROWS * 3
    ),
    "jsonl": "\n".join(
        json.dumps(
            {"tokens": [w for w, _ in rows], "tag": [None if t == "_" else t for _, t in rows]}
        )
        for rows in ROWS * 3
    ),
    "jsonl, numbers": "\n".join(
        json.dumps(
            {"tokens": [w for w, _ in rows], "tag": [{"N": 0, "V": 1, "_": -1}[t] for _, t in rows]}
        )
        for rows in ROWS * 3
    ),
}
READERS = {
    "conll": {"type": "conll", "columns": ["tokens", "tag"]},
    "conllu": {"type": "conllu"},
    "jsonl": {"type": "jsonl"},
    "jsonl, numbers": {"type": "jsonl"},
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("head", ["softmax", "crf", "constrained"])
@pytest.mark.parametrize("kind", FILES)
def test_they_are_no_label_in_any_format(kind: str, head: str) -> None:
    text = FILES[kind]
    task = {**TAGS, "labels": "xpos" if kind == "conllu" else "tag", "head": head}
    files = {"train.txt": text, "dev.txt": text}
    project = Project(task, files, reader=READERS[kind], training={"epochs": 5})
    checked = project.check()
    assert f"{head}, last layer, 2 labels" in checked.out, checked
    assert project.train().code == 0
    labels = ("0", "1") if "numbers" in kind else ("N", "V")
    assert project.support() == dict(zip(labels, (6, 3), strict=True))
    predicted = mtl("predict", "r", "-", "--format", "jsonl", stdin="Dogs bark loud")
    tags = json.loads(predicted.out)["t"]
    assert len(tags) == 3
    assert set(tags) <= set(labels)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("scheme", [None, "bio"])
@pytest.mark.parametrize("head", ["softmax", "crf", {"type": "crf", "constrained": True}])
def test_missing_classes_of_the_hub_are_no_label(head: object, scheme: str | None) -> None:
    if scheme is None and isinstance(head, dict):
        return
    datasets = pytest.importorskip("datasets")
    names = datasets.ClassLabel(names=["O", "B-PER", "I-PER"])
    columns = {"tokens": datasets.List(datasets.Value("string")), "tag": datasets.List(names)}
    columns["kind"] = datasets.ClassLabel(names=["neg", "pos"])
    rows = [
        {"tokens": ["Anna", "lacht"], "tag": [1, 0], "kind": 1},
        {"tokens": ["Anna", "Maria", "weint"], "tag": [1, -1, 0], "kind": -1},
        {"tokens": ["Er", "geht"], "tag": [-1, -1], "kind": 0},
    ] * 5
    data = datasets.Dataset.from_list(rows, features=datasets.Features(columns))
    data.to_parquet("data/train.parquet")
    reader = {"type": "hub", "name": str(Path("data").absolute())}
    reader["data_files"] = {"train": "train.parquet"}
    metric = "span_f1" if scheme else "f1"
    task = {"labels": "tag", "scheme": scheme, "head": head, "metric": metric}
    files = {"train": "", "dev": ""}
    project = Project(task, files, reader=reader, kind=KINDS)
    text = Path("run.yaml").read_text().replace("dev: dev", "dev: train")
    Path("run.yaml").write_text(text)
    assert project.train().code == 0
    found = project.support()
    assert {"neg": found.pop("neg"), "pos": found.pop("pos")} == {"neg": 5, "pos": 5}
    assert found == ({"PER": 10} if scheme else {"B-PER": 10, "O": 10})


@pytest.mark.sampled(3)
@pytest.mark.parametrize("target", [None, "iobes", "iob1"])
@pytest.mark.parametrize("head", ["softmax", "crf", "constrained"])
def test_spans_may_be_partly_labelled_in_any_scheme(head: str, target: str | None) -> None:
    text = "Anna B-PER\nMaria _\nweint O\n\nin O\nNew _\nYork I-LOC\n\nBonn B-LOC\n\n" * 4
    task = {**SPANS, "head": {"type": head, "scheme": target}}
    project = Project(task, {"train.txt": text, "dev.txt": text}, training={"epochs": 3})
    assert "tags that break the scheme" not in project.check().out
    assert project.train().code == 0
    assert project.support() == {"PER": 4, "LOC": 8}


def test_a_feature_that_a_word_lacks_is_a_label() -> None:
    row = "{}\t{}\t_\tX\t_\t{}\t_\t_\t_\t_\n"
    text = (row.format(1, "a", "Number=Sing") + row.format(2, "b", "_") + "\n") * 4
    files = {"train.txt": text, "dev.txt": text}
    task = {**TAGS, "labels": {"feature": "Number"}}
    project = Project(task, files, reader={"type": "conllu"})
    assert project.train().code == 0
    assert project.support() == {"_": 4, "Sing": 4}


def test_a_sentence_with_the_placeholder_has_no_label() -> None:
    text = "text\tkind\na b\tx\nb c\ty\nc d\t_\n"
    project = Project(KINDS, {"train.tsv": text, "dev.tsv": text}, reader={"type": "tsv"})
    assert project.train().code == 0
    assert project.support() == {"x": 1, "y": 1}
