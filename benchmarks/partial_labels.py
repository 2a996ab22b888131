"""Chunks from sentences in which half of the tokens have no label, in four ways.

    MTL_DATA=… python benchmarks/partial_labels.py --seeds 1 2 3 4 5

The training set has 600 sentences of CoNLL-2000. The seed also draws the tokens without a label.
The table has the F1 on 1,000 sentences of the test set, with the same CRF and tags in BIO:

- all labels of all sentences (an upper bound);
- half of the labels, with the partial likelihood;
- half of the labels, and O in place of the others;
- all labels of half of the sentences, in twice as many epochs.

The dev set, which chooses the epoch, has all labels. A finished run is not trained again.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studies import cell

import mtl
from mtl.experiment import load_config, load_corpora
from mtl.text.example import ABSENT, Example, of_tokens
from mtl.text.spans import OUTSIDE

ROOT = Path(__file__).resolve().parent.parent
SENTENCES = {"train": 600, "dev": 300, "test": 1000}
EPOCHS = 15
LABELS = {"column": "chunk", "form": "partial", "separator": "|"}
RUN: dict[str, Any] = {
    "embedding": {"words": {"dim": 64}, "affixes": {"dim": 16}},
    "trunk": {"type": "lstm", "num_layers": 1, "hidden_size": 50, "bidirectional": True},
    "tasks": {"chunk": {"use": "chunks/chunk"}},
    "corpora": {
        "chunks": {
            "tasks": {
                "chunk": {
                    "labels": LABELS,
                    "scheme": "bio",
                    "head": {"type": "crf", "scheme": "bio"},
                    "metric": "span_f1",
                }
            }
        }
    },
    "training": {
        "label_prior": False,
        "batch": {"sentences": 16},
        "optimizer": {"type": "adam", "lr": 0.003},
        "threads": 1,
        "device": "cpu",
    },
}
ROWS = {
    "all labels": None,
    "half of the labels": ABSENT,
    "half of the labels, others O": OUTSIDE,
    "half of the sentences": None,
}


def rows(sentences: Sequence[Example], unknown: str | None, seed: int) -> list[dict[str, Any]]:
    """Return the tokens and tags of sentences; half of the tags are replaced, unless it is None."""
    draw = random.Random(seed)
    return [
        {
            "tokens": list(example.tokens),
            "chunk": [
                tag if unknown is None or draw.random() < 0.5 else unknown
                for tag in of_tokens(example.labels["chunk"])
            ],
        }
        for example in sentences
    ]


def f1(row: str, seed: int, folder: Path) -> float:
    """Return the F1 of a row with a seed; train its run unless it is finished."""
    limits = {f"corpora.conll2000.limit.{split}": n for split, n in SENTENCES.items()}
    corpus = load_corpora(load_config(ROOT / "configs/conll2000.yaml", limits))["conll2000"]
    data = {split: rows(corpus.splits[split], None, seed) for split in SENTENCES}
    train, epochs = corpus.splits["train"], EPOCHS
    if row == "half of the sentences":
        train, epochs = train.limited(len(train) // 2), 2 * EPOCHS  # as many steps
    data["train"] = rows(train, ROWS[row], seed)
    place = folder / f"{row.replace(',', '').replace(' ', '_')}-{seed}"
    changes = {"seed": seed, "training.epochs": epochs}
    options: dict[str, Any] = {"output": place, "resume": True, "progress": False}
    model = mtl.train(RUN, changes, data={"chunks": data}, **options)
    return 100 * model.models[0].evaluate("test").scores()["chunk"]["span_f1"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--runs", type=Path, default=Path("runs/partial_labels"))
    options = parser.parse_args()
    print("|  | F1 |\n| --- | ---: |")
    for row in ROWS:
        values = [f1(row, seed, options.runs) for seed in options.seeds]
        print(f"| {row} | {cell(values)} |", flush=True)


if __name__ == "__main__":
    main()
