"""Tasks put into groups by an option."""

from __future__ import annotations

from collections.abc import Sequence

from mtl.errors import did_you_mean


def number_groups(
    tasks: Sequence[str], groups: Sequence[Sequence[str]], option: str
) -> dict[str, int]:
    """Return task to the number of its group.

    Args:
        tasks: All tasks.
        groups: The tasks of each group.
        option: What the groups are called, for messages.

    Raises:
        ValueError: They do not have every task exactly once, or nothing but tasks.
    """
    found: dict[str, int] = {}
    for number, group in enumerate(groups):
        for task in group:
            if task not in tasks:
                near = did_you_mean(task, tasks)
                raise ValueError(f"{option}: there is no task {task!r}{near}")
            if found.setdefault(task, number) != number or group.count(task) > 1:
                raise ValueError(f"{option}: {task!r} occurs twice; expected every task once")
    if missing := [task for task in tasks if task not in found]:
        raise ValueError(f"{option}: {missing[0]!r} is missing; expected every task once")
    return found
