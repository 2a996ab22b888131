"""The runtime imports numpy alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.runtime import conftest
from tests.runtime.built import kernels

PROGRAM = """
import sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ImportError(f"{name} is imported")

REFUSED = {"torch", "mtl", "tokenizers", "typing_extensions", "pydantic", "typer", "rich"}
sys.meta_path.insert(0, Refuse())
import mtl_runtime
import mtl_runtime.cli
import mtl_runtime._mtl.cli.formats
import mtl_runtime._mtl.cli.inputs
import mtl_runtime._mtl.files
print(mtl_runtime.Model.__name__)
"""


def test_without_torch_and_mtl() -> None:
    kernels()
    command = [sys.executable, "-c", PROGRAM]
    environment = {"PYTHONPATH": str(conftest.RUNTIME)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Model\n"


def test_copies_are_complete(tmp_path: Path) -> None:
    names = {path for path, _ in conftest.vendor.copies(conftest.RUNTIME.parent / "mtl")}
    conftest.vendor.vendor(conftest.RUNTIME.parent / "mtl", tmp_path)
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*.py")} == names
    (tmp_path / "old.py").write_text("")
    conftest.vendor.vendor(conftest.RUNTIME.parent / "mtl", tmp_path)
    assert not (tmp_path / "old.py").exists()


def test_predictions_have_no_html_in_the_runtime() -> None:
    kernels()
    code = (
        "from mtl_runtime._mtl.inference.inputs import Sentence\n"
        "from mtl_runtime._mtl.inference.prediction import Prediction\n"
        "print(Prediction(Sentence(None), {}, {}, {})._repr_html_())"
    )
    program = PROGRAM.replace("print(mtl_runtime.Model.__name__)", code)
    environment = {"PYTHONPATH": str(conftest.RUNTIME)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
