"""`mtl export`: a program and its description, or one message."""

from __future__ import annotations

import json
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
    found = mtl("export", str(trained), "--to", "bundle", "--quantize", "--output", str(path))
    assert (found.code, found.err.count("\n")) == (2, 1)


@pytest.mark.slow
def test_the_tasks_asked_for_come_alone(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    options = ["--to", "onnx", "--task", "pos", "--output", str(path), "--quantize"]
    assert mtl("export", str(trained), *options).code == 0
    assert [output.name for output in onnxruntime.InferenceSession(path).get_outputs()] == ["pos"]


def test_a_classifier_is_refused(trained: Path) -> None:
    found = mtl("export", str(trained), "--to", "onnx", "--task", "mood")
    assert found.code == 2
    assert found.err.startswith("error: task 'mood': expected a tagger, got the head ")


def test_a_graph_of_torch_is_not_quantized(trained: Path) -> None:
    found = mtl("export", str(trained), "--to", "torch-export", "--quantize")
    assert found.code == 2
    assert found.err == "error: only ONNX files are quantised; export to onnx\n"


@pytest.mark.parametrize(("to", "name"), [("torch-export", "a.onnx"), ("onnx", "a.pt2")])
def test_the_name_of_another_format_is_refused(
    to: str, name: str, trained: Path, tmp_path: Path
) -> None:
    found = mtl("export", str(trained), "--to", to, "--output", str(tmp_path / name))
    right = {"torch-export": ".pt2", "onnx": ".onnx"}[to]
    assert found.code == 2
    assert f"{name}: expected the suffix {right} for the format {to}" in found.err
    assert not list(tmp_path.iterdir())
