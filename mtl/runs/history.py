"""The history of training in a run folder, for one or several seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mtl.errors import CheckpointError
from mtl.metrics import METRICS, Unit
from mtl.metrics.spread import Spread, scores_from_json, spread
from mtl.registry import OnImport
from mtl.runs.checkpoint import RUN, check_run_folder, seed_folders, write_json
from mtl.runs.ensemble import (
    EnsembleJson,
    is_ensemble,
    member_folder,
    read_ensemble,
)

RECORDS = "metrics.jsonl"
SUMMARY = "summary.json"
"""Mean and standard deviation of the dev scores over the seeds of a run."""


@dataclass(frozen=True)
class History:
    """The epochs of a run.

    Args:
        folder: The run folder, or the folder of all seeds.
        seeds: For each seed, the records of its epochs in metrics.jsonl, at least one. An ensemble
            has one record, with its dev scores alone.
        units: Task to the unit of its scores.
        ensemble: The description of an ensemble; None for a run.
    """

    folder: Path
    seeds: Sequence[Sequence[Mapping[str, Any]]]
    units: Mapping[str, Unit]
    ensemble: EnsembleJson | None = None

    @property
    def tasks(self) -> list[str]:
        """The tasks that were trained or evaluated."""
        last = self.seeds[0][-1]
        return list(dict.fromkeys([*last["dev"], *self.seeds[0][0]["losses"]]))

    @property
    def best(self) -> list[Mapping[str, Any]]:
        """The best epoch of each seed, whose weights were saved."""
        return [[epoch for epoch in epochs if epoch["improved"]][-1] for epochs in self.seeds]

    @property
    def best_epochs(self) -> list[int]:
        """The numbers of the best epochs, from 1; empty for an ensemble."""
        return [] if self.ensemble else [epoch["epoch"] + 1 for epoch in self.best]

    def dev(self) -> dict[str, dict[str, Spread]]:
        """Return the dev scores of each task in the best epochs."""
        return spread([epoch["dev"] for epoch in self.best])

    def _repr_html_(self) -> str:
        """Return the dev scores and their curves for a notebook."""
        from mtl.pages import charts, parts, render

        dev = self.dev()
        rows = [
            [task, name, score.shown(self.units[task])]
            for task, scores in dev.items()
            for name, score in scores.items()
        ]
        figures = []
        for task, scores in dev.items():
            name = next(iter(scores))
            lines = [
                charts.Line(f"seed {number}", _curve(epochs, task, name), number - 1)
                for number, epochs in enumerate(self.seeds, 1)
            ]
            figures.append(charts.lines(lines, title=f"{task}: dev {name}", x="epoch", y=name))
        caption = f"{self.folder}: dev scores in the best epochs"
        found = [parts.table(["task", "score", "dev"], rows, caption=caption, left=2)]
        return render("notebook.html", parts=[*found, parts.grid(figures)])


def _curve(epochs: Sequence[Mapping[str, Any]], task: str, name: str) -> list[tuple[float, float]]:
    """Return a score by epoch, from 1; an ensemble has one record without a number."""
    return [
        (epoch.get("epoch", 0) + 1, epoch["dev"][task][name])
        for epoch in epochs
        if name in epoch["dev"].get(task, {})
    ]


def read_history(folder: Path, on_import: OnImport | None = None) -> History:
    """Read the history of a run folder, of a folder of several seeds, or of an ensemble.

    Args:
        folder: The folder.
        on_import: Allows the import of a metric of the user's own; see `Registry.find`.

    Raises:
        CheckpointError: The folder is not a run folder, or no epoch is finished.
        ConfigError: A metric of the user's own is not or cannot be imported.
    """
    if is_ensemble(folder):
        return _of_ensemble(folder, on_import)
    folders = seed_folders(folder) or [folder]
    return History(folder, [_epochs(own) for own in folders], _units(folders[0], on_import))


def _of_ensemble(folder: Path, on_import: OnImport | None) -> History:
    description = read_ensemble(folder)
    if not description["dev"]:
        raise CheckpointError(
            f"{folder}: has no dev scores, since the ensemble was made without a dev set; make it "
            "again with the data"
        )
    units: dict[str, Unit] = {}
    for number in range(len(description["members"]), 0, -1):  # the first one describes a task
        units |= _units(member_folder(folder, number), on_import)
    record = {"dev": scores_from_json(description["dev"]), "losses": {}, "improved": True}
    return History(folder, [[record]], units, description)


def _units(folder: Path, on_import: OnImport | None) -> dict[str, Unit]:
    """Return the unit of the scores of each task, which only its metric knows."""
    try:
        tasks = yaml.safe_load((folder / RUN).read_text(encoding="utf-8"))["tasks"]
        types = {task: settings["metric"]["type"] for task, settings in tasks.items()}
        return {task: METRICS.find(name, on_import).unit for task, name in types.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise CheckpointError(f"{folder / RUN}: cannot be read: {error!r}; train again") from error


def read_records(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Return the records of one kind, "epoch" or "step", in metrics.jsonl of a run folder.

    Raises:
        CheckpointError: The folder is not a run folder, or the file is damaged.
    """
    check_run_folder(folder)
    records = [record for _, record in read_lines(folder / RECORDS) if record["type"] == kind]
    for record in records:
        if "dev" in record:
            record["dev"] = scores_from_json(record["dev"])
    return records


def read_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the complete lines of metrics.jsonl, each with its record.

    Raises:
        CheckpointError: The file is missing, or a line is damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}; train again") from error
    # If training was killed while it wrote, the last line is incomplete: skip it.
    records = []
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            record = json.loads(line)
            known = record["type"] in ("step", "epoch")
            known &= type(record["epoch"]) is int and type(record["step"]) is int
            known &= all(isinstance(scores, dict) for scores in record.get("dev", {}).values())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            known = False
        if not known:
            raise CheckpointError(
                f"{path}:{number}: not a record of training; the file has changed since it was "
                "written: copy it again, or train again"
            )
        records.append((line, record))
    return records


def _epochs(folder: Path) -> list[dict[str, Any]]:
    epochs = read_records(folder, "epoch")
    if not epochs:
        raise CheckpointError(f"{folder}: no epoch is finished yet; try again later")
    return epochs


def write_summary(folder: Path) -> None:
    """Write the dev scores of the seeds of a run to `summary.json`."""
    history = read_history(folder)
    seeds = [path.name.removeprefix("seed-") for path in seed_folders(folder)]
    best = dict(zip(seeds, history.best_epochs, strict=True))
    write_json(folder / SUMMARY, {"best_epochs": best, "dev": spread_to_json(history.dev())})


def spread_to_json(scores: Mapping[str, Mapping[str, Spread]]) -> dict[str, dict[str, Any]]:
    """Convert scores by task and name to JSON types: mean, sd and values of each score."""
    return {
        task: {name: score.to_json() for name, score in by_name.items()}
        for task, by_name in scores.items()
    }
