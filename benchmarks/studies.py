"""Compare parts or options: mean and standard deviation of test scores over seeds.

    MTL_DATA=… python benchmarks/studies.py taggers --seeds 1 2 3

Each file in benchmarks/studies/ is a study. It has the run in configs/, the overrides of all rows
(`common`), and a mapping from row to further overrides (`rows`). `alone` trains each task in a
separate model. The table has all tasks, or the tasks in `scores`. If a study has `fold`, a corpus
with ten folds, seed 1 uses fold 0 as test set, seed 2 fold 1, and so on.

A finished run is not trained again. The table can be printed at any time: each row uses the
finished seeds, and shows their number.
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

STUDIES = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted(Path(__file__).with_name("studies").glob("*.yaml"))
}


def runs_of(study: dict, row: str, folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield the folders of a row's runs, without seeds, and their overrides.

    A row has one run, or one run per task if each task is trained alone.
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


def fold(study: dict, seed: int) -> list[str]:
    """Return the overrides of a seed: the test fold, if the study has folds."""
    return [f"corpora.{study['fold']}.folds.fold={seed - 1}"] if "fold" in study else []


def _of(change: str, task: str, config: str) -> bool:
    return change.split(".")[1] == tasks(config)[task]["use"].split("/")[0]


def scores(folders: list[Path]) -> dict[str, float]:
    """Return the score of every task from the folders that have it: perplexities, or per cent."""
    found = {}
    for folder in folders:
        for task, own in json.loads((folder / "scores.json").read_text()).items():
            name, value = next(iter(own.items()))
            found[task] = value if name == "perplexity" else 100 * value
    return found


def row_of(study: dict, row: str, folder: Path, seeds: list[int]) -> list[str] | None:
    """Return a row of the table from the finished seeds; None without any."""
    runs = [run for run, _ in runs_of(study, row, folder)]
    by_seed = [[run.with_name(f"{run.name}-{seed}") for run in runs] for seed in seeds]
    found = [scores(folders) for folders in by_seed if all(map(finished, folders))]
    if not found:
        return None
    columns = [[own[task] for own in found] for task in scored(study)]
    if len(columns) > 1:
        columns.append([mean(values) for values in zip(*columns, strict=True)])
    return [row, *map(cell, columns), str(len(found))]


def scored(study: dict) -> list[str]:
    """Return the tasks of the table: all, or the ones named in the study."""
    return study.get("scores") or list(tasks(study["run"]))


def cell(values: list[float]) -> str:
    """Return the mean and standard deviation over seeds."""
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{mean(values):.2f}{spread}"


def main() -> None:
    """Train the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--rows", nargs="*", help="train only these; empty: train none")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--runs", type=Path, default=Path("runs/studies"), help="run folders")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="overrides")
    options = parser.parse_args()
    study, folder = STUDIES[options.study], options.runs / options.study
    if unknown := set(options.rows or []) - set(study["rows"]):
        parser.error(f"--rows: no {sorted(unknown)}; {options.study} has {list(study['rows'])}")
    for seed in options.seeds:
        for row in study["rows"] if options.rows is None else options.rows:
            for run, changes in runs_of(study, row, folder):
                if not finished(own := run.with_name(f"{run.name}-{seed}")):
                    train(study["run"], seed, own, [*changes, *fold(study, seed), *options.set])
    found = [row_of(study, row, folder, options.seeds) for row in study["rows"]]
    head = ["", *scored(study), *["mean"][: len(scored(study)) - 1], "seeds"]
    print(table(head, [row for row in found if row]))


if __name__ == "__main__":
    main()
