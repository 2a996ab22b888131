"""What run folders tell of how training went, and the folders of a run with several seeds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mtl.checkpoint import RUN, write_json
from mtl.errors import CheckpointError
from mtl.metrics.spread import Spread, spread

METRICS = "metrics.jsonl"
SUMMARY = "summary.json"
"""The mean and the spread of dev scores over the seeds of a run."""


def seed_folder(folder: Path, seed: int) -> Path:
    """Return the run folder of one seed, in the folder of a run that has several."""
    return folder / f"seed-{seed}"


def seed_folders(folder: Path) -> list[Path]:
    """Return the run folders of the seeds that a folder holds, in order; of other folders none."""
    found = [path.parent for path in folder.glob(f"seed-*/{RUN}")]
    numbered = {int(m[1]): path for path in found if (m := re.fullmatch(r"seed-(\d+)", path.name))}
    return [numbered[seed] for seed in sorted(numbered)]


def check_run_folder(folder: Path) -> None:
    """Refuse what is no run folder.

    Raises:
        CheckpointError: It has no run file; says where one is if it holds several seeds.
    """
    if (folder / RUN).is_file():
        return
    if seeds := seed_folders(folder):
        raise CheckpointError(f"{folder}: holds several seeds; name one of them, as {seeds[0]}")
    raise CheckpointError(f"{folder}: no run folder (it has no {RUN})")


def read_epochs(folder: Path) -> list[dict[str, Any]]:
    """Return what a run folder says of each epoch, at least one.

    Raises:
        CheckpointError: It is no run folder, or no epoch is finished.
    """
    check_run_folder(folder)
    path = folder / METRICS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        # A line that is cut is one at which training was killed.
        records = [json.loads(line) for line in lines if line.endswith("}")]
        epochs = [record for record in records if record["type"] == "epoch"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error!r}; train again") from error
    if not epochs:
        raise CheckpointError(f"{folder}: has not finished an epoch; there is nothing to tell yet")
    return epochs


def best_epoch(epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the epoch whose model was kept."""
    return [epoch for epoch in epochs if epoch["improved"]][-1]


def dev_scores(folder: Path) -> dict[str, dict[str, Spread]]:
    """Return task to the dev scores of the best epoch, over the seeds if the folder holds some."""
    folders = seed_folders(folder) or [folder]
    return spread([best_epoch(read_epochs(own))["dev"] for own in folders])


def write_summary(folder: Path) -> None:
    """Write what `dev_scores` gives for the seeds of a run to `summary.json`."""
    seeds = {
        own.name.removeprefix("seed-"): best_epoch(read_epochs(own)) for own in seed_folders(folder)
    }
    best = {seed: epoch["epoch"] + 1 for seed, epoch in seeds.items()}
    write_json(folder / SUMMARY, {"best_epochs": best, "dev": spread_to_json(dev_scores(folder))})


def spread_to_json(scores: dict[str, dict[str, Spread]]) -> dict[str, dict[str, Any]]:
    """Return task to score to mean, sd and values, made of JSON types."""
    return {
        task: {name: own.to_json() for name, own in by_name.items()}
        for task, by_name in scores.items()
    }
