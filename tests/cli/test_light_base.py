"""The command without optional packages: what needs one names the extra that installs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.command import mtl


@pytest.mark.parametrize(
    ("package", "override", "need", "extra"),
    [
        ("datasets", "corpora.news.reader={type: hub, name: news}", "the reader 'hub'", "hub"),
        ("tokenizers", "embedding.subwords={}", "splitting words into subwords", "subwords"),
    ],
)
def test_a_part_names_the_extra_that_it_needs(
    package: str,
    override: str,
    need: str,
    extra: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    found = mtl("train", "run.yaml", override)
    assert found.code == 2
    message = (
        f"error: {need} needs {package}, which is not installed; run pip install 'mtl[{extra}]'"
    )
    assert found.err.splitlines()[-1] == message
    assert not (project / "runs").exists()


def test_export_to_onnx_names_the_extra(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    found = mtl("export", str(trained), "--to", "onnx")
    assert found.code == 2
    assert found.err.endswith("which is not installed; run pip install 'mtl[onnx]'\n")


def test_training_goes_on_without_tensorboard(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    found = mtl("train", "run.yaml", "training.epochs=1")
    assert found.code == 0
    (note,) = [line for line in found.err.splitlines() if "mtl[tensorboard]" in line]
    assert note.startswith("note: a log for TensorBoard needs ")
    assert note in (project / "runs" / "run" / "log.txt").read_text()
    assert not list((project / "runs").rglob("events.*"))
