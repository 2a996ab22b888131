"""Small teachers and a student: two single runs of the project of tests/cli, and its whole run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import mtl
from tests.cli import project as small

TEXT = "Ann left Rome. Bob saw New Oslo .\nTom Smith likes good food.\nUnheard words visit Bonn\n"
QUIET = {"progress": False}


def write(folder: Path) -> dict[str, Any]:
    """Write the project with its two teachers, and return the run of the student."""
    small.write(folder)
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    run: dict[str, Any] = yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))
    run["trunk"] |= {"dropout": 0.3, "hidden_size": 8}
    run["training"]["batch"] = {"sentences": 16}
    tasks = run["tasks"]
    for name, own in (
        ("tagger", {"ner": tasks["ner"], "pos": tasks["pos"]}),
        ("rater", {"feeling": tasks["mood"]}),
    ):
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**run, "tasks": own}), encoding="utf-8")
        mtl.train(path, output=folder / "runs" / name, **QUIET)
    return run


class Stub:
    """A teacher that gives what it is told."""

    def __init__(self, folder: Path, outputs: dict[str, tuple[list[str], Any]]) -> None:
        self.folder = folder
        self.outputs = outputs
        self.calls = 0

    @property
    def tasks(self) -> list[str]:
        return list(self.outputs)

    def probabilities(self, sentences: Sequence[Any], task: str) -> tuple[list[str], list[Any]]:
        labels, make = self.outputs[task]
        self.calls += len(sentences)
        return labels, [np.asarray(make(sentence.example.tokens)) for sentence in sentences]

    def predict(self, sentences: Any, tasks: Any = None) -> dict[str, list[Any]]:
        raise NotImplementedError
