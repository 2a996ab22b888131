"""Damaged run folders: an error of one kind, or the same labels as before. Seeded at random."""

from __future__ import annotations

import json
import math
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import mtl
from mtl.errors import MtlError
from tests.cli import project
from tests.faults.damage import changed, damaged

SENTENCES = ["Ann Smith saw New Rome .", "Bob 漢字 left", "This is great food ."]
FILES = ["run.yaml", "model.safetensors", "checksums.txt"]
FILES += [f"vocabulary/{name}.json" for name in ("words", "characters", "labels")]
VALUES: list[Any] = [
    *(None, True, 0, 1, -1, 3, 1.5, -0.0, 1e308, 10**9, 10**30, -(10**30), math.nan, math.inf),
    *("", "O", "B-PER", "lstm", "..:x", "a.b:C", "os:path", "\ud800", "x" * 3000, "a\0b", "*"),
    *([], {}, [[]], [1, 2], {"type": "crf"}, {"a": {"b": []}}, ["a", "a"]),
]
MANY = pytest.param(3000, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of a model with a tagger, a CRF and a classifier."""
    folder = tmp_path_factory.mktemp("fuzzed")
    project.write(folder)
    mtl.train(folder / "run.yaml", {"training.epochs": 3}, output=folder / "run", progress=False)
    shutil.rmtree(folder / "run" / "checkpoint")
    return folder / "run"


def labels(folder: Path) -> dict[str, list[Any]] | str:
    """Return the labels of the model, or the message of an error that a user can correct."""
    try:
        return mtl.load(folder, device="cpu").predict(SENTENCES)
    except MtlError as error:
        return str(error)


@pytest.mark.parametrize("number", [120, MANY])
def test_a_damaged_byte_never_changes_a_label(trained: Path, tmp_path: Path, number: int) -> None:
    expected = labels(trained)
    rng = random.Random(number)
    refused = 0
    for case in range(number):
        name = rng.choice(FILES)
        folder = tmp_path / str(case)
        shutil.copytree(trained, folder)
        (folder / name).write_bytes(damaged((folder / name).read_bytes(), rng))
        found = labels(folder)
        if isinstance(found, str):
            assert found.isprintable(), (case, name, found)
            refused += 1
        else:
            assert found == expected, (case, name)
        shutil.rmtree(folder)
    assert refused > number / 2


@pytest.mark.parametrize("number", [40, MANY])
def test_a_changed_value_in_a_folder_without_checksums(
    trained: Path, tmp_path: Path, number: int
) -> None:
    rng = random.Random(number)
    refused = 0
    for case in range(number):
        path = rng.choice([name for name in FILES if name.endswith(("json", "yaml"))])
        folder = tmp_path / str(case)
        shutil.copytree(trained, folder)
        (folder / "checksums.txt").unlink()
        text = (folder / path).read_text(encoding="utf-8")
        tree = yaml.safe_load(text) if path.endswith("yaml") else json.loads(text)
        tree = changed(tree, VALUES, ["x", "type", "\0", "é", "labels"], rng)
        # JSON is YAML, apart from the spelling of infinity.
        text = json.dumps(tree, ensure_ascii=True).replace("Infinity", ".inf")
        text = text if path.endswith("yaml") else text.replace(".inf", "Infinity")
        (folder / path).write_text(text, encoding="utf-8")
        found = labels(folder)
        if isinstance(found, str):  # one line per error in the run file
            assert all(map(str.isprintable, found.split("\n"))), (case, path, found)
            refused += 1
        shutil.rmtree(folder)
    assert refused > number / 5
