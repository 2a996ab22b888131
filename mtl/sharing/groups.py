"""Groups of tasks that an option defines."""

from __future__ import annotations

from collections.abc import Sequence

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
