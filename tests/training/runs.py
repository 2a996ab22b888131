"""Small runs on small files: everything that training needs, made in a moment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mtl.data.corpus import Corpus
from mtl.experiment import Experiment, load_config, load_corpora, make_trainer, prepare
from mtl.training.events import Epoch, Step
from mtl.training.trainer import Trainer

TAGS = {"the": "D", "a": "D", "cat": "N", "dog": "N", "Ada": "N", "sat": "V", "ran": "V", "up": "P"}
CORPUS = {
    "reader": {"type": "jsonl"},
    "tasks": {
        "pos": {"labels": "pos", "head": {"type": "softmax"}, "metric": "accuracy"},
        "ner": {"labels": "ner", "scheme": "bio", "head": {"type": "crf"}, "metric": "span_f1"},
        "verb": {"labels": "verb", "head": {"type": "pool"}, "metric": "f1"},
    },
}
RUN = {
    "embedding": {"words": {"dim": 8}},
    "trunk": {"type": "lstm", "hidden_size": 8, "num_layers": 2, "dropout": 0.2},
    "training": {
        "epochs": 3,
        "batch": {"sentences": 4},
        "optimizer": {"type": "adam", "lr": 0.02},
        "schedule": {"type": "constant", "warmup": 2},
        "device": "cpu",
    },
}


def sentence(number: int) -> dict[str, Any]:
    """Return a sentence with all its labels; the first words of no two are alike."""
    words = list(TAGS)
    tokens = [f"w{number}"] + [words[(number + j * j) % 8] for j in range(number % 5)]
    tags = [TAGS.get(word, "X") for word in tokens]
    ner = ["B-PER" if word == "Ada" else "O" for word in tokens]
    return {"tokens": tokens, "pos": tags, "ner": ner, "verb": "yes" if "V" in tags else "no"}


def corpus(folder: Path, name: str, train: int, first: int = 0, **changes: Any) -> dict[str, Any]:
    """Write a corpus with so many sentences, and return what a run file says of it.

    Args:
        folder: Where to.
        name: Its name.
        train: The number of training sentences; there are 6 for development.
        first: The number of the first of them.
        changes: Labels that some training sentences lack: task to how many of the first ones.
    """
    rows = [sentence(first + i) for i in range(train)]
    for task, lacking in changes.items():
        for row in rows[:lacking]:
            del row[task]
    for split, found in {"train": rows, "dev": [sentence(i + 1) for i in range(6)]}.items():
        text = "\n".join(json.dumps(row) for row in found)
        (folder / f"{name}-{split}.jsonl").write_text(f"{text}\n", encoding="utf-8")
    files = {split: f"{name}-{split}.jsonl" for split in ("train", "dev")}
    return {**CORPUS, "files": files}


def prepared(
    folder: Path,
    tasks: Mapping[str, Mapping[str, Any]],
    corpora: Mapping[str, Any] | None = None,
    *,
    trunk: Mapping[str, Any] = RUN["trunk"],
    sharing: Mapping[str, Any] | str = "hard",
    weighting: str = "static",
    **training: Any,
) -> tuple[Experiment, dict[str, Corpus]]:
    """Return a run whose tasks are given; corpora by default `c`, 22 sentences."""
    corpora = corpora or {"c": corpus(folder, "c", 22)}
    run = {**RUN, "trunk": dict(trunk), "training": {**RUN["training"], **training}}
    run |= {"sharing": sharing, "weighting": weighting}
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({**run, "corpora": dict(corpora), "tasks": dict(tasks)}))
    config = load_config(path)
    found = load_corpora(config)
    return prepare(config, found), found


def trainer(
    folder: Path,
    tasks: Mapping[str, Mapping[str, Any]],
    corpora: Mapping[str, Any] | None = None,
    **options: Any,
) -> Trainer:
    """Return the trainer of a run; arguments as `prepared`."""
    return make_trainer(*prepared(folder, tasks, corpora, **options))


def steps_of(events: Iterator[Step | Epoch]) -> list[Step]:
    return [event for event in events if isinstance(event, Step)]


def epochs_of(events: Iterator[Step | Epoch]) -> list[Epoch]:
    return [event for event in events if isinstance(event, Epoch)]
