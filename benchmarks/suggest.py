"""Simulated labelling: labels that `mtl suggest` needs, beside sentences chosen at random.

    MTL_DATA=DATA python benchmarks/suggest.py trec --seeds 3
    MTL_DATA=DATA python benchmarks/suggest.py entities --seeds 3

All ways begin with the same random sentences. In each round, a new model is trained on all
sentences labelled so far, and further sentences are added. The result is the smallest number of
labelled sentences, and of their words, from which on the test score of two rounds in a row is at
least 95 % of the score with all sentences of the pool.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

import mtl
from mtl.analysis.suggest.suggest import suggest
from mtl.inference.inputs import Sentence

SHARE = 0.95
"""The share of the full score that has to be reached."""


class Row(NamedTuple):
    """A labelled sentence."""

    tokens: list[str]
    label: Any


class Task(NamedTuple):
    """The settings of a simulation.

    Args:
        description: The task in a run file.
        trunk: The trunk: small ones, as many models are trained.
        metric: The name of the score.
        start: The number of sentences of the first round.
        step: The number of sentences that each further round adds.
        most: The most labelled sentences.
        pool: The number of sentences of the pool.
    """

    description: dict[str, Any]
    trunk: dict[str, Any]
    metric: str
    start: int
    step: int
    most: int
    pool: int


TASKS = {
    "trec": Task(
        {"labels": "label", "head": {"type": "pool"}, "metric": "accuracy"},
        *({"type": "none"}, "accuracy", 200, 200, 3000, 4900),
    ),
    "entities": Task(
        {
            "labels": "label",
            "scheme": "bio",
            "head": {"type": "crf", "scheme": "iobes"},
            "metric": "span_f1",
        },
        *({"type": "conv", "num_layers": 2, "hidden_size": 100}, "span_f1", 300, 300, 3000, 4000),
    ),
}


def read_rows(kind: str) -> tuple[list[Row], list[Row]]:
    """Return the sentences for training and for tests."""
    data = Path(os.environ["MTL_DATA"])
    if kind == "trec":
        sides = []
        for name in ("TREC.train", "TREC.test"):
            lines = (data / "trec" / name).read_text(encoding="utf-8").splitlines()
            pairs = (line.partition(" ") for line in lines)
            sides.append([Row(text.split(), label.split(":")[0]) for label, _, text in pairs])
        return sides[0], sides[1]
    sides = []
    for split in ("train", "test"):
        text = (data / "uner_english_ewt" / f"en_ewt-ud-{split}.iob2").read_text(encoding="utf-8")
        blocks = [
            [line.split("\t") for line in block.splitlines() if not line.startswith("#")]
            for block in text.strip().split("\n\n")
        ]
        sides.append([Row([r[1] for r in block], [r[2] for r in block]) for block in blocks])
    return sides[0], sides[1]


def trained(task: Task, rows: Sequence[Row], test: Sequence[Row], seed: int, folder: Path) -> Any:
    """Train on some rows; return the model and its test score."""
    run = {
        "seed": seed,
        "embedding": {
            "words": {"dim": 100, "min_count": 1, "dropout": 0.3},
            "affixes": {"dim": 20},
        },
        "trunk": task.trunk,
        "corpora": {"pool": {"tasks": {"own": task.description}}},
        "tasks": {"own": {"use": "pool/own"}},
        "training": {
            "label_prior": False,
            # Small training sets get more passes, so that all models are trained enough.
            "epochs": max(8, min(100, 32_000 // len(rows))),
            "batch": {"sentences": 64},
            "optimizer": {"type": "adam", "lr": 0.004},
            "average": 0.98,
            "patience": None,
            "threads": 1,
        },
    }
    given = {"train": [{"tokens": r.tokens, "label": r.label} for r in rows]}
    shutil.rmtree(folder, ignore_errors=True)
    model = mtl.train(run, data={"pool": given}, output=folder, progress=False)
    held = [{"tokens": r.tokens, "label": r.label} for r in test]
    score = model.evaluate("test", data={"pool": held}).scores()["own"][task.metric]
    return model, score


def reached(rounds: Sequence[dict], full: float) -> bool:
    """Return whether the last two rounds have a sufficient score."""
    return len(rounds) > 1 and min(own["score"] for own in rounds[-2:]) >= SHARE * full


def simulate(task: Task, kind: str, way: str, seed: int, full: float, folder: Path) -> list[dict]:
    """Return the rounds of a simulation: the labelled sentences and words, and the score."""
    train, test = read_rows(kind)
    rng = random.Random(seed)
    rng.shuffle(train)
    pool = train[: task.pool]
    labelled = list(range(task.start))
    rounds: list[dict] = []
    while True:
        rows = [pool[own] for own in labelled]
        model, score = trained(task, rows, test, seed, folder)
        words = sum(len(row.tokens) for row in rows)
        rounds.append({"sentences": len(rows), "words": words, "score": score})
        if reached(rounds, full) or len(labelled) >= task.most:
            return rounds
        known = set(labelled)
        rest = [own for own in range(len(pool)) if own not in known]
        if way == "random":
            labelled += rng.sample(rest, task.step)
        else:
            sentences = [Sentence.from_words(pool[own].tokens) for own in rest]
            found = suggest(model, sentences, task.step, **WAYS[way])
            labelled += [rest[own.index] for own in found]


WAYS: dict[str, Any] = {
    "random": None,
    "suggest": {},
    "confidence": {"measure": "confidence"},
    "no diversity": {"diverse": False},
}


def main() -> None:
    """Simulate and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=TASKS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["random", "suggest"])
    parser.add_argument("--full", type=float, help="the full score, if it is known")
    parser.add_argument("--json", type=Path, help="append the rounds to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = TASKS[options.kind]
    train, test = read_rows(options.kind)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        full = options.full
        if full is None:
            random.Random(options.first_seed).shuffle(train)
            full = trained(task, train[: task.pool], test, options.first_seed, folder)[1]
        print(f"{options.kind}: full score {100 * full:.2f}, goal {100 * SHARE * full:.2f}\n")
        print("| seed | way | sentences | words | score | seconds |\n|---|---|---:|---:|---:|---:|")
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for way in options.ways:
                begun = time.monotonic()
                rounds = simulate(task, options.kind, way, seed, full, folder)
                met = reached(rounds, full)
                first = rounds[-2] if met else rounds[-1]
                more = "" if met else "> "
                row = [seed, way, f"{more}{first['sentences']}", f"{more}{first['words']}"]
                row += [f"{100 * first['score']:.2f}", f"{time.monotonic() - begun:.0f}"]
                print(f"| {' | '.join(map(str, row))} |", flush=True)
                if options.json:
                    record = {"data": options.kind, "seed": seed, "way": way, "full": full}
                    with open(options.json, "a", encoding="utf-8") as file:
                        file.write(json.dumps({**record, "rounds": rounds}) + "\n")


if __name__ == "__main__":
    main()
