"""`mtl calibrate`, and the commands that use or measure its temperatures."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import mtl as library
from mtl.errors import MtlError
from tests.cli.command import mtl
from tests.runtime import built

TEXTS = "Ann Smith left Rome.\nThis is good food.\n"


@pytest.fixture(scope="module")
def made(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a calibrated copy of the run folder, and the output of the command."""
    folder = tmp_path_factory.mktemp("calibrated") / "run"
    shutil.copytree(trained, folder)
    result = mtl("calibrate", str(folder))
    assert result.code == 0, result.err
    return folder, result.out + result.err


@pytest.fixture
def folder(made: tuple[Path, str], tmp_path: Path) -> Path:
    """Return a calibrated run folder of its own."""
    shutil.copytree(made[0], tmp_path / "run")
    return tmp_path / "run"


def near(temperatures: Any, rel: float = 1e-4) -> dict[str, Any]:
    return {task: pytest.approx(own, rel=rel) for task, own in temperatures.items()}


def lines(*arguments: str) -> list[Any]:
    found = mtl("predict", *arguments, "--format", "jsonl", stdin=TEXTS)
    assert found.code == 0, found.err
    return [json.loads(line) for line in found.out.splitlines()]


def test_the_command_shows_temperatures_errors_and_diagrams(made: tuple[Path, str]) -> None:
    folder, text = made
    assert "calibration error (ECE) on the dev set" in text
    for name in ("ner, after, confidences of spans", "pos, after, confidences of words",
                 "mood, after, confidences of texts", "│", "█"):  # fmt: skip
        assert name in text
    assert f"next:  mtl evaluate {folder} --calibration\n" in text
    assert "note: mood: fitted on only 10 labels, so its confidences are uncertain" in text


def test_labels_and_scores_stay_and_confidences_change(trained: Path, folder: Path) -> None:
    before, after = lines(str(trained), "--confidence"), lines(str(folder), "--confidence")
    for own, other in zip(before, after, strict=True):
        assert {k: own[k] for k in ("ner", "pos", "mood")} == {
            k: other[k] for k in ("ner", "pos", "mood")
        }
        assert own["confidence"] != other["confidence"]
    scores = [mtl("evaluate", str(f), "--split", "dev", "--json").out for f in (trained, folder)]
    assert scores[0] == scores[1]


def test_python_has_the_same(folder: Path, trained: Path) -> None:
    model = library.load(folder)
    temperatures = dict(model.predictor.temperatures)
    assert set(temperatures) == {"ner", "pos", "mood"}
    assert all(value > 0 for own in temperatures.values() for value in own)
    (folder / "calibration.json").unlink()
    again = library.load(folder)
    assert again.predictor.temperatures == {}
    assert again.calibrate().temperatures == near(temperatures)
    assert library.load(folder).predictor.temperatures == near(temperatures)
    labels, rows = model.probabilities([["Ann", "left"]], "pos")
    _, raw = library.load(trained).probabilities([["Ann", "left"]], "pos")
    assert labels
    assert rows[0] != pytest.approx(raw[0], abs=1e-6)
    assert rows[0].sum(1) == pytest.approx([1, 1])


def test_one_task_keeps_the_temperatures_of_the_others(folder: Path) -> None:
    before = library.load(folder).predictor.temperatures
    found = mtl("calibrate", str(folder), "--task", "pos", "--json")
    assert list(json.loads(found.out)["tasks"]) == ["pos"]
    assert library.load(folder).predictor.temperatures == near(before)


def test_evaluation_measures_confidences(folder: Path) -> None:
    found = mtl("evaluate", str(folder), "--calibration", "--abstain", "0.9", "--task", "pos")
    assert found.code == 0, found.err
    assert "test, calibration error (ECE)" in found.out
    assert "test, answers of confidence 0.9 or more" in found.out
    assert "pos, the most certain words" in found.out
    options = ["--split", "dev", "--calibration", "--abstain", "0.9", "--json"]
    record = json.loads(mtl("evaluate", str(folder), *options).out)
    for task, kinds in (("ner", ["words", "spans"]), ("pos", ["words"]), ("mood", ["texts"])):
        assert list(record[task]["calibration"]) == kinds
        own = record[task]["calibration"][kinds[0]]
        assert 0 <= own["ece"] <= 1
        assert sum(each["number"] for each in own["bins"]) == own["count"]
        assert record[task]["answered"].keys() <= record[task].keys()


def test_the_answered_part_is_the_one_of_predict(folder: Path) -> None:
    model = library.load(folder)
    found = model.evaluate("dev", ["pos"], abstain=0.9, labels=True)
    corpus = model._corpora("dev", None, ["pos"])[0].splits["dev"]
    given = model.predict([example.tokens for example in corpus], ["pos"], abstain=0.9)["pos"]
    pairs = [
        (gold, label)
        for golds, labels in zip(found.gold["pos"], given, strict=True)
        for gold, label in zip(golds, labels, strict=True)
        if label is not None
    ]
    accuracy = sum(gold == label for gold, label in pairs) / len(pairs)
    assert found.answered["pos"].compute()["accuracy"] == pytest.approx(accuracy)
    every = found.reliability["pos"]["words"]
    assert every.coverage(0.9) == pytest.approx(len(pairs) / len(every))


@pytest.mark.parametrize("form", ["conll", "jsonl", "csv"])
def test_unsure_answers_are_left_out_of_every_format(folder: Path, form: str) -> None:
    found = mtl("predict", str(folder), "--abstain", "1", "--format", form, stdin=TEXTS)
    assert found.code == 0, found.err
    assert re.fullmatch(
        r"coverage: ner: 0 of \d spans \(0.0 %\)\n"
        r"coverage: pos: 0 of 10 words \(0.0 %\)\n"
        r"coverage: mood: 0 of 2 texts \(0.0 %\)\n",
        found.err,
    )
    first = {
        "conll": "\nAnn\t_\t_\nSmith\t_\t_\n",
        "jsonl": '"pos": [null, null, null, null, null], "mood": null, "spans": {"ner": []}}',
        "csv": ',"[null, null, null, null, null]","[null, null, null, null, null]",\n',
    }
    assert first[form] in found.out
    every = mtl("predict", str(folder), "--abstain", "0", "--format", form, stdin=TEXTS)
    assert every.out == mtl("predict", str(folder), "--format", form, stdin=TEXTS).out
    assert every.err.count("(100.0 %)") == 3


def test_workers_count_the_same(folder: Path) -> None:
    options = ["predict", str(folder), "--abstain", "0.97", "--input", "text"]
    one = mtl(*options, stdin=TEXTS * 3)
    two = mtl(*options, "--workers", "2", stdin=TEXTS * 3)
    assert one.out == two.out
    assert one.err == two.err


@pytest.mark.slow
def test_a_bundle_has_the_temperatures(folder: Path, tmp_path: Path) -> None:
    built.kernels()
    bundle = str(tmp_path / "model.mtl")
    assert mtl("export", str(folder), "--to", "bundle", "--output", bundle).code == 0
    for options in (["--confidence"], ["--confidence", "--abstain", "0.97"]):
        for own, other in zip(lines(bundle, *options), lines(str(folder), *options), strict=True):
            assert own["pos"] == other["pos"]
            for task, confidence in other["confidence"].items():
                assert own["confidence"][task] == pytest.approx(confidence, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperatures": {"ner": {"labels": 2.0, "spans": 1.0}}}, "has changed since it was"),
        ({"temperatures": {"ner": {"labels": 0.0, "spans": 1.0}}}, "not a file of this version"),
        ({"temperatures": None}, "not a file of this version"),
    ],
)
def test_a_damaged_file_is_one_error(folder: Path, change: dict[str, Any], message: str) -> None:
    path = folder / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    found = mtl("predict", str(folder), stdin="Ann")
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith(f"error: {path}: {message}")
    assert found.err.count("\n") == 1


def test_temperatures_of_other_weights_are_refused(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = folder / "model.safetensors"
    save_file({name: value + 0.01 for name, value in load_file(weights).items()}, weights)
    found = mtl("predict", str(folder), stdin="Ann")
    assert found.code == 2
    assert "was fitted for other weights than the model has; delete it" in found.err


def test_a_finished_run_that_is_resumed_keeps_its_temperatures(folder: Path) -> None:
    model = library.train(folder / "run.yaml", output=folder, resume=True, progress=False)
    assert isinstance(model, library.TrainedModel)
    assert model.predictor.temperatures == library.load(folder).predictor.temperatures != {}


def test_training_tells_that_it_removes_the_temperatures(folder: Path) -> None:
    found = mtl("train", str(folder / "run.yaml"), "training.epochs=25", "--output", str(folder),
                "--resume")  # fmt: skip
    assert found.code == 0, found.err
    assert f"again after training: mtl calibrate {folder}\n" in found.err
    assert library.load(folder).predictor.temperatures == {}


def test_an_ensemble_has_temperatures_of_its_own(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    joint = str(tmp_path / "joint")
    assert mtl("ensemble", str(folder), str(other), "--output", joint).code == 0
    before = library.load(joint)
    assert before.predictor.temperatures == {}
    found = mtl("calibrate", joint)
    assert found.code == 0, found.err
    # Two equal members are the model itself.
    expected = library.load(folder).predictor.temperatures
    assert library.load(joint).predictor.temperatures == near(expected, 1e-3)


def test_mistakes_are_told(folder: Path) -> None:
    found = mtl("calibrate", str(folder), "--task", "moood")
    assert found.err == "error: the model has no task 'moood'; did you mean 'mood'?\n"
    assert mtl("predict", str(folder), "--abstain", "2", stdin="Ann").code == 2
    with pytest.raises(MtlError, match="abstain: expected a probability from 0 to 1, got 2"):
        library.load(folder).predict(["Ann"], abstain=2)
    with pytest.raises(MtlError, match="abstain: expected a probability from 0 to 1, got nan"):
        library.load(folder).evaluate("dev", abstain=float("nan"))
