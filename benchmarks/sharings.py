"""What each way of sharing gives its tasks: test scores, mean and deviation over seeds.

    MTL_DATA=… python benchmarks/sharings.py taggers --seeds 1 2 3

benchmarks/sharings.yaml says what is trained. A run that is finished is not trained again, and rows
that lack some are left out of the table, so it can be rebuilt as more are trained.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev

import yaml
from quality import finished, tasks, train
from side_by_side import table

STUDIES = yaml.safe_load(Path(__file__).with_name("sharings.yaml").read_text(encoding="utf-8"))


def runs_of(study: dict, row: str, folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield the folders of a row's runs, without seeds, and what they change.

    There is one, or one a task where tasks are alone.
    """
    changes = [*study["common"], *study["rows"][row]]
    name = re.sub(r"\W+", "_", row)
    if row != "alone":
        yield folder / name, changes
        return
    for task in tasks(study["run"]):
        others = [f"tasks.{other}=null" for other in tasks(study["run"]) if other != task]
        mine = [c for c in changes if not c.startswith("corpora.") or _of(c, task, study["run"])]
        yield folder / f"{name}_{task}", [*mine, *others]


def _of(change: str, task: str, config: str) -> bool:
    return change.split(".")[1] == tasks(config)[task]["use"].split("/")[0]


def scores(folders: list[Path]) -> dict[str, float]:
    """Return the score of every task, in percent, from the folders that have it."""
    found = {}
    for folder in folders:
        for task, own in json.loads((folder / "scores.json").read_text()).items():
            found[task] = 100 * next(iter(own.values()))
    return found


def cells(by_seed: list[dict[str, float]], wanted: list[str]) -> Iterator[str]:
    """Yield the cells of a row: each task, and the mean of them all."""
    for name in [*wanted, None]:
        values = [mean(own.values()) if name is None else own[name] for own in by_seed]
        spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
        yield f"{mean(values):.2f}{spread}"


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--rows", nargs="+", help="train these alone")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--runs", type=Path, default=Path("runs/sharings"), help="run folders")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="overrides")
    options = parser.parse_args()
    study, folder = STUDIES[options.study], options.runs / options.study
    for seed in options.seeds:
        for row in options.rows or study["rows"]:
            for run, changes in runs_of(study, row, folder):
                if not finished(own := run.with_name(f"{run.name}-{seed}")):
                    train(study["run"], seed, own, [*changes, *options.set])
    rows = []
    for row in study["rows"]:
        by_seed = [
            [run.with_name(f"{run.name}-{seed}") for run, _ in runs_of(study, row, folder)]
            for seed in options.seeds
        ]
        if all(finished(own) for folders in by_seed for own in folders):
            found = [scores(folders) for folders in by_seed]
            scored = [task for task in tasks(study["run"]) if all(task in own for own in found)]
            rows.append([row, *cells(found, scored)])
    print(table(["sharing", *tasks(study["run"]), "mean"], rows))


if __name__ == "__main__":
    main()
