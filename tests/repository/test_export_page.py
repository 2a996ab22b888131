"""The program of docs/export.md, run unchanged on a small model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli import project
from tests.cli.command import mtl

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")


def test_the_program_gives_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert mtl("train", "run.yaml", "--output", "runs/ewt", "training.epochs=12").code == 0
    assert mtl("export", "runs/ewt", "--to", "onnx", "--output", "tagger.onnx").code == 0
    programs = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (program,) = (found for found in programs if "onnxruntime" in found)
    exec(program, {})
    assert "pos ['NNP', 'VBD', 'NNP', '.']" in capsys.readouterr().out
