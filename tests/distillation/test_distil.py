"""`mtl.distil` and `mtl distil`: from teachers to an ordinary run folder."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import mtl
from mtl.errors import ConfigError, MtlError
from mtl.experiment.distillation import outputs
from tests.cli import test_pairs as pairs
from tests.cli.command import mtl as command
from tests.distillation.conftest import School

MATCH = {"mood": ["runs/rater:feeling"]}


def distil(school: School, output: Path, overrides: dict[str, Any] | None = None, **more: Any):
    given = {"text": ["text.txt"], "match": MATCH, "progress": False, **more}
    return mtl.distil(school.teachers, school.run, overrides or {}, output=output, **given)


def files(folder: Path) -> dict[str, bytes]:
    names = ("model.safetensors", "vocabulary/labels.json", "vocabulary/words.json")
    return {name: (folder / name).read_bytes() for name in names}


def test_a_student_of_two_tasks_learns_from_two_teachers(at: School, tmp_path: Path) -> None:
    student = distil(at, tmp_path / "s", {"distillation.gold": 0.0, "training.epochs": 5})
    assert isinstance(student, mtl.TrainedModel)
    assert student.tasks == ["ner", "pos", "mood"]
    # The words of the text without labels are known, those of augmented copies would not be.
    assert "unheard" in student.experiment.vocabularies["words"].to_json()["words"]
    log = (tmp_path / "s" / "log.txt").read_text(encoding="utf-8")
    assert f"task ner: learns from {at.teachers[0]} (task ner)" in log
    assert f"task mood: learns from {at.teachers[1]} (task feeling)" in log
    assert "batches of transfer text:" in log
    scores = student.evaluate("dev").scores()
    assert scores["pos"]["accuracy"] > 0.5


def test_the_folder_needs_no_teacher(at: School, tmp_path: Path) -> None:
    copies = [shutil.copytree(folder, tmp_path / folder.name) for folder in at.teachers]
    match = {"mood": [f"{copies[1]}:feeling"]}
    mtl.distil(
        copies, at.run, {"training.epochs": 1}, match=match, output=tmp_path / "s", progress=False
    )
    for folder in copies:
        shutil.rmtree(folder)
    student = mtl.load(tmp_path / "s")
    assert student.predict(["Ann left Rome ."])["pos"]
    assert student.evaluate("dev").scores()


@pytest.mark.slow
def test_a_student_is_exported_like_any_other_run(at: School, tmp_path: Path) -> None:
    student = distil(at, tmp_path / "s", {"training.epochs": 1})
    student.save_bundle(tmp_path / "s.mtl")
    assert (tmp_path / "s.mtl").is_file()


def killed(monkeypatch: pytest.MonkeyPatch, place: str, when: Any) -> Any:
    """Replace a function by one that raises an error at some call."""
    module, _, name = place.rpartition(".")
    owner = __import__(module, fromlist=[name]) if module == "mtl.api.steps" else outputs
    before = getattr(owner, name)

    class Killed(Exception):
        pass

    def function(*arguments: Any, **options: Any) -> Any:
        if when(*arguments):
            raise Killed
        return before(*arguments, **options)

    monkeypatch.setattr(owner, name, function)
    return Killed


def test_who_is_killed_ends_as_if_not(
    at: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"training.epochs": 2, "distillation.augmentation.copies": 2}
    monkeypatch.setattr(outputs, "_SHARD", 16)
    distil(at, tmp_path / "whole", options)
    monkeypatch.setenv("MTL_CACHE", str(tmp_path / "other"))
    calls = iter(range(100))
    with monkeypatch.context() as patch:
        error = killed(patch, "outputs.save_tensors", lambda *_: next(calls) == 3)
        with pytest.raises(error):
            distil(at, tmp_path / "half", options)
    assert len(list((tmp_path / "other" / "teachers").iterdir())) == 3
    with monkeypatch.context() as patch:
        error = killed(
            patch, "mtl.api.steps.save_training", lambda _, __, values: values["epoch"] == 2
        )
        with pytest.raises(error):
            distil(at, tmp_path / "half", options, resume=True)
    assert len(list((tmp_path / "half" / "checkpoint").glob("*.safetensors"))) == 1
    labelled = []
    with monkeypatch.context() as patch:
        killed(patch, "outputs.save_tensors", lambda *arguments: labelled.append(arguments))
        distil(at, tmp_path / "half", options, resume=True)
    assert not labelled
    (tmp_path / "half" / "teachers.json").write_text("{}")
    with pytest.raises(
        MtlError, match=r"the teacher .*tagger has changed since training began; choose another"
    ):
        distil(at, tmp_path / "half", {**options, "training.epochs": 3}, resume=True)
    assert files(tmp_path / "half") == files(tmp_path / "whole")


@pytest.mark.parametrize(
    "options",
    [
        {"tokens": "paths", "paths": 3, "sentences": "logits"},
        {"tokens": "hard", "sentences": "hard"},
        {"tokens": "hard", "threshold": 0.9},
        {"top": 2, "temperature": 3.0, "training_text": False, "gold": 0.5},
        {"augmentation": {"copies": 1, "replace": 0.2, "tags": "pos"}},
    ],
    ids=["paths and logits", "hard", "confident labels", "few labels", "same tags"],
)
def test_every_loss_trains(at: School, tmp_path: Path, options: dict[str, Any]) -> None:
    changes = {f"distillation.{key}": value for key, value in options.items()}
    student = distil(at, tmp_path / "s", {**changes, "training.epochs": 1})
    run = yaml.safe_load((tmp_path / "s" / "run.yaml").read_text(encoding="utf-8"))
    assert {key: run["distillation"][key] for key in options}.keys() == options.keys()
    assert student.evaluate("dev").scores()["pos"]["accuracy"] > 0.2


def test_steps_of_all_corpora_together_learn_from_each_batch(at: School, tmp_path: Path) -> None:
    changes = {"training.mixing": "joint", "training.epochs": 1, "weighting": "uncertainty"}
    student = distil(at, tmp_path / "s", changes)
    assert student.evaluate("dev").scores()


def test_labels_that_only_the_teacher_knows_are_learned_too(at: School, tmp_path: Path) -> None:
    rows = [{"tokens": ["Ann"], "pos": ["NNP"]}]
    tasks = {"pos": {"labels": "pos", "head": "softmax", "metric": "accuracy"}}
    run = {**at.run, "corpora": {"mine": {"tasks": tasks}}, "tasks": {"pos": {"use": "mine/pos"}}}
    student = mtl.distil(
        at.teachers[:1],
        run,
        {"training.epochs": 1},
        text=["text.txt"],
        data={"mine": {"train": rows}},
        output=tmp_path / "s",
        progress=False,
    )
    assert isinstance(student, mtl.TrainedModel)
    assert set(student.probabilities([["Ann"]], "pos")[0]) == {"NNP", "VBD", "."}


def test_pairs_of_sentences_are_labelled_by_teachers_of_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs.write(tmp_path)
    once = {"training.epochs": 1}
    mtl.train("run.yaml", once, output="teacher", progress=False)
    student = mtl.distil(["teacher"], "run.yaml", once, output="student", progress=False)
    assert isinstance(student, mtl.TrainedModel)
    assert student.predict([("We had soup .", "So the soup was good")])["same"]
    log = Path("student/log.txt").read_text(encoding="utf-8")
    assert "task alike: gold labels alone, without a teacher: it predicts numbers" in log
    with pytest.raises(MtlError, match="all tasks with a teacher compare two sentences"):
        mtl.distil(["teacher"], "run.yaml", text=["train.tsv"], output="other", progress=False)


# ---- what does not fit


def refused(school: School, folder: Path, changes: dict[str, Any], **more: Any) -> str:
    with pytest.raises(MtlError) as error:
        distil(school, folder / "s", {"training.epochs": 1, **changes}, **more)
    assert not list((folder / "s").glob("*.yaml"))
    return str(error.value)


def test_a_teacher_without_a_student_is_an_error(at: School, tmp_path: Path) -> None:
    text = refused(at, tmp_path, {}, match={})
    assert "no task learns from" in text
    assert "whose tasks are feeling" in text
    text = refused(at, tmp_path, {}, match={"mood": ["runs/rater:moods"]})
    assert "has no task 'moods'" in text
    text = refused(at, tmp_path, {}, match={"mood": ["runs/nobody:feeling"]})
    assert "expected FOLDER:TASK with the folder of one teacher" in text
    text = refused(at, tmp_path, {}, match={task: [] for task in ("ner", "pos", "mood")})
    assert "distillation.match: leaves every task without a teacher" in text


def test_a_teacher_of_other_labels_is_an_error(at: School, tmp_path: Path) -> None:
    text = refused(at, tmp_path, {}, match={**MATCH, "pos": ["runs/tagger:ner"]})
    assert "tasks.pos: the teacher" in text
    assert "does not know the labels ., NNP, VBD" in text
    text = refused(at, tmp_path, {}, match={**MATCH, "ner": ["runs/tagger:pos"]})
    assert "tasks.ner: the teacher" in text
    assert "gives the label '.', which is not a span tag" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"match.verbs": ["runs/tagger:pos"]}, "distillation.match.verbs: the run has no task"),
        ({"match.pos": ["pos"]}, "distillation.match.pos: expected FOLDER:TASK, got 'pos'"),
        ({"paths": 3}, "distillation.paths: has no effect unless `tokens` is paths"),
        ({"threshold": 0.5}, "threshold: has no effect unless `sentences` or `tokens` is hard"),
        ({"augmentation.replace": 0.5}, "needs `tags`: the task in which"),
        (
            {"augmentation.replace": 0.5, "augmentation.tags": "mood"},
            "distillation.augmentation.tags: expected a task of the run with one label per token",
        ),
        ({"text": [], "training_text": False}, "the teachers have no text"),
        ({"gold": 2}, "distillation.gold: expected"),
        ({"teachers": []}, "distillation.teachers: expected at least one folder"),
        (
            {"tokens": "hard", "sentences": "logits", "temperature": 3},
            "has no effect without `kl` and `marginals`",
        ),
    ],
)
def test_mistakes_are_found_before_anything_is_read(
    at: School, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    own = {f"distillation.{key}": value for key, value in changes.items()}
    base = {"distillation.teachers": ["runs/tagger"], "distillation.text": ["text.txt"]}
    with pytest.raises(ConfigError) as error:
        mtl.train(at.run, {**base, **own}, output=tmp_path / "s", progress=False)
    assert message in str(error.value)


def with_language_model(at: School) -> dict[str, Any]:
    """Write the corpus of a language model, and return the changes of the run that trains it."""
    (at.folder / "tasks" / "lines.yaml").write_text(
        "reader: {type: text}\nfiles: {train: ../text.txt}\n"
        "tasks: {next: {labels: {text: next}, head: {type: lm}, metric: perplexity}}\n",
        encoding="utf-8",
    )
    return {
        "tasks.next.use": "lines/next",
        "trunk.bidirectional": False,
        "training.metric": "pos.accuracy",
        "training.epochs": 1,
    }


def test_language_models_cannot_have_a_teacher(at: School, tmp_path: Path) -> None:
    changes = with_language_model(at)
    text = refused(at, tmp_path, changes, match={**MATCH, "next": ["runs/tagger:pos"]})
    assert "next cannot have a teacher: it predicts" in text
    distil(at, tmp_path / "s", changes)
    log = (tmp_path / "s" / "log.txt").read_text(encoding="utf-8")
    assert "task next: gold labels alone, without a teacher: it predicts" in log


def test_streams_are_for_language_models_alone(at: School, tmp_path: Path) -> None:
    """The text of the teachers has batches of sentences, and streams have no augmented copies."""
    changes = with_language_model(at)
    sizes = {f"tasks.{task}.batch.sentences": 16 for task in ("ner", "pos", "mood")}
    copies = {"distillation.augmentation.copies": 1}
    distil(at, tmp_path / "lines", {**changes, **copies})
    streams = {"training.batch": {"streams": 2, "bptt": 4}}
    distil(at, tmp_path / "streams", {**changes, **copies, **sizes, **streams})
    found = [
        re.search(r"([0-9,]+) augmented copies", (tmp_path / name / "log.txt").read_text())
        for name in ("lines", "streams")
    ]
    assert int(found[0][1]) > int(found[1][1])


# ---- the command


def test_the_command_compares_teachers_and_student(at: School) -> None:
    teachers = ["runs/tagger", "runs/rater"]
    (at.folder / "student.yaml").write_text(yaml.safe_dump(at.run), encoding="utf-8")
    line = [*teachers, "student.yaml", "training.epochs=1", "--match", "mood=runs/rater:feeling"]
    scratch = command("train", "student.yaml", "training.epochs=1", "--output", "runs/scratch")
    assert scratch.code == 0
    result = command("distil", *line, "--text", "text.txt", "--baseline", "runs/scratch")
    assert result.code == 0, result.err
    assert "labels 40 sentences" in result.err
    for word in ("teacher", "runs/tagger", "runs/rater", "from scratch", "distilled", "tokens/s"):
        assert word in result.out
    assert result.out.endswith(
        "model: runs/student\nnext:  mtl evaluate runs/student --split dev\n"
    )
    checked = command("check", "runs/student/run.yaml")
    assert checked.code == 0, checked.err
    again = command("distil", *line, "--text", "text.txt", "--resume")
    assert "training is finished" in again.err


def test_the_command_needs_a_teacher_and_a_student() -> None:
    result = command("distil", "student.yaml", "training.epochs=1")
    assert result.code == 2
    assert "expected one teacher or more and then the run file of the student" in result.err
