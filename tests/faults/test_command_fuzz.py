"""Random changes of run files and of inputs, through the whole command: success, or one error.

`MTL_FUZZ=10000 pytest tests/faults/test_command_fuzz.py` tries more of them.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.command import Result, mtl
from tests.faults.damage import change, changed

COUNT = int(os.environ.get("MTL_FUZZ", "24"))
SECONDS = 30
"""The time that a single command may take on a busy machine."""

RUN: dict[str, Any] = {
    "seed": 3,
    "corpora": {
        "c": {
            "reader": {"type": "csv", "text": "text"},
            "files": {"train": "a.csv", "dev": "a.csv"},
            "tasks": {
                "kind": {"labels": "kind", "head": {"type": "cnn"}, "metric": "accuracy"},
                "size": {
                    "labels": {"column": "size", "form": "number"},
                    "head": {"type": "pool"},
                    "metric": "pearson",
                },
            },
        }
    },
    "embedding": {"words": {"dim": 8, "dropout": 0.1}},
    "trunk": {"type": "qrnn", "num_layers": 1, "hidden_size": 8, "bidirectional": True},
    "sharing": {"type": "hard"},
    "weighting": {"type": "uncertainty", "bound": 2.0},
    "tasks": {"kind": {"use": "c/kind", "weight": 2}, "size": {"use": "c/size", "layer": -1}},
    "training": {
        "epochs": 1,
        "batch": {"sentences": 4},
        "optimizer": {"type": "adam", "lr": 0.01},
        "schedule": {"type": "linear", "warmup": 1},
        "average": 0.9,
        "patience": 2,
        "max_length": 20,
        "overlap": 5,
    },
}
TABLE = "text,kind,size\n" + "".join(
    f"the {word} dog {i},{'ab'[i % 2]},{i}.5\n" for i, word in enumerate(["red", "old", "big"] * 3)
)
# No large sizes: a model of that size would really be made.
VALUES = [
    *(None, True, False, -1, 0, 1, 3, 2.5, -0.5, 1e30, 10**30, -(10**30), 1e-320, float("inf")),
    *("", "x", "null", "kind", "a.csv", "c/kind", "crf", "\u2028", "é" * 50, "..:x", "a\0b"),
    *([], [1], ["x"], {}, {"type": "x"}, {"type": None}, [[[]]], {"x": {"y": 1}}),
]
KEYS = ["x", "type", "lr", "", "init", "epoch"]
INPUTS = {
    "text": "The red dog sees it. \u00bfOh no?\n\nBye\n",
    "paragraphs": "The red dog\nsees it.\n\nBye\n",
    "conll": "The X\nred Y\n\n# id = 3\nBye X\n",
    "jsonl": '{"text": "the dog", "id": 3}\n{"tokens": ["a", "b"], "kind": "gold"}\n',
    "csv": 'text,kind\n"the old, dog",a\nred,b\n',
    "tsv": "text\tkind\nthe old dog\ta\nred\tb\n",
}


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise an error in the main thread if the block takes too long."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"longer than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def command(*arguments: str, stdin: bytes = b"") -> Result:
    """Run a command; it must succeed, or end with code 2 and one message."""
    with time_limit():
        result = mtl(*arguments, stdin=stdin)
    assert result.code in (0, 2), result
    assert result.code == 0 or "error:" in result.err.lower(), result
    assert "Traceback" not in result.err
    return result


@pytest.fixture
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MTL_DATA", raising=False)
    Path("a.csv").write_text(TABLE, encoding="utf-8")


@pytest.mark.usefixtures("_table")
def test_changed_values_of_run_files() -> None:
    rng = random.Random(1)
    accepted = 0
    for number in range(COUNT):
        run = changed(RUN, VALUES, KEYS, rng)
        if rng.random() < 0.3:
            run = changed(run, VALUES, KEYS, rng)
        Path("run.yaml").write_text(yaml.safe_dump(run), encoding="utf-8")
        result = command("check", "run.yaml")
        if result.code == 0:
            accepted += 1
            if accepted % 4 == 1:
                command("train", "run.yaml", "training.epochs=1", "--output", f"r{number}")
    assert COUNT / 20 < accepted < COUNT


@pytest.mark.usefixtures("_table")
def test_changed_text_of_run_files() -> None:
    rng = random.Random(2)
    content = yaml.safe_dump(RUN).encode()
    accepted = 0
    for _ in range(COUNT):
        text = change(content, rng).replace(b"9999", b"9")
        Path("run.yaml").write_bytes(text)
        accepted += command("check", "run.yaml").code == 0
    assert COUNT / 20 < accepted < COUNT


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("a.csv").write_text(TABLE, encoding="utf-8")
        Path("run.yaml").write_text(yaml.safe_dump(RUN), encoding="utf-8")
        assert command("train", "run.yaml", "--output", "r").code == 0
    return folder / "r"


@pytest.mark.parametrize("form", INPUTS)
def test_changed_inputs_of_predict(form: str, model: Path) -> None:
    rng = random.Random(form)
    count = max(10, COUNT // 2)
    accepted = 0
    for _ in range(count):
        content = change(INPUTS[form].encode(), rng)
        output = rng.choice(["conll", "jsonl"])
        result = command("predict", str(model), "--input", form, "--format", output, stdin=content)
        if output == "jsonl":
            for line in result.out.rstrip("\n").split("\n") if result.out else ():
                json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
        accepted += result.code == 0 and bool(result.out)
    assert accepted > count / 10
