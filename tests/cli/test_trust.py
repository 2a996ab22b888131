"""A run folder imports no module outside mtl, unless the user trusts it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mtl as library
from mtl.errors import ConfigError
from tests.cli.command import Result, mtl

MODULE = """\
import pathlib

pathlib.Path("ran").touch()

from mtl.metrics import Accuracy
from mtl.trunks import LSTMTrunk


class Trunk(LSTMTrunk):
    '''An LSTM (\N{EN DASH}).'''


class Metric(Accuracy):
    '''Accuracy (\N{EN DASH}).'''
"""
NAMES = {
    "trunk": ("type: lstm", "type: foreign:Trunk"),
    "metric": ("metric:\n      type: accuracy", "metric:\n      type: foreign:Metric"),
}
"""Kind to a text in the run file of a folder, and the text that names a class of the module."""


@pytest.fixture
def module(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Write a module that leaves a file named `ran` when it is imported."""
    Path("foreign.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(project)
    yield
    sys.modules.pop("foreign", None)


@pytest.fixture
def model(module: None, trained: Path) -> Path:
    """Return a copy of the run folder, as a version without checksums wrote it."""
    shutil.copytree(trained, "model")
    Path("model/checksums.txt").unlink(missing_ok=True)
    return Path("model")


def name_parts(folder: Path, *kinds: str) -> None:
    text = (folder / "run.yaml").read_text(encoding="utf-8")
    for kind in kinds:
        assert NAMES[kind][0] in text
        text = text.replace(*NAMES[kind])
    (folder / "run.yaml").write_text(text, encoding="utf-8")


COMMANDS = {
    "predict": ("predict", "model"),
    "evaluate": ("evaluate", "model"),
    "generate": ("generate", "model"),
    "export": ("export", "model", "--to", "torch-export", "--output", "x.pt2"),
    "report": ("report", "model"),
    "compare": ("report", "--test", "model", "model"),
    "check": ("check", "model/run.yaml"),
    "start": ("check", "run.yaml", "trunk.init=model"),
    "train": ("train", "model/run.yaml", "--output", "other"),
    "resume": ("train", "run.yaml", "training.epochs=12", "--output", "model", "--resume"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_no_command_imports_a_module_for_a_folder(model: Path, command: tuple[str, ...]) -> None:
    name_parts(model, "trunk", "metric")
    result = mtl(*command, stdin="Ann left.")
    assert (result.code, result.out) == (2, "")
    assert not Path("ran").exists()
    for line in result.err.splitlines():
        assert "is not part of mtl" in line
        assert "add --trust (in Python: trust=True)" in line
        assert "'foreign'" in line


def test_trust_imports_the_module_and_names_it(model: Path) -> None:
    before = mtl("predict", "model", stdin="Ann left.")
    name_parts(model, "trunk", "metric")
    result = mtl("predict", "model", "--trust", stdin="Ann left.")
    assert result == Result(0, before.out, result.err)
    assert [line for line in result.err.splitlines() if "foreign" in line] == [
        "imports foreign, which the run names and --trust (trust=True) allows"
    ]
    assert Path("ran").exists()


def test_trust_in_python(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name_parts(model, "metric")
    with pytest.raises(ConfigError, match="trust=True"):
        library.load(model)
    assert not Path("ran").exists()
    assert library.load(model, trust=True).tasks == ["ner", "pos", "mood"]
    assert "imports foreign" in capsys.readouterr().err
    # The program has the module now, so nothing more is imported.
    assert library.load(model).tasks == ["ner", "pos", "mood"]


def test_a_run_file_of_the_user_needs_no_trust(module: None) -> None:
    own = "trunk={type: 'foreign:Trunk', num_layers: 1, hidden_size: 8}"
    assert mtl("train", "run.yaml", own, "training.epochs=1").code == 0
    assert Path("ran").exists()
    assert mtl("train", "run.yaml", own, "training.epochs=2", "--resume").code == 0
    del sys.modules["foreign"]
    assert "add --trust" in mtl("predict", "runs/run", stdin="Ann").err


@pytest.mark.parametrize(
    "name", ["..:x", ".foreign:Trunk", "foreign:", ":Trunk", "a b:C", "foreign:Trunk.x", "a/b:C"]
)
@pytest.mark.parametrize("trust", [(), ("--trust",)])
def test_a_name_is_checked_before_an_import(model: Path, name: str, trust: tuple[str, ...]) -> None:
    text = Path("model/run.yaml").read_text(encoding="utf-8")
    Path("model/run.yaml").write_text(text.replace("type: lstm", f"type: '{name}'"))
    result = mtl("predict", "model", *trust, stdin="Ann")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert f"{name!r}: expected the name of a trunk, or module:Class" in result.err
    result = mtl("check", "run.yaml", f"trunk.type='{name}'")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert not Path("ran").exists()


def test_a_module_that_fails_is_one_error(module: None) -> None:
    Path("foreign.py").write_text("1 / 0")
    result = mtl("check", "run.yaml", "trunk.type='foreign:X'")
    expected = "cannot import trunk 'foreign:X': ZeroDivisionError: division by zero"
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert expected in result.err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("os:path", "'os:path' is not a trunk: expected a class derived from mtl.trunks.base"),
        ("this:X", "the trunk 'this:X' is not part of mtl, so it is not imported for a run folder"),
        ("mtl.heads:CRFHead", "'mtl.heads:CRFHead' is not a trunk: expected a class derived from"),
    ],
)
def test_classes_that_are_no_trunks(model: Path, name: str, message: str) -> None:
    text = Path("model/run.yaml").read_text(encoding="utf-8")
    Path("model/run.yaml").write_text(text.replace("type: lstm", f"type: '{name}'"))
    sys.modules.pop("this", None)
    result = mtl("predict", "model", stdin="Ann")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert f": trunk: {message}" in result.err
    assert "this" not in sys.modules
