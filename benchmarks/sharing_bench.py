"""Measure the step time of each sharing on a small run with four tasks, relative to hard sharing.

Sentences are random words, with the lengths of web text. All four tasks tag each sentence, so every
step trains every task. A step is a full one of the trainer: batch, embedding, trunks, heads,
backward pass, clipping, Adam and average.
"""

from __future__ import annotations

import mtl  # noqa: F401 (before torch, as in the command: sets how threads wait)

# isort: split
import argparse
import json
import os
import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import yaml
from side_by_side import alternate, conditions, ratio, report, table

from mtl.experiment import load_config, load_corpora, make_trainer, prepare
from mtl.training.events import Step

TASKS = ("a", "b", "c", "d")
LABELS = 17
SHARINGS = ("none", "cross_stitch", "sluice")
RUN = {
    "seed": 1,
    "embedding": {
        "words": {"dim": 100},
        "characters": {"type": "cnn", "dim": 30, "filters": 50},
        "affixes": {"dim": 20},
    },
    "training": {
        "epochs": 1000,
        "batch": {"max_tokens": 1000},
        "optimizer": {"type": "adam", "lr": 0.002},
        "average": 0.999,
        "clip_norm": 5.0,
        "device": "cpu",
    },
}


def write_run(folder: Path, sentences: int = 2000) -> Path:
    """Write a corpus and a run with four tasks, and return the path of the run."""
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghij", k=draw.randint(2, 9))) for _ in range(5000)]
    labels = {task: {word: str(draw.randrange(LABELS)) for word in words} for task in TASKS}
    lines = []
    for _ in range(sentences):
        tokens = draw.choices(words, k=min(1 + int(draw.expovariate(1 / 16)), 80))
        columns = {task: [own[token] for token in tokens] for task, own in labels.items()}
        lines.append(json.dumps({"tokens": tokens, **columns}))
    (folder / "text.jsonl").write_text("\n".join(lines), encoding="utf-8")
    task = {"head": "softmax", "metric": "accuracy"}
    corpus = {
        "reader": {"type": "jsonl"},
        "files": {"train": "text.jsonl"},
        "tasks": {name: {**task, "labels": name} for name in TASKS},
    }
    tasks = {name: {"use": f"c/{name}"} for name in TASKS}
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({**RUN, "corpora": {"c": corpus}, "tasks": tasks}))
    return path


def steps(path: Path, trunk: dict[str, Any], sharing: str, count: int) -> Callable[[], int]:
    """Return a function that runs training steps and returns their number of tokens."""
    run = load_config(path, {"trunk": trunk, "sharing": {"type": sharing}})
    corpora = load_corpora(run)
    events = make_trainer(prepare(run, corpora), corpora).run()
    only = (event for event in events if isinstance(event, Step))
    return lambda: sum(step.tokens[TASKS[0]] for step in islice(only, count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=15, help="training steps per round")
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes = {"hidden_size": options.hidden_size, "num_layers": options.layers}
    rows = []
    with TemporaryDirectory() as folder:
        os.environ["MTL_CACHE"] = folder
        path = write_run(Path(folder))
        for trunk in ("lstm", "gru", "qrnn"):
            made = {
                name: steps(path, {"type": trunk, **sizes}, name, options.steps)
                for name in ("hard", *SHARINGS)
            }
            found = alternate(made, options.rounds)
            rows.append([trunk, *(ratio(found["hard"], found[name]) for name in SHARINGS)])
    text = "# Step time relative to hard sharing\n\n" + table(["trunk", *SHARINGS], rows)
    setting = f"\n\n- Four tasks on the same sentences, {sizes}, both directions, {RUN}\n"
    report("sharing", text + setting + conditions(["mtl", "torch"]))


if __name__ == "__main__":
    main()
