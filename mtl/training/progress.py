"""How far the tasks of a run have come on their development sets."""

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
    """Return how far each corpus had come after so many epochs, from 0 to 1.

    That is the mean over its tasks of score / target, or target / score where lower is better, and
    1 beyond the target. Nothing is said of a corpus none of whose tasks counts.

    Args:
        selection: Has the scores of every epoch.
        tasks: Corpus to its tasks.
        targets: Task to the score with which it has arrived; those that are not in it, and those
            that rest, do not count.
        epochs: The number of epochs.
    """
    if epochs == 0:
        return {}
    counting = targets.keys() - selection.resting_after(epochs)
    found = {}
    for corpus, own in tasks.items():
        parts = [_part(selection, task, targets[task], epochs) for task in own if task in counting]
        if parts:
            found[corpus] = sum(parts) / len(parts)
    return found


def _part(selection: Selection, task: str, target: float, epochs: int) -> float:
    score = selection.task_scores[task][epochs - 1]
    if math.isnan(score):
        return 0.0
    if selection.higher_is_better[task]:
        return min(max(score, 0.0) / target, 1.0)
    return target / max(-score, target)  # whose sign is turned
