"""Extension of a trained model by tasks and labels, without the data of its old tasks."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import mtl
from mtl.analysis.forgetting import forgotten
from mtl.api import Extended
from mtl.errors import MtlError
from mtl.experiment import load_config, load_corpora, prepare
from mtl.experiment.distillation.teachers import TaskTeacher
from mtl.experiment.distillation.transfer_set import TransferSet
from tests.cli import project as small
from tests.cli.command import mtl as command
from tests.distillation.conftest import School

NEW = {"tasks": {"mood": {"use": "mood/mood"}}, "training": {"epochs": 1}}


def extended(at: School, tmp_path: Path, run: dict[str, Any] = NEW, **options: Any) -> Extended:
    options = {"text": ["text.txt"], "output": tmp_path / "new", "progress": False} | options
    old = options.pop("old", at.teachers[0])
    return mtl.extend(old, run, **options)


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with plain text."""
    folder = tmp_path_factory.mktemp("text")
    sentences = small.news(30, 9).strip().split("\n\n")
    lines = [" ".join(row.split()[0] for row in own.split("\n")) for own in sentences]
    (folder / "plain.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_old_tasks_are_kept_and_new_ones_learned(at: School, tmp_path: Path) -> None:
    found = extended(at, tmp_path)
    model = found.trained
    assert isinstance(model, mtl.TrainedModel)
    assert model.tasks == ["ner", "pos", "mood"]
    assert not found.left_out
    log = (tmp_path / "new" / "log.txt").read_text(encoding="utf-8")
    assert "task mood: gold labels alone" in log
    assert "head pos: " in log
    assert model.run.trunk.options["init"] == str(at.teachers[0])
    assert model.run.embedding == found.before.run.embedding


def test_scores_before_are_the_scores_of_the_old_model(at: School, tmp_path: Path) -> None:
    found = extended(at, tmp_path)
    assert isinstance(found.trained, mtl.TrainedModel)
    rows = {row.task: row for row in forgotten(found, found.trained)}
    before, after = (model.evaluate("dev").scores() for model in (found.before, found.trained))
    for task, metric in (("ner", "span_f1"), ("pos", "accuracy")):
        assert rows[task].gold
        assert rows[task].metric == metric
        assert rows[task].before == pytest.approx(before[task][metric])
        assert rows[task].after == pytest.approx(after[task][metric])


def test_without_the_old_data_it_is_compared_with_the_old_model(
    at: School, more: Path, tmp_path: Path
) -> None:
    shutil.copytree(at.folder / "runs" / "tagger", tmp_path / "old")
    run = tmp_path / "old" / "run.yaml"
    gone = run.read_text(encoding="utf-8").replace(str(at.folder / "data"), str(tmp_path / "gone"))
    run.write_text(gone, encoding="utf-8")
    (tmp_path / "old" / "checksums.txt").unlink()
    found = extended(at, tmp_path, old=tmp_path / "old", text=[more / "plain.txt"])
    assert isinstance(found.trained, mtl.TrainedModel)
    for row in forgotten(found, found.trained):
        assert not row.gold
        assert row.before == 1 or math.isnan(row.before)  # text may lack spans
    held = (tmp_path / "new-kept" / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    trained = (tmp_path / "new-kept" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert (len(held), len(trained)) == (3, 27)


def test_resuming_reuses_the_labels(at: School, tmp_path: Path) -> None:
    first = extended(at, tmp_path)
    stamp = (tmp_path / "new-kept" / "train.jsonl").stat().st_mtime_ns
    again = extended(at, tmp_path, resume=True)
    assert (tmp_path / "new-kept" / "train.jsonl").stat().st_mtime_ns == stamp
    states = [own.trained.models[0].networks[0].state_dict() for own in (first, again)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    with pytest.raises(MtlError, match=r"new: exists already"):
        extended(at, tmp_path)


def test_a_corrected_run_file_uses_the_labels_again(at: School, tmp_path: Path) -> None:
    wrong = {**NEW, "training": {"epoch": 1}}
    with pytest.raises(MtlError, match="unknown key"):
        extended(at, tmp_path, wrong)
    stamp = (tmp_path / "new-kept" / "train.jsonl").stat().st_mtime_ns
    extended(at, tmp_path)
    assert (tmp_path / "new-kept" / "train.jsonl").stat().st_mtime_ns == stamp


def test_labels_of_other_text_are_not_used(at: School, tmp_path: Path) -> None:
    extended(at, tmp_path)
    (tmp_path / "other.txt").write_text("Ann sings\n" * 20, encoding="utf-8")
    with pytest.raises(MtlError, match=r"new-kept: is from another old model, other text"):
        extended(at, tmp_path, text=[tmp_path / "other.txt"], resume=True)
    (tmp_path / "new-kept" / "sources.json").write_text("{", encoding="utf-8")
    with pytest.raises(MtlError, match=r"new-kept: is from another old model, other text"):
        extended(at, tmp_path, resume=True)


def growing(tmp_path: Path) -> dict[str, Any]:
    """Return a run whose data has a new label of the task pos, and lacks an old one."""
    text = "Ann\tNNP\nsings\tVBZ\n\nBob\tNNP\nleft\tVBD\n\n" * 5
    (tmp_path / "grown.txt").write_text(text, encoding="utf-8")
    task = {"labels": "pos", "head": "softmax", "metric": "accuracy"}
    corpus = {
        "reader": {"type": "conll", "columns": ["tokens", "pos"]},
        "files": {"train": str(tmp_path / "grown.txt")},
        "tasks": {"pos": task},
    }
    return {
        "corpora": {"grown": corpus},
        "tasks": {"pos": {"use": "grown/pos"}},
        "training": {"epochs": 1},
    }


def test_a_task_grows_by_labels_and_keeps_the_others(at: School, tmp_path: Path) -> None:
    found = extended(at, tmp_path, growing(tmp_path))
    assert isinstance(found.trained, mtl.TrainedModel)
    head = found.trained.networks[0].head("pos")
    assert [*head.labels] == [".", "NNP", "VBD", "VBZ"]
    log = (tmp_path / "new" / "log.txt").read_text(encoding="utf-8")
    assert "head pos: 3 of 4 labels" in log
    assert "task pos: gold labels alone, without a teacher: none named" in log
    assert {row.task for row in forgotten(found, found.trained)} == {"ner", "pos"}
    # The head before training has the rows of the old one.
    run = load_config(tmp_path / "new" / "run.yaml", {"distillation": None})
    start = prepare(run, load_corpora(run)).model.head("pos").state_dict()
    old = found.before.networks[0].head("pos").state_dict()
    for name, value in old.items():
        torch.testing.assert_close(start[name][:3], value, rtol=0, atol=0)


def test_labels_are_kept_beside_those_of_another_teacher(at: School, tmp_path: Path) -> None:
    trunk = {**at.run["trunk"], "init": str(at.teachers[0])}
    trunk |= {"init_heads": True, "keep_labels": True}
    run = load_config({**at.run, **growing(tmp_path), "trunk": trunk})
    model = mtl.load(at.teachers[0])
    teachers = {"pos": [TaskTeacher(model, "pos", ["VBG"], "")]}
    found = prepare(run, load_corpora(run), transfer=TransferSet(teachers))
    assert found.targets["pos"].labels == (".", "NNP", "VBD", "VBG", "VBZ")


def test_labels_of_spans_are_kept_in_every_scheme(at: School, tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text("Nile\tB-RIVER\nends\tO\n\n" * 5, encoding="utf-8")
    task = {"labels": "ner", "scheme": "bio", "head": "crf", "metric": "span_f1"}
    corpus = {
        "reader": {"type": "conll", "columns": ["tokens", "ner"]},
        "files": {"train": str(tmp_path / "n.txt")},
        "tasks": {"ner": task},
    }
    run = {"corpora": {"n": corpus}, "tasks": {"ner": {"use": "n/ner"}}, "training": {"epochs": 1}}
    found = extended(at, tmp_path, run)
    head = found.trained.models[0].networks[0].head("ner")
    kinds = {label.partition("-")[2] for label in head.labels}
    assert kinds == {"", "LOC", "PER", "RIVER"}


def test_tasks_that_no_teacher_can_keep_are_told(at: School, tmp_path: Path) -> None:
    rows = [{"tokens": ["Ann", "left"], "pos": ["N", "V"], "score": 1.5 + i} for i in range(4)]
    tasks = {
        "pos": {"labels": "pos", "head": "softmax", "metric": "accuracy"},
        "score": {
            "labels": {"column": "score", "form": "number"},
            "head": "pool",
            "metric": "pearson",
        },
    }
    run = {**at.run, "corpora": {"mine": {"tasks": tasks}}}
    run["tasks"] = {"pos": {"use": "mine/pos"}, "score": {"use": "mine/score"}}
    data = {"mine": {"train": rows}}
    mtl.train(run, {"training.epochs": 1}, data=data, output=tmp_path / "old", progress=False)
    found = extended(at, tmp_path, old=tmp_path / "old")
    assert found.left_out.keys() == {"score"}
    assert "it predicts numbers" in found.left_out["score"]
    assert found.trained.models[0].tasks == ["pos", "mood"]


def test_text_is_needed_to_keep_tasks(at: School, tmp_path: Path) -> None:
    with pytest.raises(MtlError, match=r"--text: expected unlabelled text, on which ner, pos"):
        extended(at, tmp_path, text=[])
    with pytest.raises(MtlError, match=r"--text: no such file: \S*nothing\.txt"):
        extended(at, tmp_path, text=["nothing.txt"])
    with pytest.raises(MtlError, match=r"tasks: expected the new tasks"):
        extended(at, tmp_path, {"training": {"epochs": 1}})


def test_the_command_prints_what_was_forgotten(at: School, tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text(yaml.safe_dump(NEW), encoding="utf-8")
    shutil.copytree(at.folder / "tasks", tmp_path / "tasks")
    shutil.copytree(at.folder / "data", tmp_path / "data")
    result = command(
        "extend",
        str(at.teachers[0]),
        str(tmp_path / "new.yaml"),
        "--text",
        "text.txt",
        "--output",
        str(tmp_path / "new"),
    )
    assert result.code == 0, result.err
    assert "before" in result.out
    assert "after" in result.out
    assert "model: " in result.out
