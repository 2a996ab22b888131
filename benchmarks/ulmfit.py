"""Measure the gain of each of the three stages of ULMFiT (Howard & Ruder 2018) on TREC questions.

    MTL_DATA=… python benchmarks/ulmfit.py --init runs/lm_wikitext2 --sizes 100 500 --seeds 1 2 3

The classifier (configs/ulmfit/3_trec.yaml) trains on some labelled questions, the same for all
seeds and starting points. It starts from random weights, from the language model of WikiText-2, or
from that model after it has read all training questions without labels (configs/ulmfit/2_trec.yaml)
with the same seed. A finished run is not trained again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev

from quality import finished, train
from side_by_side import table
from transfer import overrides

STARTS = {
    "scratch": "from random weights",
    "general": "from WikiText-2",
    "target": "from WikiText-2, then the questions",
}


def trained(config: str, seed: int, folder: Path, changes: list[str]) -> Path:
    """Train a run unless it is finished, and return its folder."""
    if not finished(folder):
        train(config, seed, folder, changes)
    return folder


def rows(runs: Path, sizes: list[int | None], seeds: list[int]) -> Iterator[list[str]]:
    """Yield the rows of the table: one per number of questions."""
    for size in sizes:
        cells = [str(size or "all")]
        for start in STARTS:
            folders = [runs / f"3-{size or 'all'}-{start}-{seed}" for seed in seeds]
            scores = [json.loads((folder / "scores.json").read_text()) for folder in folders]
            found = [100 * score["coarse"]["accuracy"] for score in scores]
            spread = f" ± {stdev(found):.2f}" if len(found) > 1 else ""
            cells.append(f"{mean(found):.2f}{spread}")
        yield cells


def main() -> None:
    """Train the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--init", type=Path, help="run folder of the language model of WikiText-2")
    parser.add_argument("--sizes", nargs="+", type=int, default=[100, 500], help="questions")
    parser.add_argument("--all", action="store_true", help="also train on all questions")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--runs", type=Path, default=Path("runs/ulmfit"), help="run folders")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="overrides")
    options = parser.parse_args()
    runs, own = options.runs, options.set
    sizes = [*options.sizes, *([None] if options.all else [])]
    general = options.init or trained("lm_wikitext2", 1, runs / "1", own)
    for seed in options.seeds:
        init = [f"trunk.init={general}"]
        target = trained("ulmfit/2_trec", seed, runs / f"2-{seed}", [*init, *own])
        starts = {
            "scratch": ["training.fine_tuning=null"],
            "general": init,
            "target": [f"trunk.init={target}"],
        }
        for size in sizes:
            for start, changes in starts.items():
                folder = runs / f"3-{size or 'all'}-{start}-{seed}"
                limits = overrides("ulmfit/3_trec", size)
                trained("ulmfit/3_trec", seed, folder, [*limits, *changes, *own])
    print(table(["labelled questions", *STARTS.values()], list(rows(runs, sizes, options.seeds))))


if __name__ == "__main__":
    main()
