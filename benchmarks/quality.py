"""Train committed runs with several seeds and print their test scores as a Markdown table.

    MTL_DATA=… python benchmarks/quality.py --seeds 1 2 3 -- uner_ner ewt_pos_ner

A finished run is not trained again. Each score is from the epoch with the best development score;
the range is over the seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import mtl
from mtl.config.document import load

ROOT = Path(__file__).resolve().parent.parent


def finished(folder: Path) -> bool:
    """Return whether a run is finished."""
    return (folder / "scores.json").is_file()


def train(config: str | Path, seed: int, folder: Path, overrides: list[str]) -> None:
    """Train or resume a run in configs/ or in another file, and save its test scores."""
    path = config if isinstance(config, Path) else ROOT / f"configs/{config}.yaml"
    resume = (folder / "checkpoint" / "state.json").is_file()
    model = mtl.train(path, [f"seed={seed}", *overrides], output=folder, resume=resume)
    assert isinstance(model, mtl.TrainedModel)
    scores = json.dumps(model.evaluate("test").to_dict(), indent=1)
    (folder / "scores.json").write_text(scores)


def tasks(config: str) -> dict[str, dict]:
    """Return the tasks of a run in configs/ by name."""
    return load(ROOT / f"configs/{config}.yaml").plain()["tasks"]


def epochs(folder: Path) -> list[dict]:
    """Return the log record of each epoch of a run."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["type"] == "epoch"]


def rows(runs: Path, configs: list[str], seeds: list[int]) -> Iterator[str]:
    """Yield the rows of the table: one per run and task."""
    for config in configs:
        scores: dict[str, list[float]] = defaultdict(list)
        names: dict[str, str] = {}
        best = []
        for seed in seeds:
            folder = runs / f"{config}-{seed}"
            for task, found in json.loads((folder / "scores.json").read_text()).items():
                names[task], score = next(iter(found.items()))
                scores[task].append(100 * score)
            best.append(max(e["epoch"] + 1 for e in epochs(folder) if e["improved"]))
        for task, found in scores.items():
            spread = f" ({min(found):.2f} to {max(found):.2f})" if len(found) > 1 else ""
            yield (
                f"| `{config}` | {task} | {names[task]} | {statistics.mean(found):.2f}{spread} "
                f"| {', '.join(map(str, seeds))} | {', '.join(map(str, best))} |"
            )


def main() -> None:
    """Train the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", nargs="+", help="names of runs in configs/")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--runs", type=Path, default=Path("runs/quality"), help="run folders")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="overrides")
    options = parser.parse_args()
    for seed in options.seeds:
        for config in options.configs:
            folder = options.runs / f"{config}-{seed}"
            if not finished(folder):
                train(config, seed, folder, options.set)
    print("| run | task | score | test, mean (range) | seeds | best epoch |")
    print("|---|---|---|---|---|---|")
    for row in rows(options.runs, options.configs, options.seeds):
        print(row)


if __name__ == "__main__":
    main()
