"""Groups, trees and graphs of tasks that an option defines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from mtl.errors import OptionError, did_you_mean


def number_groups(
    tasks: Sequence[str], groups: Sequence[Sequence[str]], option: str
) -> dict[str, int]:
    """Return task to the index of its group.

    Args:
        tasks: All tasks.
        groups: The tasks of each group.
        option: The option that defines the groups, for messages.

    Raises:
        OptionError: A task is missing, occurs twice, or does not exist.
    """
    group_of: dict[str, int] = {}
    for index, group in enumerate(groups):
        for task in group:
            if task not in tasks:
                raise OptionError(option, f"unknown task {task!r}{did_you_mean(task, tasks)}")
            if group_of.setdefault(task, index) != index or group.count(task) > 1:
                raise OptionError(option, f"{task!r} occurs twice; expected every task once")
    if missing := [task for task in tasks if task not in group_of]:
        raise OptionError(option, f"{missing[0]!r} is missing; expected every task once")
    return group_of


def number_tree(tasks: Sequence[str], tree: Sequence[Any]) -> list[Any]:
    """Return a tree of tasks with the indices of the tasks.

    Args:
        tasks: All tasks.
        tree: The children of the root: tasks, and lists of the children of a node.

    Raises:
        OptionError: A task is missing, occurs twice, or does not exist.
    """

    def numbers(children: Sequence[Any]) -> list[Any]:
        return [
            numbers(one) if isinstance(one, list) else list(tasks).index(one) for one in children
        ]

    number_groups(tasks, [[task] for task in _leaves(tree)], "tree")
    return numbers(tree)


def _leaves(tree: Sequence[Any]) -> list[str]:
    return [task for one in tree for task in (_leaves(one) if isinstance(one, list) else [one])]


def number_edges(
    tasks: Sequence[str], edges: Sequence[Sequence[str]] | None
) -> list[tuple[int, int]]:
    """Return the indices of the tasks of each edge.

    Args:
        tasks: All tasks.
        edges: Pairs of tasks; None: all pairs.

    Raises:
        OptionError: An edge is not a pair of different tasks, or a task does not exist.
    """
    if edges is None:
        return list(combinations(range(len(tasks)), 2))
    for edge in edges:
        for task in edge:
            if task not in tasks:
                raise OptionError("edges", f"unknown task {task!r}{did_you_mean(task, tasks)}")
        if len(set(edge)) != 2 or len(edge) != 2:
            raise OptionError("edges", f"expected pairs of different tasks, got {list(edge)}")
    return [(list(tasks).index(a), list(tasks).index(b)) for a, b in edges]
