"""A page that shows and compares runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from mtl.analysis.report import predictions, training
from mtl.analysis.report.records import Section, read_run
from mtl.pages import render
from mtl.registry import OnImport


class ReportPage(NamedTuple):
    """A page, and the notes on parts that it does not have.

    Args:
        text: The page in HTML.
        notes: The reasons why runs have no predictions.
    """

    text: str
    notes: Sequence[str]

    def _repr_html_(self) -> str:
        """Return the page in a frame of a notebook."""
        frame = (
            '<iframe srcdoc="{}" title="report" style="width:100%;height:85vh;border:0"></iframe>'
        )
        return str(Markup(frame).format(self.text))


def report_page(
    folders: Sequence[Path],
    names: Sequence[str],
    tasks: Sequence[str],
    *,
    split: str = "dev",
    errors: int = 100,
    device: str | None = None,
    on_import: OnImport | None = None,
) -> ReportPage:
    """Return a page on one or several runs: scores, curves, learned values, predictions, settings.

    Predictions need the data of the runs. If they cannot be made, the page has the reason instead.

    Args:
        folders: The folders of runs (one or several seeds) or ensembles.
        names: Their names on the page.
        tasks: The tasks.
        split: The split whose predictions are shown: "train", "dev" or "test".
        errors: The largest number of wrong answers per run and task.
        device: The device of predictions; None: a GPU if available.
        on_import: Allows the import of parts of the user's own; see `Registry.find`.

    Raises:
        CheckpointError: A folder is not a run folder, or no epoch is finished.
    """
    runs = [
        read_run(name, number, folder, on_import)
        for number, (name, folder) in enumerate(zip(names, folders, strict=True))
    ]
    found, reasons = predictions.predict(runs, split, tasks, device, on_import)
    sections: list[Section] = [
        training.scores(runs, tasks),
        training.curves(runs, tasks),
        training.steps(runs, tasks),
        training.learned(runs),
        *predictions.sections(found, reasons, split, tasks, errors),
        training.settings(runs),
    ]
    title = f"Report: {', '.join(names)}"
    return ReportPage(render("report.html", title=title, sections=sections), reasons)
