"""Forgetting: a tagger of parts of speech learns entities without its old data, in five ways.

    MTL_DATA=… python benchmarks/extend.py --seeds 1 2 3

The old model has 600 sentences of EWT. The new task has 300 sentences of UNER. The plain text is
400 other sentences of EWT, a tenth of them held out. The table has the accuracy of parts of speech
on 300 sentences of the dev set before and after, and the F1 of entities on 1,000 sentences of the
test set, at the epoch with the best dev F1 of entities. A finished run is not trained again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from studies import cell

import mtl
from mtl.analysis.forgetting import forgotten
from mtl.experiment import load_config, load_corpora

OLD = {
    "embedding": {"words": {"dim": 64}, "affixes": {"dim": 16}},
    "trunk": {"type": "qrnn", "num_layers": 1, "hidden_size": 100, "bidirectional": True},
    "tasks": {"pos": {"use": "ewt/pos"}},
    "corpora": {"ewt": {"limit": {"train": 600, "dev": 300, "test": 500}}},
    "training": {
        "label_prior": False,
        "epochs": 10,
        "batch": {"sentences": 16},
        "optimizer": {"type": "adam", "lr": 0.003},
        "threads": 1,
        "device": "cpu",
    },
}
NEW = {
    "tasks": {"ner": {"use": "uner/ner"}},
    "corpora": {"uner": {"limit": {"train": 300, "dev": 300, "test": 1000}}},
    "training": {"epochs": 5, "metric": "ner.span_f1"},
}
ALONE = {"tasks.pos.weight": 0}
ROWS = {
    "fine-tuning alone": ALONE,
    "ewc": {**ALONE, "training.ewc.weight": 1000},
    "teacher": {},
    "teacher, ewc": {"training.ewc.weight": 1000},
    "progressive": {**ALONE, "sharing": {"type": "progressive", "old": ["pos"]}},
}


def write_text(folder: Path) -> Path:
    """Write 400 sentences of EWT that are not among the 600 of the old model."""
    path = folder / "text.jsonl"
    if not path.is_file():
        every = load_config({**OLD, "corpora": {"ewt": {}}})
        few = {example.tokens for example in load_corpora(load_config(OLD))["ewt"].splits["train"]}
        split = load_corpora(every)["ewt"].splits["train"].limited(1200)
        rows = [e.tokens for e in split if e.tokens not in few][:400]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{json.dumps({'tokens': row})}\n" for row in rows))
    return path


def measured(row: str, seed: int, folder: Path) -> dict[str, float]:
    """Return the scores of a row with a seed; train its runs unless they are finished."""
    old, place = folder / f"old-{seed}", folder / f"{row.replace(' ', '_')}-{seed}"
    changes = {"seed": seed, **ROWS[row]}
    mtl.train(OLD, {"seed": seed}, output=old, resume=True, progress=False)
    found = mtl.extend(
        old, NEW, changes, text=[folder / "text.jsonl"], output=place, resume=True, progress=False
    )
    model = found.trained.models[0]
    (pos,) = forgotten(found, model)
    ner = model.evaluate("test", tasks=["ner"]).scores()["ner"]
    return {"pos before": pos.before, "pos after": pos.after, "ner": next(iter(ner.values()))}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--folder", type=Path, default=Path("runs/extend"))
    arguments = parser.parse_args()
    write_text(arguments.folder)
    print("|  | pos before | pos after | ner |\n| --- | ---: | ---: | ---: |")
    for seed in arguments.seeds:  # so that all rows of a seed are finished first
        for row in arguments.rows:
            measured(row, seed, arguments.folder)
    for row in arguments.rows:
        every = [measured(row, seed, arguments.folder) for seed in arguments.seeds]
        cells = []
        for name in every[0]:
            values = [100 * scores[name] for scores in every]
            cells.append(cell(values))
        print(f"| {row} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
