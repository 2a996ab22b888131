"""Which epoch is the best, and when a task or the run has had enough."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from mtl.metrics.spread import Scores


class Selection:
    """Follows the scores of a run, epoch by epoch.

    The score of the run is either the mean of the tasks' own scores or one score of one task. A
    metric that is better when lower counts with its sign turned, so higher is always better here.
    Patience is kept twice: for the run, on the score of the run, and for each task that asks for
    it, on the task's own score. A task whose patience is out rests: it trains no more.

    Args:
        metric: "mean" or "TASK.SCORE".
        higher_is_better: Task to the direction of its metric; every task that is scored.
        patience: Epochs without a better score after which the run stops; None: never.
        task_patience: The same for single tasks.
        adversaries: Tasks whose scores have no share in the mean.
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

    def update(self, scores: Scores) -> bool:
        """Take in the scores of one more epoch; return whether it is the best so far."""
        for task, by_name in scores.items():
            self.task_scores[task].append(self._sign(task) * next(iter(by_name.values())))
        self.scores.append(self._score(scores))
        return waited(self.scores) == 0

    def _score(self, scores: Scores) -> float:
        if self.metric == "mean":
            own = [self.task_scores[name][-1] for name in self.averaged]
            return sum(own) / len(own)
        task, _, name = self.metric.partition(".")
        return self._sign(task) * scores[task][name or next(iter(scores[task]))]

    def _sign(self, task: str) -> int:
        return 1 if self.higher_is_better[task] else -1

    @property
    def best(self) -> int | None:
        """The best epoch so far, from 0; None before the first."""
        return len(self.scores) - 1 - waited(self.scores) if self.scores else None

    @property
    def finished(self) -> bool:
        """Whether the run should stop."""
        if self.patience is not None and waited(self.scores) >= self.patience:
            return True
        return bool(self.task_scores) and self.resting == set(self.task_scores)

    @property
    def resting(self) -> set[str]:
        """The tasks whose patience is out."""
        return self.resting_after(len(self.scores))

    def resting_after(self, epochs: int) -> set[str]:
        """Return the tasks whose patience was out after so many epochs."""
        return {
            task
            for task, patience in self.task_patience.items()
            if any(waited(self.task_scores[task][:n]) >= patience for n in range(1, epochs + 1))
        }

    def to_json(self) -> Any:
        """Return the scores so far, made of JSON types."""
        return {"scores": self.scores, "task_scores": self.task_scores}

    def restore(self, data: Any) -> None:
        """Go on from what `to_json` gave."""
        self.scores = list(data["scores"])
        self.task_scores = {task: list(own) for task, own in data["task_scores"].items()}


def waited(scores: list[float]) -> int:
    """Return the number of epochs since the best score; the first of equal ones counts.

    >>> waited([0.1, 0.3, 0.3, 0.2])
    2
    """
    numbers = [-math.inf if math.isnan(score) else score for score in scores]
    return len(numbers) - 1 - numbers.index(max(numbers)) if numbers else 0
