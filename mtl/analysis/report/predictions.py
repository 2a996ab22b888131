"""Sections on predictions: scores per label, confusions, calibration, errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mtl.analysis.report.errors import chosen, wrong_answers
from mtl.analysis.report.records import ReportedRun, Section
from mtl.errors import MtlError
from mtl.metrics.pictures import calibration_parts, confusion_picture, label_table
from mtl.pages import parts
from mtl.registry import OnImport
from mtl.trained_model import TrainedModel, load_model
from mtl.training.evaluation import Evaluation


@dataclass(frozen=True)
class Predicted:
    """The predictions of a run.

    Args:
        run: The run.
        name: The name of the run; with several seeds, also of the seed.
        model: The model of the first seed.
        evaluation: Its scores, labels and confidences.
    """

    run: ReportedRun
    name: str
    model: TrainedModel
    evaluation: Evaluation


def predict(
    runs: Sequence[ReportedRun],
    split: str,
    tasks: Sequence[str],
    device: str | None,
    on_import: OnImport | None,
) -> tuple[list[Predicted], list[str]]:
    """Return the predictions of runs, and the reasons why runs have none.

    Args:
        runs: The runs.
        split: "train", "dev" or "test".
        tasks: The tasks.
        device: The device; None: a GPU if available.
        on_import: Allows the import of parts of the user's own; see `Registry.find`.
    """
    found, reasons = [], []
    for run in runs:
        folder = run.folders[0]
        name = f"{run.name}, {folder.name}" if len(run.folders) > 1 else run.name
        try:
            model = load_model(folder, device, on_import)
            own = [task for task in tasks if task in model.tasks]
            evaluation = model.evaluate(split, own, labels=True, confidence=True)
        except MtlError as error:
            reasons.append(f"{name}: no predictions, because of an error: {error}")
            continue
        found.append(Predicted(run, name, model, evaluation))
        reasons += [
            f"{name}: no predictions of {task}, its corpus has no split {split!r}"
            for task in own
            if task not in evaluation.metrics
        ]
    return found, reasons


def sections(
    found: Sequence[Predicted], reasons: Sequence[str], split: str, tasks: Sequence[str], most: int
) -> Iterator[Section]:
    """Yield the sections on predictions.

    Args:
        found: The predictions.
        reasons: The reasons why the other runs have no predictions.
        split: The split.
        tasks: The tasks.
        most: The largest number of wrong answers per run and task.
    """
    notes = [parts.note(reason) for reason in reasons]
    seeds = [own.name for own in found if own.name != own.run.name]
    if seeds:
        notes.append(
            parts.note(f"Runs with several seeds are shown by their first one: {'; '.join(seeds)}.")
        )
    labels = [part for task in tasks for part in _labels(found, task)]
    none = parts.note(f"No run has predictions of labels of {split}.")
    yield Section("labels", f"Labels of {split}", [*notes, *(labels or [none])])
    calibration = list(_calibration(found, tasks))
    none = parts.note("No run has predictions with confidences.")
    yield Section("calibration", f"Calibration on {split}", calibration or [none])
    yield Section("errors", f"Errors on {split}", _errors(found, tasks, most))


def _labels(found: Sequence[Predicted], task: str) -> Iterator[Markup]:
    tables: dict[str, Mapping[str, Mapping[str, float]]] = {}
    for own in found:
        metric = own.evaluation.metrics.get(task)
        if metric and (table := metric.per_label()):
            tables[own.name] = table
    if not tables:
        return
    yield parts.heading(task)
    yield label_table(f"{task} by label, in per cent", tables)
    figures = [
        confusion_picture(f"{own.name}: {task}, gold in rows, predicted in columns", pairs)
        for own in found
        if (pairs := own.evaluation.pairs.get(task))
    ]
    yield Markup().join(figures)
    for own in found:
        if unseen := own.evaluation.unseen.get(task):
            shown = ", ".join(f"{label} ({count})" for label, count in unseen.most_common(10))
            text = f"labels that do not occur in train, counted as errors: {shown}"
            yield parts.note(f"{own.name}, {task}: {text}")


def _calibration(found: Sequence[Predicted], tasks: Sequence[str]) -> Iterator[Markup]:
    answers = [
        ([own.name, task, kind], reliability)
        for task in tasks
        for own in found
        for kind, reliability in own.evaluation.reliability.get(task, {}).items()
        if len(reliability)
    ]
    if answers:
        yield from calibration_parts(answers, ["run", "task", "answers"])


def _errors(found: Sequence[Predicted], tasks: Sequence[str], most: int) -> list[Markup]:
    rows, counts, notes = [], [], []
    for own in found:
        for task in tasks:
            if task not in own.evaluation.metrics:
                continue
            answers = wrong_answers(own.model, own.evaluation, task)
            if answers is None:
                notes.append(f"{own.name}: {task} has no labels whose errors can be listed.")
                continue
            shown = chosen(answers, most)
            counts.append([own.name, task, f"{len(answers):,}", f"{len(shown):,}"])
            rows += [[own.name, task, a.gold, a.predicted, a.sentence()] for a in shown]
    before = [*map(parts.note, notes)]
    if counts:
        caption = f"Wrong answers; up to {most:,} per run and task are listed, evenly spaced"
        header = ["run", "task", "wrong answers", "listed"]
        before.append(parts.table(header, counts, caption=caption, left=2))
    if not rows:
        return [*before, parts.note("No wrong answers to list.")]
    columns = [("run", 0), ("task", 1), ("gold", 2), ("predicted", 3)]
    header = [*(name for name, _ in columns), "sentence"]
    table = parts.table(header, rows, left=len(header), identifier="wrong")
    return [*before, parts.filters("wrong", columns), table]
