"""A run of some of the tasks of another run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtl.config.parts import Part
from mtl.config.run import Run, Task, Training
from mtl.data.mixing import MIXING
from mtl.experiment.build import head_owners, head_part, target_of
from mtl.experiment.context import run_context
from mtl.experiment.loaders import batch_limits
from mtl.options import part_options
from mtl.registry import Registry
from mtl.sharing import SHARING
from mtl.trunks import TRUNKS
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
    Options without effect on these tasks have their defaults. The score that selects the best epoch
    may still be one of another task.

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
    corpora = {task.corpus: run.corpora[task.corpus] for task in kept.values()}
    balances, most = WEIGHTING.find(weighting.type), len(kept)
    if balances.within_step and not MIXING.find(run.training.mixing.type).joint:
        most = max(Counter(task.corpus for task in kept.values()).values())
    if most < balances.min_tasks:
        weighting = default_part("static", WEIGHTING)
    changes = {
        "tasks": kept,
        "corpora": corpora,
        "sharing": sharing,
        "weighting": weighting,
        "trunk": run.trunk if len(corpora) > 1 else _reset(run.trunk, "corpus_dim", TRUNKS),
        "training": _training(run, kept, corpora),
    }
    return Subset(run.model_copy(update=changes), note)


def _training(run: Run, tasks: Mapping[str, Task], corpora: Collection[str]) -> Training:
    """Return the training of some tasks; options without effect on them have their defaults."""
    training, changes = run.training, dict[str, Any]()
    if len(corpora) == 1:
        changes["mixing"] = _reset(training.mixing, "one_batch", MIXING)
    if all(target_of(run, name).level == "sentence" for name in tasks):
        changes["loss_unit"] = "token"
    next_word = [task.corpus for task in tasks.values() if task.source.text == "next"]
    if all(batch_limits(run, corpus).streams is None for corpus in next_word):
        changes["professor_forcing"] = None
    if all(task.source.text for task in tasks.values()):
        changes["label_prior"] = True
    return training.model_copy(update=changes)


def _reset(part: Part, option: str, registry: Registry[Any]) -> Part:
    """Return a part whose option has its default, if the part has this option."""
    if option not in part.options:
        return part
    default = part_options(registry.find(part.type))[option].default
    return part.model_copy(update={"options": {**part.options, option: default}})


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
