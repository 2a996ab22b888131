"""Model selection and early stopping."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from mtl.metrics.spread import Scores
from mtl.options import count

LOSS = "loss"
"""The name of the loss of a task on its development set, beside the scores of its metric."""


class Selection:
    """Scores of a run by epoch: selects the best epoch and decides on early stopping.

    The score of the run is the mean of the main scores of all tasks, or one score or the loss of
    one task. Metrics that are better when lower are negated, so higher is always better here. The
    run stops by its own score and patience. A task with a patience of its own stops training by its
    main score, while the other tasks continue.

    Args:
        metric: "mean", "TASK.SCORE" or "TASK.loss".
        higher_is_better: Direction of the main score by task, for every task that can be scored.
        patience: Number of epochs without improvement after which the run stops; None for no limit.
        task_patience: Number of epochs without improvement after which a task stops, by task.
        adversaries: Tasks excluded from the mean.
    """

    def __init__(
        self,
        metric: str,
        higher_is_better: Mapping[str, bool],
        *,
        patience: int | None = None,
        task_patience: Mapping[str, int] | None = None,
        adversaries: Collection[str] = (),
    ) -> None:
        self.metric = metric
        self.higher_is_better = dict(higher_is_better)
        self.patience = patience
        self.task_patience = dict(task_patience or {})
        self.averaged = [name for name in higher_is_better if name not in adversaries]
        self.scores: list[float] = []
        self.task_scores: dict[str, list[float]] = {task: [] for task in higher_is_better}
        # The checks of the run file have refused all other values.
        task = metric.partition(".")[0]
        assert metric == "mean" or task in self.higher_is_better, metric
        directions = {higher_is_better[name] for name in self.averaged}
        assert metric != "mean" or not higher_is_better or len(directions) == 1, directions

    def update(self, scores: Scores, losses: Mapping[str, float] = MappingProxyType({})) -> bool:
        """Add the scores of one epoch and return whether it is the best so far.

        Args:
            scores: Task to its scores by name. Other tasks may be evaluated too; their scores are
                ignored.
            losses: Task to its loss on the development set, if the metric is one.
        """
        for task, own in self.task_scores.items():
            own.append(self._sign(task) * next(iter(scores[task].values())))
        self.scores.append(self._score(scores, losses))
        return self.best == len(self.scores) - 1

    def _score(self, scores: Scores, losses: Mapping[str, float]) -> float:
        if self.metric == "mean":
            latest = [self.task_scores[name][-1] for name in self.averaged]
            return sum(latest) / len(latest)
        # "TASK" without a score means the main score, which is the first.
        task, _, name = self.metric.partition(".")
        if name == LOSS and task in losses:
            return -losses[task]
        return self._sign(task) * scores[task][name or next(iter(scores[task]))]

    def _sign(self, task: str) -> int:
        return 1 if self.higher_is_better[task] else -1

    @property
    def best(self) -> int | None:
        """The best epoch so far, from 0; None before the first.

        Of epochs with equal scores, which are frequent with a small dev set, the last is the best:
        it has seen more of the training data. Patience is counted from the first of them.
        """
        ranked = _ranked(self.scores)
        return len(ranked) - 1 - ranked[::-1].index(max(ranked)) if ranked else None

    @property
    def finished(self) -> bool:
        """Whether the run should stop."""
        return self.reason is not None

    @property
    def reason(self) -> str | None:
        """The reason why the run should stop; None if it should not."""
        if self.patience is not None and (epochs := waited(self.scores)) >= self.patience:
            # The best epoch may be a later one with an equal score.
            first = f"no better dev score than in epoch {len(self.scores) - epochs}"
            return f"{first}, training.patience is {count(self.patience, 'epoch')}"
        if self.task_scores and self.stopped == set(self.task_scores):
            return "all tasks have stopped by their patience"
        return None

    @property
    def stopped(self) -> set[str]:
        """The tasks that have stopped training."""
        return self.stopped_after(len(self.scores))

    def stopped_after(self, epochs: int) -> set[str]:
        """Return the tasks that had stopped after a number of epochs."""
        # Any earlier epoch counts: a task that has stopped never starts again, even if sharing
        # with other tasks improves its score.
        return {
            task
            for task, patience in self.task_patience.items()
            if any(waited(self.task_scores[task][:n]) >= patience for n in range(1, epochs + 1))
        }

    def to_json(self) -> Any:
        """Return the scores so far as JSON types."""
        return {"scores": self.scores, "task_scores": self.task_scores}

    def restore(self, data: Any) -> None:
        """Restore the scores from the result of `to_json`."""
        self.scores = list(data["scores"])
        self.task_scores = {task: list(data["task_scores"][task]) for task in self.task_scores}


def waited(scores: list[float]) -> int:
    """Return the number of epochs since the best score, counted from the first of equal ones.

    >>> waited([0.1, 0.3, 0.3, 0.2])
    2
    """
    ranked = _ranked(scores)
    return len(ranked) - 1 - ranked.index(max(ranked)) if ranked else 0


def _ranked(scores: list[float]) -> list[float]:
    """Return the scores with the lowest value in place of NaN.

    Comparisons with NaN would depend on the order.
    """
    return [-math.inf if math.isnan(score) else score for score in scores]
