"""Significance of the difference between two trained models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from mtl.errors import MtlError
from mtl.experiment.experiment import make_metrics
from mtl.metrics import METRICS
from mtl.metrics.counts import CountedMetric
from mtl.metrics.significance import SignificanceResult, permutation_test
from mtl.trained_model import TrainedModel


def compare(
    first: TrainedModel,
    second: TrainedModel,
    split: str = "test",
    tasks: Sequence[str] | None = None,
    *,
    draws: int = 10_000,
    seed: int = 1,
) -> dict[str, SignificanceResult]:
    """Test for each task whether the scores of two models differ; see `permutation_test`.

    Args:
        first: A model.
        second: Another model; its training data may differ.
        split: The split that both models label: "train", "dev" or "test".
        tasks: The tasks; None for all tasks that both models have, without language models.
        draws: Number of random exchanges of predictions.
        seed: Seed of the exchanges.

    Returns:
        Task to the result of its test.

    Raises:
        MtlError: The models have no such task in common, other sentences in the split, or
            different metrics for a task.
    """
    if tasks:
        second.selection.named(tasks)
    both = [task for task in first.selection.named(tasks) if task in second.tasks]
    classes = {task: METRICS.find(first.run.tasks[task].metric.type) for task in both}
    counted = [task for task, metric in classes.items() if issubclass(metric, CountedMetric)]
    makers = {
        task: cast("Callable[[], CountedMetric]", make)
        for task, make in make_metrics(first.run, counted).items()
    }
    if not makers:
        raise MtlError(
            f"{first.folder} and {second.folder}: no common task with a metric of counts, such as "
            "accuracy or F1"
        )
    results = {}
    labelled = [model.label(split, list(makers)) for model in (first, second)]
    for task, (gold, one) in labelled[0].items():
        other_gold, other = labelled[1].get(task, ([], []))
        if gold != other_gold:
            raise MtlError(f"{task}: the sentences or labels of {split!r} differ between the runs")
        if first.run.tasks[task].metric != second.run.tasks[task].metric:
            raise MtlError(f"{task}: the metrics of the task differ between the runs")
        results[task] = permutation_test(makers[task], gold, one, other, draws=draws, seed=seed)
    return results
