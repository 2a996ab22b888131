"""Which task helps which: every task alone and beside every other one, on a small budget."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from rich.console import Console

from mtl.api import train_each_seed
from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.errors import MtlError
from mtl.experiment import build, load_config, load_corpora
from mtl.experiment.build import head_owners, head_part
from mtl.experiment.checks.run import adversaries, scored_tasks
from mtl.experiment.corpora import tasks_of
from mtl.experiment.folder import check_free
from mtl.metrics.base import Metric
from mtl.metrics.spread import Spread
from mtl.runs.checkpoint import seed_folder, seed_folders
from mtl.runs.history import read_records
from mtl.sharing import SHARING
from mtl.text.example import names_in
from mtl.text.labels import FrequencyBins
from mtl.weighting import WEIGHTING

SLOPES = (0.1, 0.2, 0.3)
"""Where in training the slope of the loss is taken."""


@dataclass(frozen=True)
class Traits:
    """What may tell whether a task helps or can be helped (Bingel and Søgaard 2017).

    Args:
        sentences: Labelled training sentences.
        labels: Different labels.
        entropy: Entropy of the labels, in bits.
        type_token_ratio: Different words by words of the training text.
        unknown: Share of the words of the dev text that training has not; None: no dev split.
        slopes: Part of training alone to the slope of the loss there, in nats over the whole
            training; none for tasks that were not trained alone.
    """

    sentences: int
    labels: int
    entropy: float
    type_token_ratio: float
    unknown: float | None
    slopes: Mapping[float, float]


@dataclass(frozen=True)
class Relations:
    """How much tasks help each other.

    Args:
        scores: Main task to the name of its score.
        alone: Main task to its best dev scores without another task, one a seed.
        gains: Main task and auxiliary task to what the second one adds to the score of the first,
            seed by seed; above zero is better, also where lower scores are.
        traits: Task to what may tell so in advance.
    """

    scores: Mapping[str, str]
    alone: Mapping[str, Spread]
    gains: Mapping[tuple[str, str], Spread]
    traits: Mapping[str, Traits]


def relate(
    config: Path,
    overrides: Sequence[str] = (),
    *,
    output: Path,
    epochs: int = 3,
    limit: int = 500,
    seeds: int = 3,
    resume: bool = False,
    console: Console | None = None,
) -> Relations:
    """Train each task of a run alone and each pair of tasks, and compare the best dev scores.

    A pair is trained once for both directions; without the adversary of the sharing, where that
    would have nothing to tell apart. A task whose head is that of one left out has such a head of
    its own. Every training leaves a run folder with its seeds in `output`, which `resume` goes on
    with.

    Args:
        config: The run file.
        overrides: Changes to it, such as `["trunk.dropout=0.3"]`.
        output: The folder of all trainings.
        epochs: Epochs of each training.
        limit: The most training sentences of each corpus.
        seeds: How often each is trained.
        resume: Whether to go on where an earlier call stopped.
        console: Where to tell the progress; None: standard error.

    Raises:
        MtlError: A mistake in the configuration or the data, too few tasks, or the folder exists.
    """
    run = load_config(config, overrides)
    mains = [task for task in scored_tasks(run) if task not in adversaries(run)]
    if len(run.tasks) < 2 or not mains:
        raise MtlError(f"{config}: expected two tasks or more, one of them with a dev split")
    if not resume:
        check_free(output, bool(list(output.glob("*/seed-*"))))
    metrics: dict[str, Metric] = {t: build("metric", run.tasks[t].metric) for t in mains}
    scores = {task: next(iter(metric.compute())) for task, metric in metrics.items()}
    groups: list[tuple[str, ...]] = [(task,) for task in mains]
    groups += [pair for pair in combinations(run.tasks, 2) if not set(pair).isdisjoint(mains)]
    changes = {
        group: [*overrides, *_changes(run, group, scores, epochs, limit, seeds)] for group in groups
    }
    for own in changes.values():  # every mistake before any training
        load_config(config, own)
    console = console or Console(stderr=True)
    for number, group in enumerate(groups, 1):
        often = f"{seeds} seed{'s' * (seeds > 1)}"
        told = f"training {number} of {len(groups)}, {often}: {' + '.join(group)}"
        if len(group) > 1 and _are_one(run, group):
            told += ", without the adversary, to whom they are one group"
        console.print(told, highlight=False, markup=False, soft_wrap=True)
        folder = output / _name(group)
        begun = bool(seed_folders(folder))
        train_each_seed(config, changes[group], output=folder, resume=begun, progress=False)
    numbers = range(run.seed, run.seed + seeds)

    def best(group: Sequence[str], task: str) -> list[float]:
        folders = [seed_folder(output / _name(group), seed) for seed in numbers]
        found = [read_records(folder, "epoch")[:epochs] for folder in folders]
        choose = max if metrics[task].higher_is_better else min
        return [choose(epoch["dev"][task][scores[task]] for epoch in own) for own in found]

    alone = {task: best((task,), task) for task in mains}
    gains: dict[tuple[str, str], Spread] = {}
    for main, other in permutations(run.tasks, 2):
        if main in mains:
            group = next(group for group in groups if set(group) == {main, other})
            sign = 1 if metrics[main].higher_is_better else -1
            both = zip(best(group, main), alone[main], strict=True)
            gains[main, other] = Spread([sign * (with_it - without) for with_it, without in both])
    corpora = load_corpora(load_config(config, [*overrides, *_limits(run, run.tasks, limit)]))
    traits = {
        name: _traits(
            name,
            corpora[task.corpus],
            bool(task.source.word),
            _slopes([seed_folder(output / name, seed) for seed in numbers], name, epochs)
            if name in mains
            else {},
        )
        for name, task in run.tasks.items()
    }
    return Relations(scores, {task: Spread(own) for task, own in alone.items()}, gains, traits)


def _name(group: Sequence[str]) -> str:
    return "+".join(group)


def _changes(
    run: Run, group: Sequence[str], scores: Mapping[str, str], epochs: int, limit: int, seeds: int
) -> Iterator[str]:
    """Yield what makes a small run of some of its tasks of a run."""
    for task in run.tasks:
        yield f"tasks.{task}.patience=null" if task in group else f"tasks.{task}=null"
    yield from _heads(run, group)
    if len(group) < WEIGHTING.find(run.weighting.type).min_tasks:
        yield "weighting=static"  # there is nothing to balance
    if len(group) < SHARING.find(run.sharing.type).min_tasks:
        yield "sharing=hard"  # nor to share
    else:
        for option, value in run.sharing.options.items():
            if isinstance(value, list):  # what lists there are name tasks
                yield f"sharing.{option}={json.dumps(_among(value, group))}"
        if _are_one(run, group):
            yield from ("sharing.adversary=0", "sharing.ramp=null", "sharing.groups=null")
    yield from _limits(run, group, limit)
    scored = next(task for task in group if task in scores)
    yield f"training.metric={scored}.{scores[scored]}"
    yield from ("training.patience=null", f"training.epochs={epochs}", f"seeds={seeds}")


def _heads(run: Run, group: Sequence[str]) -> Iterator[str]:
    """Yield what gives tasks the heads that they share with a task left out."""
    first: dict[str, str] = {}
    for task, owner in head_owners(run).items():
        if task not in group or owner in group:
            continue
        if first.setdefault(owner, task) != task:
            yield f"tasks.{task}.head={first[owner]}"
            continue
        yield f"tasks.{task}.head={head_part(run, owner).model_dump_json()}"
        yield f"tasks.{task}.lr={json.dumps(run.tasks[owner].lr)}"


def _are_one(run: Run, tasks: Sequence[str]) -> bool:
    """Return whether the adversary of the sharing, if it has one, takes these for one group."""
    options = run.sharing.options
    groups = options.get("groups") or [tasks_of(run, corpus) for corpus in run.corpora]
    return bool(options.get("adversary")) and len(_among(groups, tasks)) == 1


def _among(names: list[Any], group: Sequence[str]) -> list[Any]:
    """Return what is left of a list of tasks, or of lists of them, when others are dropped."""
    left = [_among(own, group) if isinstance(own, list) else own for own in names]
    return [own for own in left if own and (isinstance(own, list) or own in group)]


def _limits(run: Run, tasks: Iterable[str], limit: int) -> list[str]:
    corpora = dict.fromkeys(run.tasks[task].corpus for task in tasks)
    return [f"corpora.{name}.limit.train={limit}" for name in corpora]


def _traits(task: str, corpus: Corpus, frequency: bool, slopes: Mapping[float, float]) -> Traits:
    train = corpus.splits["train"]
    labelled = [own for own in train.labels(task) if own is not None]
    if frequency:
        labelled = [*map(FrequencyBins.of(labelled).read, labelled)]
    labels = Counter(label for own in labelled for label in names_in(own))
    words = train.word_counts()
    unknown = None
    if "dev" in corpus.splits:
        dev = corpus.splits["dev"].word_counts()
        unknown = sum(n for word, n in dev.items() if word not in words) / dev.total()
    return Traits(
        sentences=len(labelled),
        labels=len(labels),
        entropy=entropy(list(labels.values())),
        type_token_ratio=len(words) / words.total(),
        unknown=unknown,
        slopes=slopes,
    )


def entropy(counts: Sequence[int]) -> float:
    """Return the entropy, in bits, of what occurs so often.

    >>> entropy([2, 1, 1])
    1.5
    """
    total = sum(counts)
    return -sum(n / total * math.log2(n / total) for n in counts if n)


def _slopes(folders: Sequence[Path], task: str, epochs: int) -> dict[float, float]:
    """Return the slope of the loss of a task at `SLOPES`, over a fifth of the training around.

    Points of the curve are the steps that were written down, and the mean of each epoch in its
    middle; between points it is straight, and over the seeds the mean.
    """
    found: dict[float, list[float]] = {}
    for folder in folders:
        began = end = 0
        for epoch in read_records(folder, "epoch")[:epochs]:
            began, end = end, epoch["step"]
            found.setdefault((began + end) / 2, []).append(epoch["losses"][task])
        for step in read_records(folder, "step"):
            if step["step"] < end:
                found.setdefault(step["step"], []).append(step["losses"][task])
    steps = sorted(found)
    losses = [fmean(found[step]) for step in steps]
    around = {at: np.interp([(at - 0.1) * end, (at + 0.1) * end], steps, losses) for at in SLOPES}
    return {at: float(after - before) / 0.2 for at, (before, after) in around.items()}
