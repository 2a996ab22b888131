"""Affinities of tasks from the gradients of one joint training, and groups by affinity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

import numpy as np

from mtl.config.run import Run
from mtl.data.mixing import MIXING
from mtl.experiment.subset import default_part
from mtl.runs.history import read_records

EVERY = 5
"""Steps of the joint training between two measurements. Each costs a backward pass per task."""
EXHAUSTIVE = 9
"""Largest number of tasks for which all groupings are compared; 9 tasks have 21,147."""

Member = TypeVar("Member")
PairNumbers = Mapping[tuple[str, str], float]
"""A number by task and other task."""


def joint_training(run: Run) -> Run:
    """Return a run whose steps train all tasks, and whose log has the gradients of the tasks."""
    training: dict[str, Any] = {"log_gradients": EVERY}
    if not MIXING.find(run.training.mixing.type).joint:
        training["mixing"] = default_part("joint", MIXING)
    # Joint mixing takes one batch of every corpus, so that it refuses other factors.
    tasks = {name: t.model_copy(update={"sampling": 1.0}) for name, t in run.tasks.items()}
    changes = {"tasks": tasks, "training": run.training.model_copy(update=training)}
    return run.model_copy(update=changes)


def read_affinities(folder: Path, tasks: Sequence[str]) -> dict[tuple[str, str], float]:
    """Return the relative fall of the loss of a task by a step of another (Fifty et al. 2021).

    These are the affinities of TAG. If the shared parameters move along the gradient g_i of task i
    with the learning rate η, the loss of task j changes by the factor 1 − A, where
    A = η · g_i · g_j / L_j to first order. The paper computes the loss after such a step instead,
    which costs further forward passes and has the same limit for small η. The result is the mean of
    A over the logged steps that have both tasks; pairs without one are omitted.

    Args:
        folder: The run folder of a joint training.
        tasks: The tasks.

    Returns:
        Task j and other task i to the affinity: positive if the loss of task j falls.
    """
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for step in read_records(folder, "step"):
        if not step["gradients"]:
            continue
        norms, losses = step["gradients"]["norms"], step["losses"]
        for first, cosines in step["gradients"]["cosines"].items():
            for second, cosine in cosines.items():
                product = step["lr"] * cosine * norms[first] * norms[second]
                for task, other in ((first, second), (second, first)):
                    if losses[task] > 0:
                        found[task, other].append(product / losses[task])
    return {pair: fmean(found[pair]) for pair in permutations(tasks, 2) if pair in found}


def agreement(gains: PairNumbers, affinities: PairNumbers) -> float | None:
    """Return Kendall's τ within tasks: whether both rank the other tasks in the same order.

    It is the mean, over all tasks and all pairs of other tasks, of 1 if both prefer the same of the
    pair, −1 if they do not, and 0 if one has no preference. Scores of different tasks are not
    compared, as they may have different units.

    Returns:
        A number from −1 to 1; None without a task that has two others.
    """
    others: dict[str, list[str]] = defaultdict(list)
    for task, other in gains:
        if (task, other) in affinities:
            others[task].append(other)
    signs = [
        np.sign(gains[task, a] - gains[task, b])
        * np.sign(affinities[task, a] - affinities[task, b])
        for task, own in others.items()
        for a, b in combinations(own, 2)
    ]
    return float(np.mean(signs)) if signs else None


def best_groups(tasks: Sequence[str], affinities: PairNumbers, most: int) -> list[list[str]]:
    """Return the groups of tasks with the largest sum of the values of all tasks.

    The value of a task is its mean affinity from the other tasks of its group, and 0 alone. If
    sums are equal, fewer groups are better. Up to `EXHAUSTIVE` tasks, all groupings are
    compared. With more tasks, groups are merged greedily, starting from single tasks.

    Args:
        tasks: The tasks.
        affinities: Task and other task to the affinity; missing pairs count as 0.
        most: Largest number of groups, at least 1.
    """

    def value(groups: Sequence[Sequence[str]]) -> float:
        return sum(
            fmean(affinities.get((task, other), 0.0) for other in group if other != task)
            for group in groups
            if len(group) > 1
            for task in group
        )

    if len(tasks) <= EXHAUSTIVE:
        found = max(groupings(list(tasks), most), key=lambda own: (value(own), -len(own)))
    else:
        found = [[task] for task in tasks]
        while len(found) > 1:
            joined = max((merged(found, *pair) for pair in combinations(found, 2)), key=value)
            if len(found) <= most and value(joined) < value(found):
                break
            found = joined
    order = {task: place for place, task in enumerate(tasks)}
    return sorted((sorted(g, key=order.__getitem__) for g in found), key=lambda g: order[g[0]])


def groupings(items: list[Member], most: int) -> Iterator[list[list[Member]]]:
    """Yield all partitions of items into at most so many groups."""
    if not items:
        yield []
        return
    first, *rest = items
    for groups in groupings(rest, most):
        if len(groups) < most:
            yield [[first], *groups]
        for i, group in enumerate(groups):
            yield [*groups[:i], [first, *group], *groups[i + 1 :]]


def merged(
    groups: list[list[Member]], one: list[Member], other: list[Member]
) -> list[list[Member]]:
    """Return the groups with two of them as one."""
    return [*(group for group in groups if group not in (one, other)), one + other]
