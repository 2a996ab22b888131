"""Branches of a trunk from affinities of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean

from mtl.analysis.affinities import EXHAUSTIVE, PairNumbers, groupings, merged

Groups = list[list[str]]
"""Groups of tasks, each a branch."""


def widened(
    tasks: Sequence[str], affinities: PairNumbers, layers: int, cost: float
) -> list[Groups]:
    """Return the groups of tasks of each layer, for the sharing `branches` (Lu et al. 2017).

    From the last layer down, the c branches of the layer above become the d groups with the
    smallest cost

    (d − 1) · L · 2^p + 1 − mean_g mean_{k ∈ g} min_{l ∈ g} A(k, l),

    where L is the cost of a branch and p the number of layers above. The affinity of branches k and
    l is the mean of B(k, l) and B(l, k), with B(k, l) = mean_{i ∈ k} min_{j ∈ l} A(i, j) over their
    tasks. If costs are equal, fewer groups are better.

    In the paper, A(i, j) is the fraction of sentences on which both tasks agree that they are
    difficult or not; p counts pooling layers; and the groups of a layer are found by spectral
    clustering, after further training of the layers above. Here, A(i, j) is ½ plus the affinity
    above chance, and 1 for i = j; one training gives all affinities; and up to `EXHAUSTIVE`
    branches, all groups are compared. More branches are merged greedily.

    Args:
        tasks: The tasks.
        affinities: Task and other task to the result of `difficulty_affinities`; missing pairs
            count as 0.
        layers: The number of layers of the trunk, at least 1.
        cost: L, at least 0.
    """
    of_tasks = {
        (one, other): 1.0 if one == other else 0.5 + affinities.get((one, other), 0.0)
        for one in tasks
        for other in tasks
    }
    branches = [[task] for task in tasks]
    found: list[Groups] = []
    for above in range(layers):
        branches = _joined(branches, of_tasks, cost * 2**above)
        found.insert(0, branches)
    return found


def _joined(branches: Groups, affinities: PairNumbers, cost: float) -> Groups:
    """Return the branches of the next lower layer."""
    between = _between(branches, affinities)

    def total(groups: Sequence[Sequence[int]]) -> tuple[float, int]:
        within = fmean(fmean(min(between[k, m] for m in group) for k in group) for group in groups)
        return round((len(groups) - 1) * cost + 1 - within, 12), len(groups)

    numbers = list(range(len(branches)))
    if len(branches) <= EXHAUSTIVE:
        best = min(groupings(numbers, len(numbers)), key=total)
    else:
        best = [[number] for number in numbers]
        while len(best) > 1:
            other = min((merged(best, *pair) for pair in combinations(best, 2)), key=total)
            if total(other) > total(best):
                break
            best = other
    joined = [[task for number in sorted(group) for task in branches[number]] for group in best]
    order = {task: place for place, branch in enumerate(branches) for task in branch}
    return sorted(joined, key=lambda group: order[group[0]])


def _between(branches: Groups, affinities: PairNumbers) -> Mapping[tuple[int, int], float]:
    """Return the affinity of all pairs of branches."""

    def directed(one: Sequence[str], other: Sequence[str]) -> float:
        return fmean(min(affinities[task, second] for second in other) for task in one)

    return {
        (k, m): (directed(one, other) + directed(other, one)) / 2
        for k, one in enumerate(branches)
        for m, other in enumerate(branches)
    }
