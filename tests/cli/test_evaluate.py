"""`mtl evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli import project as small
from tests.cli.command import mtl


@pytest.fixture
def model(trained: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the run folder, as it is called in the folder of its project."""
    monkeypatch.chdir(trained.parents[1])
    return "runs/run"


def test_scores_are_shown_task_by_task_and_label_by_label(model: str) -> None:
    result = mtl("evaluate", model)
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0].strip() == "test"
    assert [line.split()[1] for line in lines if line.startswith("│")] == [
        *("ner", "pos"), *("LOC", "PER"), *(".", "NNP", "VBD")
    ]  # fmt: skip


def test_a_task_whose_corpus_has_no_such_split_is_named(model: str) -> None:
    result = mtl("evaluate", model)
    assert result.err == "mood: not scored, its corpus has no split 'test'\n"
    assert mtl("evaluate", model, "--split", "dev").err == ""


def test_dev_scores_are_those_of_the_best_epoch(model: str) -> None:
    lines = Path(model, "metrics.jsonl").read_text().splitlines()
    best = [r for r in map(json.loads, lines) if r["type"] == "epoch" and r["improved"]][-1]
    found = json.loads(mtl("evaluate", model, "--split", "dev", "--json").out)
    assert {task: own.items() >= best["dev"][task].items() for task, own in found.items()} == (
        dict.fromkeys(best["dev"], True)
    )


def test_another_file_is_scored_even_when_the_training_data_is_gone(
    project: Path, trained: Path
) -> None:
    Path("new.txt").write_text(small.news(20, 9))
    assert mtl("train", "run.yaml", "training.epochs=1").code == 0
    Path("data/train.txt").unlink()
    result = mtl("evaluate", "runs/run", "--data", "new.txt", "--task", "pos", "--json")
    assert result.code == 0, result.err
    assert set(json.loads(result.out)) == {"pos"}
    assert mtl("evaluate", "runs/run").code == 2


def test_the_scores_agree_with_the_predictions(model: str) -> None:
    found = mtl("predict", model, "data/test.txt", "--input", "conll", "--task", "pos")
    predicted = [row.split("\t")[1] for row in found.out.splitlines() if "\t" in row]
    gold = [row.split()[1] for row in Path("data/test.txt").read_text().splitlines() if row]
    right = sum(a == b for a, b in zip(predicted, gold, strict=True))
    scores = json.loads(mtl("evaluate", model, "--task", "pos", "--json").out)
    assert scores["pos"]["accuracy"] == pytest.approx(right / len(gold))


def test_labels_are_shown_as_they_are(project: Path) -> None:
    for name in ("train", "dev", "test"):
        path = Path(f"data/{name}.txt")
        path.write_text(path.read_text().replace("VBD", "[b]").replace("NNP", ":cat:"))
    assert mtl("train", "run.yaml", "training.epochs=1").code == 0
    rows = mtl("evaluate", "runs/run").out.splitlines()
    assert [row.split()[1] for row in rows if row.startswith("│")][-2:] == [":cat:", "[b]"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "tset"], "no split 'tset' of these tasks; did you mean 'test'?"),
        (["--task", "mood"], "no split 'test' of these tasks; expected one of: dev, train"),
        (["--task", "moood"], "the model has no task 'moood'; did you mean 'mood'?"),
        (["--device", "gpu"], "override: training.device='gpu': training.device: expected auto, "
         "cpu, cuda, cuda:0 (or higher) or mps, got 'gpu'"),
    ],
)  # fmt: skip
def test_mistakes_are_told(model: str, arguments: list[str], message: str) -> None:
    result = mtl("evaluate", model, *arguments)
    assert (result.code, result.out, result.err) == (2, "", f"error: {message}\n")


def test_a_file_needs_a_task_where_there_are_several_corpora(model: str) -> None:
    result = mtl("evaluate", model, "--data", "data/test.txt")
    assert result.code == 2
    assert "the model has several corpora; choose one with --task" in result.err
