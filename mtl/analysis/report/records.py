"""The records of runs that a report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from markupsafe import Markup

from mtl.pages.charts import Line
from mtl.registry import OnImport
from mtl.runs.checkpoint import RUN, seed_folders
from mtl.runs.ensemble import member_folder
from mtl.runs.history import History, read_history, read_records


class Section(NamedTuple):
    """A section of a report.

    Args:
        name: Its name in links.
        title: Its title.
        parts: Its content.
    """

    name: str
    title: str
    parts: Sequence[Markup]


@dataclass(frozen=True)
class ReportedRun:
    """A run in a report.

    Args:
        name: The short name of the run.
        number: Its number, from 0, which sets its colour.
        history: Its epochs.
        steps: For each seed, the records of its logged steps; empty for an ensemble.
        settings: The complete run file; for an ensemble, the run file of its first member.
    """

    name: str
    number: int
    history: History
    steps: Sequence[Sequence[Mapping[str, Any]]]
    settings: Mapping[str, Any]

    @property
    def epochs(self) -> Sequence[Sequence[Mapping[str, Any]]]:
        """For each seed, the records of its epochs; empty for an ensemble."""
        return () if self.history.ensemble else self.history.seeds

    @property
    def folders(self) -> list[Path]:
        """The folders with one model each: the folders of the seeds, or the only folder."""
        return seed_folders(self.history.folder) or [self.history.folder]

    @property
    def title(self) -> str:
        """The name with the number of seeds."""
        number = len(self.history.seeds)
        return f"{self.name} ({number} seeds)" if number > 1 else self.name

    def lines(self, points: Sequence[Sequence[tuple[float, float]]]) -> list[Line]:
        """Return one line per seed, in the colour of the run."""
        several = len(points) > 1
        names = [folder.name for folder in self.folders]
        return [
            Line(f"{self.name}, {names[i]}" if several else self.name, own, self.number, i)
            for i, own in enumerate(points)
            if own
        ]


def read_run(
    name: str, number: int, folder: Path, on_import: OnImport | None = None
) -> ReportedRun:
    """Read the records of a run folder, of a folder of several seeds, or of an ensemble.

    Raises:
        CheckpointError: As for `read_history`.
        ConfigError: As for `read_history`.
    """
    history = read_history(folder, on_import)
    if history.ensemble:
        folders, steps = [member_folder(folder, 1)], []
    else:
        folders = seed_folders(folder) or [folder]
        steps = [read_records(own, "step") for own in folders]
    settings = yaml.safe_load((folders[0] / RUN).read_text(encoding="utf-8"))
    return ReportedRun(name, number, history, steps, settings)
