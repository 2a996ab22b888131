"""The scores that tasks are to reach, for a mixing that follows how far they have come."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mtl.config.run import Run
from mtl.data.mixing import MIXING
from mtl.metrics import METRICS


def targets(run: Run, followed: Collection[str]) -> dict[str, float]:
    """Return the score that each of some tasks is to reach."""
    return {task: run.tasks[task].target or 1.0 for task in followed}


def mistakes(run: Run, followed: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the targets of a run: key and message.

    Args:
        run: The run.
        followed: The tasks whose scores a mixing may follow.
    """
    follows = MIXING.find(run.training.mixing.type).needs_scores
    for name, task in run.tasks.items():
        path, metric = f"tasks.{name}.target", task.metric.type
        if METRICS.find(metric).higher_is_better:
            if task.target is not None and task.target > 1:
                message = f"{metric!r} is a fraction: expected at most 1, got {task.target:g}"
                yield path, message
        elif follows and name in followed and task.target is None:
            yield path, f"{metric!r} has no best value; say with which score the task has arrived"
