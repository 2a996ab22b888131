"""Measure the gain from a language model for taggers and classifiers with few labelled sentences.

    MTL_DATA=… python benchmarks/transfer.py --init runs/lm_wikitext2 --sizes 100 500 -- ewt_pos_ner

Each run is trained from random weights, and from the trunk and embedding of the language model. The
settings are the same, and so are the training sentences, for both starting points and all seeds. A
finished run is not trained again.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from quality import finished, tasks, train
from side_by_side import table

EPOCHS = {100: 60, 500: 40, 2000: 15}
"""Training sentences to epochs; for all sentences, the run file has the epochs."""
FEW = "training.batch.sentences=8"
"""The batch size for few sentences."""


def corpora(config: str) -> list[str]:
    """Return the corpora of a run file."""
    return list(dict.fromkeys(task["use"].split("/")[0] for task in tasks(config).values()))


def overrides(config: str, size: int | None) -> list[str]:
    """Return the overrides that limit a run to this many training sentences."""
    if size is None:
        return []
    limits = [f"corpora.{name}.limit.train={size}" for name in corpora(config)]
    return [*limits, f"training.epochs={EPOCHS.get(size, 30)}", FEW, "training.patience=null"]


def rows(
    runs: Path, configs: list[str], sizes: list[int | None], seeds: list[int]
) -> Iterator[list[str]]:
    """Yield the rows of the table: one per run, size and task."""
    for config in configs:
        for size in sizes:
            found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
            for start in ("scratch", "lm"):
                for seed in seeds:
                    folder = runs / f"{config}-{size or 'all'}-{start}-{seed}"
                    for task, scores in json.loads((folder / "scores.json").read_text()).items():
                        found[task][start].append(100 * next(iter(scores.values())))
            for task, by in found.items():
                gain = mean(by["lm"]) - mean(by["scratch"])
                cells = [
                    f"{mean(by[start]):.2f} ({min(by[start]):.2f} to {max(by[start]):.2f})"
                    for start in ("scratch", "lm")
                ]
                yield [f"`{config}` {task}", str(size or "all"), *cells, f"**{gain:+.2f}**"]


def main() -> None:
    """Train the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", nargs="+", help="names of runs in configs/")
    parser.add_argument("--init", help="run folder of the language model")
    parser.add_argument("--sizes", nargs="+", type=int, default=[100, 500, 2000])
    parser.add_argument("--all", action="store_true", help="also train on all sentences")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--runs", type=Path, default=Path("runs/transfer"), help="run folders")
    parser.add_argument("--only", choices=["scratch", "lm"], help="train these runs only")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="overrides")
    options = parser.parse_args()
    sizes = [*options.sizes, *([None] if options.all else [])]
    for size in sizes:
        for seed in options.seeds:
            for config in options.configs:
                for start in [options.only] if options.only else ["scratch", "lm"]:
                    folder = options.runs / f"{config}-{size or 'all'}-{start}-{seed}"
                    further = [f"trunk.init={options.init}"] if start == "lm" else []
                    if not finished(folder):
                        changes = [*overrides(config, size), *further, *options.set]
                        train(config, seed, folder, changes)
    if not options.only:
        head = ["task", "sentences", "from random weights", "from the language model", "gain"]
        print(table(head, list(rows(options.runs, options.configs, sizes, options.seeds))))


if __name__ == "__main__":
    main()
