"""Numbers per label and confusion: `mtl evaluate` prints those of Python."""

from __future__ import annotations

import json

import pytest

import mtl as library
from mtl.cli.evaluate import _confusion_rows
from mtl.metrics.base import Pair
from mtl.training.evaluation import Evaluation
from tests.cli import project as small
from tests.cli.command import mtl


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the run folder of a model that has not learned much, so that it makes many errors."""
    folder = tmp_path_factory.mktemp("project")
    small.write(folder)
    changes = {"training.epochs": 3, "training.optimizer.lr": 0.01}
    library.train(folder / "run.yaml", changes, output=folder / "run", progress=False)
    return str(folder / "run")


@pytest.fixture
def found(model: str) -> Evaluation:
    return library.load(model).evaluate("dev", labels=True)


def test_the_command_prints_the_same_as_json(model: str, found: Evaluation) -> None:
    shown = json.loads(mtl("evaluate", model, "--split", "dev", "--json").out)
    expected = found.to_dict()
    for own in expected.values():
        assert own.pop("gold")
        assert own.pop("predicted")
    assert shown == expected
    assert set(shown["pos"]) == {"accuracy", "per_label", "confusion"}


def test_the_command_prints_a_matrix(model: str, found: Evaluation) -> None:
    lines = mtl("evaluate", model, "--split", "dev", "--confusion").out.splitlines()
    start = lines.index("pos: predicted labels in columns")
    table = [line.replace("│", " ").replace("┃", " ").split() for line in lines[start:]]
    assert table[2] == ["gold", ".", "NNP", "VBD"]
    counts = found.confusion()["pos"]
    for row in table[4:7]:
        gold, *numbers = row
        assert list(map(int, numbers)) == [counts[gold].get(guess, 0) for guess in table[2][1:]]


def test_many_labels_are_added_up() -> None:
    pairs: dict[Pair, int] = {(f"l{i}", f"l{i + 1}"): 10 for i in range(20)}
    pairs |= {("a", "b"): 99, ("b", "b"): 5, (None, "a"): 3}
    names, rows = _confusion_rows(pairs)
    assert names[:3] == ["gold", "a", "b"]
    assert names[-2:] == ["(others)", "(none)"]
    assert [row[0] for row in rows] == names[1:]
    assert sum(int(cell) for row in rows for cell in row[1:]) == sum(pairs.values())
    assert rows[0][2] == "99"
