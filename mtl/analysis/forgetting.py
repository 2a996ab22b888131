"""Forgetting: the scores of the old tasks of a model before and after it was extended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mtl.api.extension import Extended, Reference
from mtl.experiment.experiment import make_metrics
from mtl.metrics import UNDEFINED, Unit
from mtl.trained_model import TrainedModel


@dataclass(frozen=True)
class Forgotten:
    """The score of an old task before and after.

    Args:
        task: The task.
        gold: Whether the scores compare with gold labels of a development set. If not, they
            compare with the predictions of the old model on held-out text, so `before` is perfect.
        metric: The name of the main score.
        unit: Its unit.
        before: The score of the old model.
        after: The score of the extended model.
    """

    task: str
    gold: bool
    metric: str
    unit: Unit
    before: float
    after: float


def forgotten(extended: Extended, model: TrainedModel) -> list[Forgotten]:
    """Return the scores of the old tasks before and after an extension.

    Args:
        extended: The result of `mtl.extend`.
        model: The extended model, or the model of one of its seeds.
    """
    before, rows = extended.before, []
    for task, reference in extended.references.items():
        metric = make_metrics(before.run, [task])[task]()
        name, old = _score(before, task, reference)
        rows.append(
            Forgotten(
                task, reference.gold, name, metric.unit, old, _score(model, task, reference)[1]
            )
        )
    return rows


def _score(model: TrainedModel, task: str, reference: Reference) -> tuple[str, float]:
    """Return the name and the value of the main score of a model."""
    metric = make_metrics(model.run, [task])[task]()
    target = model.experiment.batcher.targets[task]
    predicted = model.predict(reference.words, [task])[task]
    gold = [target.comparable(labels) for labels in reference.labels]
    pairs = [(own, _value(p)) for own, p in zip(gold, predicted, strict=True) if own is not None]
    if not pairs:
        return next(iter(metric.compute())), UNDEFINED
    metric.update([own for own, _ in pairs], [label for _, label in pairs])
    return next(iter(metric.compute().items()))


def _value(label: Any) -> Any:
    return tuple(label) if isinstance(label, list) else label
