"""Progress of tasks towards their target scores, for mixings that depend on scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mtl.training.selection import Selection


def reached(
    selection: Selection,
    tasks: Mapping[str, Sequence[str]],
    targets: Mapping[str, float],
    epochs: int,
) -> dict[str, float]:
    """Return the progress of each corpus after a number of epochs, from 0 to 1.

    The progress is the mean of score / target over the tasks of the corpus, or of target / score
    if lower is better; it is 1 beyond the target. A corpus without counted tasks is omitted.

    Args:
        selection: The selection with the scores of every epoch.
        tasks: The tasks of each corpus.
        targets: The target score by task. Tasks without a target and stopped tasks do not count.
        epochs: The number of epochs.
    """
    if epochs == 0:
        return {}
    counted = targets.keys() - selection.stopped_after(epochs)
    progress = {}
    for corpus, names in tasks.items():
        parts = [
            _task_progress(selection, task, targets[task], epochs)
            for task in names
            if task in counted
        ]
        if parts:
            progress[corpus] = sum(parts) / len(parts)
    return progress


def _task_progress(selection: Selection, task: str, target: float, epochs: int) -> float:
    score = selection.task_scores[task][epochs - 1]
    if math.isnan(score):
        return 0.0
    if selection.higher_is_better[task]:
        return min(max(score, 0.0) / target, 1.0)
    # The selection stores scores that are better when lower with the opposite sign.
    return target / max(-score, target)
