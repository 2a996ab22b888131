"""Target scores of tasks, for a mixing that follows their progress."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mtl.config.run import Run
from mtl.data.mixing import MIXING
from mtl.metrics import METRICS


def targets(run: Run, followed: Collection[str]) -> dict[str, float]:
    """Return the target score of each of some tasks."""
    return {task: run.tasks[task].target or 1.0 for task in followed}


def mistakes(run: Run, followed: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the errors in the target scores of a run: key and message.

    Args:
        run: The run.
        followed: The tasks whose scores a mixing may follow.
    """
    follows = MIXING.find(run.training.mixing.type).needs_scores
    for name, task in run.tasks.items():
        path, metric = f"tasks.{name}.target", METRICS.find(task.metric.type)
        best_is_one = metric.unit == "fraction" and metric.higher_is_better
        if metric.unit == "fraction" and task.target is not None and task.target > 1:
            message = f"{task.metric.type!r} is a fraction: expected at most 1, got {task.target:g}"
            yield path, message
        elif follows and name in followed and task.target is None and not best_is_one:
            yield path, f"{task.metric.type!r} has no best value; set the score to reach"
