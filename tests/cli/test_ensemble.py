"""`mtl ensemble`: the folder, and every command that reads it."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtl as library
from mtl.errors import CheckpointError, MtlError
from tests.cli import project as small
from tests.cli.command import mtl

TEXTS = ["Ann Smith saw New Oslo.", "This is good food. Bob left Rome.", ""]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run of two seeds, one of another network, snapshots, and more."""
    folder = tmp_path_factory.mktemp("ensembles")
    small.write(folder)
    cycles = "training.schedule={type: cosine_restarts, cycles: 2, warmup: 0}"
    commands = {
        "seeds": ["seeds=2", "training.epochs=3"],
        "conv": ["trunk={type: conv, num_layers: 1, hidden_size: 16}", "tasks.mood=null"],
        "cycles": ["training.epochs=2", cycles, "tasks.pos=null"],
        "softmax": ["tasks.ner.head={type: softmax, scheme: iobes}", "tasks.pos=null"],
        "bio": ["tasks.ner.head.scheme=bio", "tasks.pos=null", "tasks.mood=null"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, overrides in commands.items():
            short = ["embedding.characters=null", "training.epochs=1", *overrides]
            result = mtl("train", "run.yaml", *short, "--output", name)
            assert result.code == 0, result.err
        result = mtl("ensemble", "seeds", "conv", "--output", "both")
        assert result.code == 0, result.err
        (folder / "table.txt").write_text(result.out, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _there(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)


def load(folder: str) -> library.TrainedModel:
    return library.load(folder, device="cpu")


def test_the_folder_contains_the_members_without_the_state_of_training() -> None:
    files = {path.relative_to("both").as_posix() for path in Path("both").rglob("*.*")}
    assert {path for path in files if "vocabulary" not in path} == {
        "ensemble.json",
        "checksums.txt",
        *(f"members/{n}/{name}" for n in (1, 2, 3) for name in _MEMBER),
    }
    assert not list(Path().glob(".*"))


_MEMBER = ("run.yaml", "model.safetensors", "checksums.txt")


def test_it_works_where_the_runs_are_not(tmp_path: Path) -> None:
    expected = load("both").predict(TEXTS)
    shutil.copytree("both", tmp_path / "moved")
    os.chdir(tmp_path)  # the fixture goes back
    assert load("moved").predict(TEXTS) == expected


def test_the_table_has_the_scores_of_every_member_and_of_the_ensemble() -> None:
    table = Path("table.txt").read_text(encoding="utf-8")
    rows = {
        cells[0]: cells[1:]
        for line in table.splitlines()
        if len(cells := [cell.strip() for cell in line.split("│")[1:-1]]) > 1
    }
    assert list(rows) == ["seeds/seed-1", "seeds/seed-2", "conv", "ensemble"]
    assert rows["conv"][2] == "–"
    for name, folder in (("seeds/seed-2", "seeds/seed-2"), ("ensemble", "both")):
        found = json.loads(mtl("evaluate", folder, "--split", "dev", "--json").out)
        scores = [found["ner"]["span_f1"], found["pos"]["accuracy"], found["mood"]["accuracy"]]
        assert rows[name] == [f"{100 * score:.2f}" for score in scores]


def test_probabilities_are_the_mean_of_the_members() -> None:
    """Independent of the predictor of the ensemble: each member is asked alone."""
    model = load("both")
    for task, members in (("pos", model.members), ("mood", model.members[:2])):
        labels, found = model.probabilities(TEXTS, task)
        each = [member.probabilities(TEXTS, task) for member in members]
        assert all(own[0] == labels for own in each)
        for probabilities, *rows in zip(found, *(own[1] for own in each), strict=True):
            np.testing.assert_allclose(probabilities, np.mean(rows, 0), atol=1e-6)


def test_predict_writes_labels_confidences_and_spans() -> None:
    out = mtl("predict", "both", "--format", "jsonl", "--confidence", stdin="\n".join(TEXTS[:2]))
    first, *_ = [json.loads(line) for line in out.out.splitlines()]
    (expected, *_) = load("both").annotate(TEXTS[:1], confidence=True)
    assert first == json.loads(json.dumps(expected.to_dict()))
    assert set(first["confidence"]) == {"ner", "pos", "mood"}
    assert first["spans"]["ner"][0]["text"].startswith("Ann")


def test_predict_explains_its_answers() -> None:
    out = mtl("predict", "both", "--explain", "--format", "jsonl", stdin="Ann saw New Rome.\n").out
    found = json.loads(out)["explanation"]
    assert found["method"] == "integrated"
    answers = [own for task in ("ner", "mood") for own in found["tasks"][task]]
    assert answers
    for own in answers:
        difference = own["score"] - own["baseline"]
        assert sum(own["weights"]) == pytest.approx(difference + own["gap"], abs=1e-4)


def test_evaluate_and_report_read_it_like_a_run() -> None:
    assert "mood by label" in mtl("evaluate", "both", "--split", "dev").out
    assert mtl("evaluate", "both", "--data", "data/test.txt", "--task", "ner").code == 0
    assert "ensemble" in mtl("report", "both").out
    beside = mtl("report", "both", "conv", "--test", "both", "conv", "--draws", "50")
    assert beside.code == 0, beside.err
    found = json.loads(mtl("report", "both", "--format", "json").out)["runs"]["both"]
    assert len(found["members"]) == 3
    assert set(found["dev"]) == {"ner", "pos", "mood"}


def test_equal_members_have_the_labels_of_the_model() -> None:
    model = library.ensemble(["conv", "conv"], output="equal", progress=False)
    one = library.load("conv", device="cpu")
    assert model.predict(TEXTS) == one.predict(TEXTS)
    assert mtl("evaluate", "equal", "--json").out == mtl("evaluate", "conv", "--json").out


def test_a_run_with_snapshots_stands_for_them() -> None:
    result = mtl("ensemble", "cycles", "--output", "snapshots")
    assert result.code == 0, result.err
    assert [line.split()[1] for line in result.out.splitlines() if "cycle-" in line] == [
        "cycles/snapshots/cycle-1",
        "cycles/snapshots/cycle-2",
    ]
    last = Path("snapshots/members/2/model.safetensors").read_bytes()
    assert last == Path("cycles/snapshots/cycle-2.safetensors").read_bytes()


def test_an_ensemble_stands_for_its_members() -> None:
    model = library.ensemble(["both", "softmax"], output="nested", tasks=["ner"], progress=False)
    assert model.tasks == ["ner"]
    assert len(model.members) == 4


def test_a_crf_and_a_softmax_predict_together() -> None:
    model = library.ensemble(["seeds", "softmax"], output="mixed", tasks=["ner"], progress=False)
    each = [member.probabilities(TEXTS, "ner")[1] for member in model.members]
    for found, *rows in zip(model.probabilities(TEXTS, "ner")[1], *each, strict=True):
        np.testing.assert_allclose(found, np.mean(rows, 0), atol=1e-6)


def error(*arguments: str) -> str:
    before = sorted(Path().rglob("*"))
    result = mtl("ensemble", *arguments)
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert sorted(Path().rglob("*")) == before  # nothing half written
    return result.err.removeprefix("error: ").strip()


def test_labels_that_disagree_are_one_error() -> None:
    message = error("seeds", "bio", "--output", "new/place")
    assert message.startswith("task 'ner': seeds/seed-1 has labels that bio lacks: 'E-LOC', ")
    assert "select other tasks with --task" in message


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["conv", "--output", "new"], "an ensemble needs at least two models, got 1"),
        (["conv", "seeds", "--output", "both"], "both: exists already"),
        (["conv", "missing", "--output", "new"], "missing: no such folder"),
        (["conv", "seeds", "--output", "new", "--task", "nre"], "no member has a task 'nre'"),
        (["conv", "seeds", "--output", "run.yaml/new"], "cannot write run.yaml/new"),
        (["seeds", "conv", "--output", "new", "--task", "mood"], "conv: has none of the tasks"),
        (["wikitext2", "wikitext2", "--output", "new"], "an ensemble has no language models"),
    ],
)
def test_mistakes_are_one_clear_error(arguments: list[str], expected: str) -> None:
    assert expected in error(*arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["export", "both", "--to", "bundle"], "an ensemble has several networks"),
        (["export", "both", "--to", "onnx"], "an ensemble has several networks"),
        (["generate", "both"], "no task that predicts the next word"),
        (["predict", "both", "--explain", "--method", "attention"], "has no attention weights"),
        (["evaluate", "both", "--cache"], "no task that predicts the next word"),
    ],
)
def test_work_for_one_network_is_refused(arguments: list[str], expected: str) -> None:
    result = mtl(*arguments, stdin="Ann left.")
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert expected in result.err


def test_an_interrupted_creation_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    before = sorted(Path().rglob("*"))
    monkeypatch.setattr("mtl.api.ensembles.write_ensemble", interrupted)
    with pytest.raises(KeyboardInterrupt):
        library.ensemble(["seeds"], output="new/place", progress=False)
    assert sorted(Path().rglob("*")) == before


def test_damage_is_found(tmp_path: Path) -> None:
    for name in ("ensemble.json", "members/2/run.yaml", "members/2/model.safetensors"):
        folder = tmp_path / name.replace("/", "-")
        shutil.copytree("both", folder)
        content = bytearray((folder / name).read_bytes())
        content[-20] ^= 1
        (folder / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=Path(name).name):
            library.load(folder)
    shutil.rmtree(folder / "members/3")
    with pytest.raises(CheckpointError, match="members/3"):
        library.load(folder)


def test_without_data_there_are_no_dev_scores(tmp_path: Path) -> None:
    shutil.copytree("conv", tmp_path / "conv")
    run = tmp_path / "conv/run.yaml"
    run.write_text(run.read_text("utf-8").replace("/data/", "/gone/"), encoding="utf-8")
    (tmp_path / "conv/checksums.txt").unlink()
    os.chdir(tmp_path)
    result = mtl("ensemble", "conv", "conv", "--output", "both models")
    assert result.code == 0
    assert result.err.startswith("note: there are no dev scores: ")
    assert result.out == "model: both models\nnext:  mtl predict 'both models' FILE\n"
    assert "has no dev scores" in mtl("report", "both models").err
    assert mtl("predict", "both models", stdin="Ann left.").code == 0


def test_it_can_be_pickled_printed_and_asked_for_its_members() -> None:
    model = load("both")
    assert pickle.loads(pickle.dumps(model)).predict(TEXTS) == model.predict(TEXTS)
    assert str(model).startswith("ensemble of 3 models in both, ")
    assert str(model).splitlines()[1] == "task ner: news/ner, head crf, 9 labels"
    assert model.members[2].tasks == ["ner", "pos"]
    with pytest.raises(MtlError, match="such as both/members/1"):
        model.save_bundle("model.mtl")
