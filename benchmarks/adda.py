"""Polarity of reviews in another domain: no adaptation, gradient reversal, and ADDA.

    MTL_DATA=… python benchmarks/adda.py --source books --target kitchen --seeds 1 2 3

The labels are those of 500 reviews of the source, and the text of 500 reviews of the target is
known; of each review, the first 100 words are used. The table has the accuracy on the test set of
the target. `reversal` trains one encoder with the head `domain` from the start, and is scored at
the epoch with the best dev accuracy of the source. `ADDA` starts from the model without adaptation,
and is scored after its last epoch. A finished run is not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import mtl

DATA = Path(os.environ.get("MTL_DATA", "data")) / "fdu_mtl_reviews"
TASKS = {
    "polarity": {"labels": "label", "head": {"type": "pool"}, "metric": "accuracy"},
    "domain": {"labels": "domain", "head": {"type": "domain"}, "metric": "accuracy"},
}
RUN: dict[str, Any] = {
    "embedding": {"words": {"dim": 64, "dropout": 0.1}},
    "trunk": {"type": "qrnn", "num_layers": 1, "hidden_size": 64, "bidirectional": True},
    "training": {
        "label_prior": False,
        "epochs": 8,
        "batch": {"sentences": 16},
        "optimizer": {"type": "adam", "lr": 0.003},
        "threads": 1,
        "device": "cpu",
    },
}
ALONE: dict[str, Any] = {**RUN, "tasks": {"source": {"use": "source/polarity"}}}
BOTH = {
    "source": {"use": "source/polarity"},
    "target": {"use": "target/polarity", "head": "source", "weight": 0},
    "source_domain": {"use": "source/domain", "head": {"type": "domain", "strength": 0.1}},
    "target_domain": {"use": "target/domain", "head": "source_domain"},
}
REVERSAL: dict[str, Any] = {
    **RUN,
    "tasks": BOTH,
    "training": {**RUN["training"], "mixing": {"type": "joint"}, "metric": "source.accuracy"},
}
ADDA: dict[str, Any] = {
    **RUN,
    "trunk": {**RUN["trunk"], "init_heads": True},
    "sharing": {"type": "progressive", "old": ["source", "source_domain"], "adapter_size": 0},
    "tasks": {
        **BOTH,
        "source": {"use": "source/polarity", "weight": 0},
        "source_domain": {"use": "source/domain", "head": {"type": "domain", "goal": "inverted"}},
    },
    # The dev accuracy of the source cannot change, and of equal epochs the last one is chosen.
    "training": {
        **REVERSAL["training"],
        "epochs": 3,
        "optimizer": {"type": "adam", "lr": 0.0003},
    },
}


def write(domain: str, name: str, folder: Path) -> dict[str, Any]:
    """Write the reviews of a domain as JSON lines, and return the corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for split in ("train", "test"):
        (path,) = DATA.glob(f"{domain}*.task.{split}")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        rows = [line.split("\t", 1) for line in lines if "\t" in line]
        files[split] = str((folder / f"{domain}-{name}-{split}.jsonl").resolve())
        found = (
            {"tokens": text.split()[:100], "label": label, "domain": name} for label, text in rows
        )
        Path(files[split]).write_text("".join(json.dumps(row) + "\n" for row in found))
    return {
        "reader": {"type": "jsonl"},
        "files": files,
        "splits": {"dev": 200},
        "limit": {"train": 500},
        "tasks": TASKS,
    }


def accuracies(source: str, target: str, seed: int, folder: Path) -> list[float]:
    """Return the accuracies on the target of all three models, in per cent."""
    corpora = {"source": write(source, "source", folder), "target": write(target, "target", folder)}
    place = folder / f"{source}-{target}-{seed}"

    def trained(name: str, run: dict[str, Any]) -> Any:
        run = {**run, "corpora": corpora}
        options = {"output": place / name, "resume": True, "progress": False}
        return mtl.train(run, {"seed": seed}, **options).models[0]

    alone = trained("alone", ALONE)
    with Path(corpora["target"]["files"]["test"]).open(encoding="utf-8") as file:
        test = [json.loads(line) for line in file]
    answers = alone.predict([row["tokens"] for row in test])["source"]
    hits = [answer == row["label"] for answer, row in zip(answers, test, strict=True)]
    results = [mean(hits)]
    adapted = {**ADDA, "trunk": {**ADDA["trunk"], "init": str(place / "alone")}}
    for name, run in (("reversal", REVERSAL), ("adda", adapted)):
        scores = trained(name, run).evaluate("test", tasks=["target"]).scores()
        results.append(scores["target"]["accuracy"])
    return [100 * result for result in results]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="books")
    parser.add_argument("--target", default="kitchen")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--runs", type=Path, default=Path("runs/adda"))
    options = parser.parse_args()
    rows = [accuracies(options.source, options.target, s, options.runs) for s in options.seeds]
    print("| no adaptation | reversal | ADDA |\n| ---: | ---: | ---: |")
    columns = list(zip(*rows, strict=True))
    spread = [stdev(column) if len(column) > 1 else 0 for column in columns]
    cells = (f"{mean(c):.1f} ± {s:.1f}" for c, s in zip(columns, spread, strict=True))
    print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
