"""A run of some of the tasks of another run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mtl.config.parts import Part
from mtl.config.run import Run, Task
from mtl.experiment.build import head_owners, head_part
from mtl.experiment.context import run_context
from mtl.options import part_options
from mtl.registry import Registry
from mtl.sharing import SHARING
from mtl.weighting import WEIGHTING


@dataclass(frozen=True)
class Subset:
    """A run of some tasks.

    Args:
        run: The run.
        note: The difference of its sharing to the sharing of all tasks, for the user; may be empty.
    """

    run: Run
    note: str = ""


def restricted_to(run: Run, tasks: Sequence[str]) -> Subset:
    """Return the run of some of the tasks of a run.

    A task that shares the head of a removed task gets an equal head of its own. If the tasks do not
    fit its sharing, or are too few for its weighting, the run has hard sharing or static weights.
    The score that selects the best epoch may still be one of another task.

    Args:
        run: A run.
        tasks: At least one of its tasks.
    """
    kept = dict(_tasks(run, tasks))
    sharing, weighting = run.sharing, run.weighting
    cls = SHARING.find(sharing.type)
    few = len(kept) < cls.min_tasks
    heads = any(isinstance(task.head, str) for task in kept.values())
    if not few and cls.fits(sharing.options, list(kept)) and (heads or not cls.needs_shared_head):
        restricted = cls.restricted_to(sharing.options, list(kept), run_context(run))
        sharing, note = Part(type=sharing.type, options=dict(restricted.options)), restricted.note
    else:
        note = "" if few else f"with hard sharing in place of {sharing.type!r}"
        sharing = default_part("hard", SHARING)
    if len(kept) < WEIGHTING.find(weighting.type).min_tasks:
        weighting = default_part("static", WEIGHTING)
    corpora = {task.corpus: run.corpora[task.corpus] for task in kept.values()}
    changes = {"tasks": kept, "corpora": corpora, "sharing": sharing, "weighting": weighting}
    return Subset(run.model_copy(update=changes), note)


def _tasks(run: Run, tasks: Sequence[str]) -> Iterator[tuple[str, Task]]:
    """Yield the tasks in the order of the run, with the heads that they share with other tasks."""
    heirs: dict[str, str] = {}
    for name, owner in head_owners(run).items():
        task = run.tasks[name]
        if name not in tasks:
            continue
        if owner not in tasks and heirs.setdefault(owner, name) != name:
            task = task.model_copy(update={"head": heirs[owner]})
        elif owner not in tasks:
            head, lr = head_part(run, owner), run.tasks[owner].lr
            task = task.model_copy(update={"head": head, "lr": lr})
        yield name, task


def default_part(name: str, registry: Registry[Any]) -> Part:
    """Return a part with its default options."""
    options = part_options(registry.find(name)).values()
    return Part(type=name, options={option.name: option.default for option in options})
