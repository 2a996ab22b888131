"""`mtl export`: a program and its description, or one message."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import onnxruntime
import pytest
import torch

from tests.cli.command import mtl


@pytest.mark.parametrize(
    ("to", "name"),
    [("torch-export", "a.pt2"), pytest.param("onnx", "a.onnx", marks=pytest.mark.slow)],
)
def test_taggers_are_exported(to: str, name: str, trained: Path, tmp_path: Path) -> None:
    path, description = tmp_path / name, tmp_path / "a.json"
    found = mtl("export", str(trained), "--to", to, "--output", str(path))
    assert (found.code, found.out, found.err) == (0, f"{path} and {description}\n", "")
    assert set(json.loads(description.read_text())["tasks"]) == {"ner", "pos"}


def test_the_suffix_selects_the_format_and_a_bundle_is_the_default(
    trained: Path, tmp_path: Path
) -> None:
    found = mtl("export", str(trained), "--output", str(tmp_path / "a.pt2"))
    assert found.out == f"{tmp_path / 'a.pt2'} and {tmp_path / 'a.json'}\n"
    found = mtl("export", str(trained), "--output", str(tmp_path / "model"))
    assert found.out == f"{tmp_path / 'model'}\n"


@pytest.mark.slow
def test_what_is_exported_can_be_loaded(trained: Path, tmp_path: Path) -> None:
    for to, load in {
        "torch-export": torch.export.load,
        "onnx": onnxruntime.InferenceSession,
    }.items():
        path = tmp_path / to
        assert mtl("export", str(trained), "--to", to, "--output", str(path)).code == 0
        load(str(path))


def test_a_bundle_has_all_tasks_in_one_file(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mtl"
    found = mtl("export", str(trained), "--to", "bundle", "--output", str(path))
    assert (found.code, found.out, found.err) == (0, f"{path}\n", "")


def test_the_loss_of_score_is_printed(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtl.export.rounding.LEAST", 20)
    monkeypatch.chdir(trained.parents[1])
    plain, small = tmp_path / "a.mtl", tmp_path / "b.mtl"
    export = ("export", str(trained), "--to", "bundle", "--output")
    mtl(*export, str(plain))
    found = mtl(*export, str(small), "--weights", "int8")
    assert (found.code, found.err) == (0, "")
    path, size, table = found.out.split("\n", 2)
    sizes = small.stat().st_size, plain.stat().st_size
    assert sizes[0] < sizes[1]
    assert path == str(small)
    share = f"{sizes[0] / sizes[1]:.0%}"
    assert size == f"size: {sizes[0]:,} bytes, {share} of {sizes[1]:,} bytes in float32"
    rows = [re.split(r" *│ *", line.strip("│ ")) for line in table.splitlines() if "│" in line]
    scores = {task: values for task, _, *values in rows}
    assert scores.keys() == {"ner", "pos", "mood"}
    dev = json.loads(mtl("evaluate", str(trained), "--split", "dev", "--json").out)
    for task, (full, less, change) in scores.items():
        assert float(full) == pytest.approx(100 * next(iter(dev[task].values())), abs=0.006)
        assert float(less) - float(full) == pytest.approx(float(change), abs=0.011)


def test_without_data_the_loss_of_score_is_not_measured(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    text = (run / "run.yaml").read_text().replace(str(trained.parents[1]), str(tmp_path / "gone"))
    (run / "run.yaml").write_text(text)
    (run / "checksums.txt").unlink()
    found = mtl("export", str(run), "--to", "bundle", "--weights", "float16")
    assert found.code == 0
    assert found.out.startswith(f"{run / 'model.mtl'}\nsize: ")
    start = "note: the loss of score was not measured; to measure it, name a labelled file with "
    assert found.err.startswith(f"{start}--data: ")
    assert found.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "a.conll"), "has an effect only with --to bundle and --weights"),
        (("--weights", "int8", "--data", "none.conll"), "several corpora; choose one with --task"),
        (("--weights", "int8", "--task", "pos", "--data", "none.conll"), "none.conll"),
    ],
)
def test_wrong_data_writes_no_file(
    options: tuple[str, ...], message: str, trained: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.mtl"
    found = mtl("export", str(trained), "--to", "bundle", "--output", str(path), *options)
    assert found.code == 2
    assert message in " ".join(found.err.replace("│", " ").split())
    assert not path.exists()


@pytest.mark.slow
def test_the_tasks_asked_for_come_alone(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    options = ["--to", "onnx", "--task", "pos", "--output", str(path), "--weights", "int8"]
    assert mtl("export", str(trained), *options).code == 0
    assert [output.name for output in onnxruntime.InferenceSession(path).get_outputs()] == ["pos"]


def test_a_classifier_is_refused(trained: Path) -> None:
    found = mtl("export", str(trained), "--to", "onnx", "--task", "mood")
    assert found.code == 2
    assert found.err.startswith("error: task 'mood': expected a tagger, got the head ")


@pytest.mark.parametrize(("to", "weights"), [("torch-export", "int8"), ("onnx", "float16")])
def test_other_formats_have_fewer_types(to: str, weights: str, trained: Path) -> None:
    found = mtl("export", str(trained), "--to", to, "--weights", weights)
    assert found.code == 2
    assert found.err.startswith(f"error: {to} files have weights in float32")
    assert found.err.count("\n") == 1


def test_an_unknown_suffix_needs_the_format(trained: Path, tmp_path: Path) -> None:
    command = ["export", str(trained), "--output", str(tmp_path / "model.onx")]
    found = mtl(*command)
    assert found.code == 2
    assert "no format has the suffix .onx; name the format with --to" in " ".join(found.err.split())
    assert not list(tmp_path.iterdir())
    assert mtl(*command, "--to", "bundle").code == 0


@pytest.mark.parametrize(("to", "name"), [("torch-export", "a.onnx"), ("onnx", "a.pt2")])
def test_the_name_of_another_format_is_refused(
    to: str, name: str, trained: Path, tmp_path: Path
) -> None:
    found = mtl("export", str(trained), "--to", to, "--output", str(tmp_path / name))
    right = {"torch-export": ".pt2", "onnx": ".onnx"}[to]
    assert found.code == 2
    assert f"{name}: expected the suffix {right} for the format {to}" in found.err
    assert not list(tmp_path.iterdir())
