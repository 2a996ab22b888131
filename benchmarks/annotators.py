"""Labels of several annotators: the majority label and the soft label, on simulated votes.

    MTL_DATA=… python benchmarks/annotators.py --seeds 1 2 3 --annotators 5 --error 0.3

The annotators are a simulation: each names a wrong class of a question of TREC with the same
probability, independently of the question and of the others, and all wrong classes are equally
probable. `gold` learns the true classes, `majority` the class with most votes (of equal numbers, a
random one), and `soft` the shares of the votes (Uma et al. 2021). The dev set has the same form of
labels as the training set. The table has the accuracy on the true classes of the test set, at the
epoch with the lowest dev loss. A finished run is not trained again.
"""

from __future__ import annotations

import argparse
import os
import random
from collections import Counter
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import mtl

DATA = Path(os.environ.get("MTL_DATA", "data")) / "trec"
TRAIN, DEV = 500, 300
FORMS = {"gold": "label", "majority": "label", "soft": "soft"}
METRICS = {"label": "accuracy", "soft": "divergence"}
RUN: dict[str, Any] = {
    "embedding": {
        "words": {"dim": 100, "min_count": 2, "dropout": 0.2},
        "affixes": {"dim": 20},
    },
    "trunk": {"type": "lstm", "num_layers": 1, "hidden_size": 50, "bidirectional": True},
    "training": {
        "label_prior": False,
        "epochs": 15,
        "batch": {"sentences": 16},
        "optimizer": {"type": "adam", "lr": 0.002},
        "metric": "kind.loss",
        "threads": 1,
        "device": "cpu",
    },
}

Row = dict[str, Any]


def read(name: str) -> list[Row]:
    """Return the words and the coarse class of each question."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" ", 1) for line in lines]
    return [{"tokens": text.split(), "gold": label.split(":")[0]} for label, text in pairs]


def vote(rows: list[Row], annotators: int, error: float, draw: random.Random) -> list[Row]:
    """Return rows with the votes of annotators, as counts and as the majority label."""
    kinds = sorted({row["gold"] for row in rows})
    voted = []
    for row in rows:
        wrong = [kind for kind in kinds if kind != row["gold"]]
        votes = Counter(
            draw.choice(wrong) if draw.random() < error else row["gold"] for _ in range(annotators)
        )
        most = sorted(kind for kind, count in votes.items() if count == max(votes.values()))
        voted.append({**row, "majority": draw.choice(most), "soft": dict(votes)})
    return voted


def accuracy(form: str, rows: list[Row], test: list[Row], seed: int, folder: Path) -> float:
    """Train on one form of labels and return the accuracy on the test set, in per cent."""
    kind = FORMS[form]
    task = {"labels": {"column": form, "form": kind}, "head": "cnn", "metric": METRICS[kind]}
    run = {
        **RUN,
        "corpora": {"votes": {"tasks": {"kind": task}}},
        "tasks": {"kind": {"use": "votes/kind"}},
    }
    data = {"votes": {"train": rows[:TRAIN], "dev": rows[TRAIN:]}}
    place = folder / f"{form}-{seed}"
    model = mtl.train(
        run, {"seed": seed}, data=data, output=place, resume=True, progress=False
    ).models[0]
    answers = model.predict([row["tokens"] for row in test])["kind"]
    named = [max(a, key=a.get) if isinstance(a, dict) else a for a in answers]
    return 100 * mean(a == row["gold"] for a, row in zip(named, test, strict=True))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--annotators", type=int, default=5)
    parser.add_argument("--error", type=float, default=0.3)
    parser.add_argument("--runs", type=Path, default=Path("runs/annotators"))
    options = parser.parse_args()
    test, right = read("TREC.test"), []
    found: dict[str, list[float]] = {form: [] for form in FORMS}
    for seed in options.seeds:
        draw = random.Random(seed)
        rows = draw.sample(read("TREC.train"), TRAIN + DEV)
        rows = vote(rows, options.annotators, options.error, draw)
        right.append(100 * mean(row["majority"] == row["gold"] for row in rows[:TRAIN]))
        folder = options.runs / f"{options.annotators}-{options.error}"
        for form, values in found.items():
            values.append(accuracy(form, rows, test, seed, folder))
    print(f"{mean(right):.1f} % of the majority labels are right\n\n| labels | accuracy |")
    print("| --- | ---: |")
    for form, values in found.items():
        spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
        print(f"| {form} | {mean(values):.2f}{spread} |")


if __name__ == "__main__":
    main()
