"""`mtl check` and `mtl train` note labels that are probably mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.project import KINDS, SPANS, TAGS, Project

GOOD = "The DET\ndog NOUN\n\nA DET\ncat NOUN\n\n"
TSV = {"type": "tsv"}
PARTIAL = {**TAGS, "labels": {"column": "tag", "form": "partial"}}
WEIGHTED = {**KINDS, "labels": {"column": "kind", "weight": "w"}}
TABLE = "text\tkind\na b\tx\nb c\ty\nc d\tx\nd e\ty\n"

CASES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "a label of dev alone": (
        TAGS,
        GOOD,
        "The DTE\ncat NOUN\ndog Noun\nit XYZ\n\n",
        "t: labels of dev that do not occur in train, counted as errors: "
        "DTE (1; did you mean 'DET'?), Noun (1; did you mean 'NOUN'?), XYZ (1)",
    ),
    "a type of span of dev alone": (
        SPANS,
        "Ann B-PER\nLee I-PER\n\n" * 2,
        "Bonn B-LOC\n\n" * 3,
        "t: labels of dev that do not occur in train, counted as errors: LOC (3)",
    ),
    "a frequent label that dev lacks": (
        TAGS,
        GOOD + "so ADV\n\n",
        "The DET\n\n",
        "t: labels that are frequent in train, but do not occur in dev: NOUN",
    ),
    "a single label": (
        TAGS,
        "a X\n\nb X\n\n",
        "a X\n\n",
        "t: train has only one label, 'X', so nothing is learned",
    ),
    "no span": (
        SPANS,
        "a O\n\nb O\n\n",
        "a B-X\n\n",
        "t: train has only one label, 'O', so nothing is learned",
    ),
    "a single example": (
        TAGS,
        GOOD + "so ADV\n\nwell INTJ\n\n",
        GOOD,
        "t: labels with a single example in train: ADV, INTJ",
    ),
    "two cases of one label": (
        TAGS,
        GOOD + "a Noun\nb Noun\n\n",
        GOOD,
        "t: 'NOUN' (2) and 'Noun' (2) are read as two labels; if they mean the same, write both "
        "in one way",
    ),
    "two forms of one number": (
        TAGS,
        "a 1\nb 1\n\nc 1.0\nd 1.0\ne 2\nf 2\n\n",
        "a 1\n\n",
        "t: '1' (2) and '1.0' (2) are read as two labels; if they mean the same, write both in "
        "one way",
    ),
    "a file without blank lines": (
        TAGS,
        "a X\nb Y\n" * 501,
        GOOD.replace("DET", "X").replace("NOUN", "Y"),
        "c: train: more than 1000 words; a blank line ends a sentence (1 sentence, first "
        "train.txt:1)",
    ),
    "tokens without a label": (
        TAGS,
        GOOD + "so _\nit NOUN\n\n",
        GOOD,
        "t: tokens without a label, neither learned nor scored: train 1 of 6",
    ),
    "several labels read as one": (
        PARTIAL,
        "a X\n\nb X|Y\n\nc Y\n\n",
        GOOD,
        "t: 'X|Y' is read as one label; if it stands for several possible labels, set "
        '`separator: "|"`',
    ),
    "several labels with another sign": (
        PARTIAL,
        "a X\n\nb X/Y\n\nc Y\n\n",
        GOOD,
        "t: 'X/Y' is read as one label; if it stands for several possible labels, set "
        '`separator: "/"`',
    ),
    "a dev set without labels": (
        TAGS,
        GOOD,
        "a _\nb _\n\n",
        "t: no sentence of dev is labelled, so it has no dev score",
    ),
    "a dev set without spans": (
        SPANS,
        "a B-X\n\nb B-X\n\n",
        "a O\n\n",
        "t: has no dev score for these labels, so it does not select the best epoch",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_check_and_train_note_it(name: str) -> None:
    task, train, dev, note = CASES[name]
    project = Project(task, {"train.txt": train, "dev.txt": dev})
    checked, trained = project.check(), project.train()
    assert checked.code == trained.code == 0
    assert f"note: {note}" in checked.out.splitlines()
    assert f"note: {note}" in trained.err.splitlines()


@pytest.mark.parametrize("task", [TAGS, PARTIAL])
def test_good_labels_are_listed_without_a_note(task: dict[str, Any]) -> None:
    project = Project(task, {"train.txt": GOOD, "dev.txt": "The DET\ndog NOUN\n\n"})
    checked = project.check("training.epochs=100")
    assert "note:" not in checked.out
    lines = checked.out.splitlines()
    start = lines.index("labels of t:")
    assert lines[start + 1 : start + 3] == [
        "  train: DET (2), NOUN (2)",
        "  dev: DET (1), NOUN (1)",
    ]


def test_spans_are_counted_by_type() -> None:
    text = "Ann B-PER\nLee I-PER\nin O\nBonn B-LOC\n\n" * 3
    out = Project(SPANS, {"train.txt": text, "dev.txt": "a O\n\nBo B-PER\n\n"}).check().out
    assert "labels of t:\n  train: PER (3), LOC (3)\n  dev: PER (1)\n" in out


def test_long_lists_are_cut() -> None:
    text = "".join(f"w L{n:03}\n\n" * 2 for n in range(500))
    out = Project(TAGS, {"train.txt": text, "dev.txt": "w L000\n\n"}).check().out
    (line,) = [line for line in out.splitlines() if line.startswith("  train: ")]
    assert line.endswith("L011 (2) and 488 others")
    assert len(line) < 200


def test_labels_of_other_forms_are_counted() -> None:
    rows = ['{"text": "a", "tag": {"x": 2, "y": 2}}', '{"text": "b", "tag": {"x": 1}}'] * 2
    soft = {"labels": {"column": "tag", "form": "soft"}, "head": "pool", "metric": "divergence"}
    files = {"train.jsonl": "\n".join(rows), "dev.jsonl": rows[0]}
    out = Project(soft, files, reader={"type": "jsonl"}).check().out
    assert "labels of t:\n  train: x (4), y (2)\n  dev: x (1), y (1)\n" in out
    rows = ['{"text": "a", "tag": 1.5}', '{"text": "b", "tag": 2}'] * 2
    number = {"labels": {"column": "tag", "form": "number"}, "head": "pool", "metric": "pearson"}
    files = {"train.jsonl": "\n".join(rows), "dev.jsonl": "\n".join(rows)}
    out = Project(number, files, reader={"type": "jsonl"}).check("training.epochs=100").out
    assert "labels of t" not in out
    assert "note:" not in out


def test_weights_of_zero_are_noted() -> None:
    files = {"train.tsv": TABLE, "dev.tsv": TABLE}
    checked = Project(KINDS, files, reader=TSV).check("tasks.t.weight=0")
    assert checked.code == 2
    assert "all tasks have the weight 0" in checked.err
    table = TABLE.replace("\n", "\t0\n").replace("kind\t0", "kind\tw")
    checked = Project(WEIGHTED, {"train.tsv": table, "dev.tsv": table}, reader=TSV).check()
    note = "note: t: all sentences of train have the weight 0, so nothing is learned"
    assert note in checked.out.splitlines()
