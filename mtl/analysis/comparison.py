"""Two trained models on the same sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from mtl.errors import MtlError
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
    """Say of each task whether two models differ; see `permutation_test`.

    Args:
        first: A model.
        second: Another one, whatever it was trained on.
        split: The split whose sentences both label: "train", "dev" or "test".
        tasks: The tasks; None: all that both have, language models left out.
        draws: How often labels are exchanged.
        seed: The same seed gives the same probabilities.

    Raises:
        MtlError: They share no such task, have other sentences in the split, or measure a task
            differently.
    """
    if tasks:
        second.selection.named(tasks)
    both = [task for task in first.selection.named(tasks) if task in second.tasks]
    makers = {
        task: cast("Callable[[], CountedMetric]", make)
        for task, make in first.experiment.metrics(both).items()
        if isinstance(make(), CountedMetric)
    }
    if not makers:
        what = "no task in common whose labels are counted, as those of taggers and classifiers"
        raise MtlError(f"{first.folder} and {second.folder}: {what}")
    found = {}
    labelled = [model.label(split, list(makers)) for model in (first, second)]
    for task, (gold, one) in labelled[0].items():
        other_gold, other = labelled[1].get(task, ([], []))
        if gold != other_gold:
            raise MtlError(f"{task}: the two runs have other sentences or labels in {split!r}")
        if first.run.tasks[task].metric != second.run.tasks[task].metric:
            raise MtlError(f"{task}: the two runs measure it by other metrics")
        found[task] = permutation_test(makers[task], gold, one, other, draws=draws, seed=seed)
    return found
