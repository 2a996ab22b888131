"""Short runs of several kinds, each in a folder of its own, and whether two of them ended alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cli import project
from tests.cli.records import records
from tests.training.texts import text_corpus

DROPPING = {"type": "lstm", "num_layers": 1, "hidden_size": 16, "dropout": 0.3}
TASKS = {"ner": {"use": "news/ner"}, "pos": {"use": "news/pos"}, "mood": {"use": "mood/mood"}}
NEXT = {"next": {"use": "t/next", "batch": {"streams": 2, "bptt": 12, "growing_bptt": 1.5}}}
TRAINING = {"epochs": 3, "batch": {"sentences": 8}, "optimizer": {"type": "adam", "lr": 0.02}}
RUNS: dict[str, dict[str, Any]] = {
    "tagger and classifier": {},
    "language model": {
        "trunk": {**DROPPING, "type": "qrnn", "weight_drop": 0.2},
        "tasks": {**NEXT, "pos": {"use": "news/pos"}},
        "training": {"metric": "pos.accuracy", "mixing": "uniform"},
    },
    "averaged": {"training": {"average": 0.9, "schedule": {"type": "cosine", "warmup": 3}}},
    "uncertainty": {"weighting": "uncertainty"},
    "sluice": {"sharing": "sluice", "trunk": {**DROPPING, "num_layers": 2}},
}
COMMAND = ("train", "run.yaml", "--output", "runs/cut", "--resume")


def write(folder: Path, name: str) -> None:
    """Write a run and its data into a folder that does not exist."""
    folder.mkdir()
    project.write(folder)
    changes = RUNS[name]
    tasks = changes.get("tasks", TASKS)
    run: dict[str, Any] = {
        "embedding": {"words": {"dim": 16}, "characters": {"type": "cnn", "dim": 8, "filters": 8}},
        "trunk": {**DROPPING, "bidirectional": tasks is TASKS},
        **changes,
        "tasks": tasks,
        "training": {**TRAINING, **changes.get("training", {})},
    }
    if "next" in tasks:
        run["embedding"] = {"words": {"dim": 16}}
        run["corpora"] = {"t": text_corpus(folder, "t", 80)}
    (folder / "run.yaml").write_text(yaml.safe_dump(run, sort_keys=False), encoding="utf-8")


def alike(one: Path, other: Path) -> bool:
    """Return whether two run folders have the same model, scores and state of training."""
    newest = [json.loads((folder / "checkpoint/state.json").read_text()) for folder in (one, other)]
    names = ["model.safetensors", "checkpoint/state.json", f"checkpoint/{newest[0]['tensors']}"]
    if newest[0]["tensors"] != newest[1]["tensors"] or records(one) != records(other):
        return False
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def saved_step(folder: Path) -> int:
    """Return the number of steps in the newest checkpoint; 0 if there is none."""
    state = folder / "checkpoint/state.json"
    values: Mapping[str, int] = json.loads(state.read_text()) if state.exists() else {}
    return values.get("step", 0)
