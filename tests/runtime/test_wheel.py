"""The wheel of mtl-runtime, installed without torch, labels texts as torch does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mtl.export.bundle import TaskForm, export_bundle
from mtl.inference.inputs import read_sentences
from tests.runtime import built, models
from tests.runtime.test_predictor import same

built.kernels()
TEXTS: list[Any] = ["Ann Smith left New York. The cat sat!", "", ["walking", "1984"], "Rome " * 30]
KINDS = {
    "tagger": "crf-0-tags",
    "classifier": "attention-0-kind",
    "two tasks, sluice": "sluice-0",
    "pairs": "cnn-0-kind-pairs",
}
PROGRAM = """
import json, sys
import mtl_runtime
assert "torch" not in sys.modules and "mtl" not in sys.modules
path, texts = sys.argv[1], json.load(sys.stdin)
print(json.dumps([p.to_dict() for p in mtl_runtime.load(path).annotate(texts, confidence=True)]))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with the wheel and NumPy."""
    folder = tmp_path_factory.mktemp("runtime")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    command = [*pip, "wheel", "--no-deps", "-w", str(folder), str(built.RUNTIME)]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("mtl_runtime-*.whl")
    assert wheel.stat().st_size < 2_000_000
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
    found = folder / "env/bin/python"
    subprocess.run([found, "-m", "pip", "-q", "install", wheel], check=True)
    assert subprocess.run([found, "-c", "import torch"], capture_output=True).returncode == 1
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_labels_and_probabilities_are_the_same(kind: str, python: Path, tmp_path: Path) -> None:
    options = dict(models.variants())[KINDS[kind]]
    in_torch, pairs = models.predictor(**options), options.get("pairs", False)
    tasks = list(in_torch.batcher.targets)
    path = tmp_path / "model.mtl"
    export_bundle(in_torch, dict.fromkeys(tasks, TaskForm("record", pairs, False)), path)
    texts: list[Any] = [(text, "The cat left") for text in TEXTS] if pairs else TEXTS
    read = read_sentences(texts, pairs=pairs)
    expected = [p.to_dict() for p in in_torch.run(read, tasks, confidence=True)]
    command = [python, "-c", PROGRAM, path]
    done = subprocess.run(
        command, input=json.dumps(texts), capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert same(json.loads(done.stdout), json.loads(json.dumps(expected)))
