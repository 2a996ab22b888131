"""Measure which tasks help each other, on a small budget: by training pairs, and by gradients."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Literal, TypeAlias

import numpy as np
from rich.console import Console

from mtl.analysis.affinities import agreement, best_groups, joint_training, read_affinities
from mtl.analysis.branching import widened
from mtl.analysis.difficulty import (
    difficulty_affinities,
    have_common_labels,
    sentence_losses,
)
from mtl.api import train_run_seeds
from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.display.reading import show_import
from mtl.errors import MtlError
from mtl.experiment import build, load_config, load_corpora, make_trainer, prepare
from mtl.experiment.checks.run import adversaries
from mtl.experiment.checks.scores import scorable_tasks
from mtl.experiment.config import check_run
from mtl.experiment.folder import check_place
from mtl.experiment.subset import Subset, restricted_to
from mtl.metrics.base import Metric, Unit
from mtl.metrics.spread import Spread
from mtl.options import count
from mtl.runs.checkpoint import seed_folder
from mtl.runs.history import read_records
from mtl.targets import BuildContext, Target
from mtl.text.example import Labels
from mtl.trained_model import load

Affinity: TypeAlias = Literal["gradients", "difficulty"]
"""Affinities from the gradients of the tasks, or from the sentences that are difficult for both."""
SLOPES = (0.1, 0.2, 0.3)
"""Points of training, as fractions, at which the slope of the loss is measured."""
_JOINT = "+joint"
"""The folder of the joint training. No task has this name."""
_FOLDERS = rf"[A-Za-z][\w-]*(\+[A-Za-z][\w-]*)?|{re.escape(_JOINT)}"
"""Pattern of the folders in the output: a task, two tasks, or the joint training."""


@dataclass(frozen=True)
class Traits:
    """Properties of a task that may predict gains (Bingel and Søgaard 2017).

    Args:
        sentences: Number of labelled training sentences.
        labels: Number of different labels.
        entropy: Entropy of the labels, in bits.
        type_token_ratio: Number of different words divided by the number of words of the training
            text.
        unknown: Share of the words of the dev text that do not occur in the training text; None
            without a dev split.
        slopes: Fraction of single-task training to the slope of the loss at that point, in nats
            per full training; empty for tasks that were not trained alone.
    """

    sentences: int
    labels: int
    entropy: float
    type_token_ratio: float
    unknown: float | None
    slopes: Mapping[float, float]


@dataclass(frozen=True)
class Relations:
    """The gains of tasks from each other.

    Args:
        scores: Main task to the name of its score.
        units: Main task to the unit of its score.
        alone: Main task to its best dev scores in single-task training, one per seed; empty if only
            the affinities were measured.
        gains: Main task and auxiliary task to the gain of the main task, one per seed. Positive
            gains are improvements, also for scores where lower is better.
        traits: Task to the properties that may predict gains.
        affinities: Task and other task to how much a step of the other one lowers the loss of the
            task, relative to the loss, one per seed; see `read_affinities`. Empty if the tasks
            share no trained parameters.
        agreement: Whether gains and affinities prefer the same tasks, from −1 to 1; None for fewer
            than three tasks, and without gains or affinities.
        groups: The groups of tasks to train together, by affinity; empty if not asked for.
        affinity: The kind of the affinities; for "difficulty", see `difficulty_affinities`.
        branches: The groups of tasks of each layer of the trunk; empty if not asked for.
    """

    scores: Mapping[str, str]
    units: Mapping[str, Unit]
    alone: Mapping[str, Spread]
    gains: Mapping[tuple[str, str], Spread]
    traits: Mapping[str, Traits]
    affinities: Mapping[tuple[str, str], Spread]
    agreement: float | None
    groups: Sequence[Sequence[str]]
    affinity: Affinity = "gradients"
    branches: Sequence[Sequence[Sequence[str]]] = ()


def relate(
    config: Path,
    overrides: Sequence[str] = (),
    *,
    output: Path,
    fast: bool = False,
    groups: int | None = None,
    affinity: Affinity = "gradients",
    branch_cost: float | None = None,
    epochs: int = 3,
    limit: int = 500,
    seeds: int = 3,
    resume: bool = False,
    trust: bool = False,
    console: Console | None = None,
) -> Relations:
    """Train each task of a run alone and each pair of tasks, and compare the best dev scores.

    One further training has all tasks in each step. Its gradients show how much a step of a task
    lowers the losses of the other tasks, which are the affinities of the tasks.

    Each pair is trained once for both directions. If the sharing has an adversary and both tasks
    belong to the same of its groups, the pair is trained without the adversary. A task that shares
    the head of an omitted task gets a head of the same kind. Each training has a folder in
    `output`, with one run folder per seed.

    Args:
        config: The run file.
        overrides: Changes to the run file, such as `["trunk.dropout=0.3"]`.
        output: The folder of all trainings.
        fast: Whether to measure the affinities alone, by one training.
        groups: The largest number of groups of tasks to train together, at least 1; None: do not
            search for groups.
        affinity: The kind of the affinities.
        branch_cost: The cost of a branch, if the branches of the trunk are to be found, which needs
            affinities by difficulty; see `widened`.
        epochs: Number of epochs of each training.
        limit: Maximum number of training sentences of each corpus.
        seeds: Number of seeds of each training.
        resume: Whether to continue where an earlier call stopped.
        trust: As for `mtl.train`.
        console: Console for the progress; None for standard error.

    Returns:
        The scores of the tasks alone, the gains of the pairs, the affinities and the properties of
        the tasks.

    Raises:
        MtlError: An error in the configuration or the data, too few tasks, or the folder exists;
            or only affinities are asked for, and the tasks share no trained parameters.
    """
    run = load_config(config, overrides, on_import=show_import if trust else None)
    limited = _limited(run, limit)
    corpora = load_corpora(limited)
    # Tasks of weight 0 are not trained, such as the old tasks of progressive columns.
    trained = [task for task, own in run.tasks.items() if own.weight]
    mains = [
        task
        for task in scorable_tasks(limited, corpora)
        if task in trained and task not in adversaries(run)
    ]
    if len(trained) < 2 or not mains:
        raise MtlError(f"{config}: expected two or more tasks, at least one with dev scores")
    layers = build("trunk", run.trunk, 1).num_layers if branch_cost is not None else 0
    if branch_cost is not None and not layers:
        raise MtlError(f"{config}: the trunk has no layers, and therefore no branches")
    # Groups do not contain adversaries, which cannot be trained alone.
    together = [task for task in trained if task not in adversaries(run)]
    if affinity == "difficulty" and not have_common_labels(limited, corpora, together):
        raise MtlError(
            f"{config}: affinities by difficulty need sentences with labels of two tasks, and the "
            "corpora have none; use affinities by gradients"
        )
    check_place(output, resume, _FOLDERS)
    metrics: dict[str, Metric] = {t: build("metric", run.tasks[t].metric) for t in mains}
    scores = {task: next(iter(metric.compute())) for task, metric in metrics.items()}
    pairs = [pair for pair in combinations(trained, 2) if not set(pair).isdisjoint(mains)]
    sets: list[tuple[str, ...]] = [] if fast else [*((task,) for task in mains), *pairs]
    subsets = {_name(own): _small_run(run, own, scores, epochs, limit, seeds) for own in sets}
    joint = _small_run(run, list(run.tasks), scores, epochs, limit, seeds)
    subsets[_JOINT] = replace(joint, run=joint_training(joint.run))
    for subset in subsets.values():  # all errors before the first training
        check_run(subset.run)
    if (fast or groups) and affinity == "gradients" and not _share(subsets[_JOINT].run, corpora):
        raise MtlError(
            f"{config}: the tasks share no trained parameters, so they have no affinities; measure "
            "gains alone, without --fast and --groups"
        )
    console = console or Console(stderr=True)
    for number, (name, subset) in enumerate(subsets.items(), 1):
        title = f"training {number} of {len(subsets)}, {count(seeds, 'seed')}: "
        title += " + ".join(subset.run.tasks)
        if subset.note:
            title += f", {subset.note}"
        console.print(title, highlight=False, markup=False, soft_wrap=True)
        train_run_seeds(subset.run, output / name, resume=resume, progress=False, trust=trust)
    trainings = _Trainings(output, range(run.seed, run.seed + seeds), epochs, metrics, scores)
    alone = [] if fast else mains
    gains = {
        (main, other): trainings.gain(main, pair)
        for main in alone
        for pair in pairs
        if main in pair
        for other in pair
        if other != main
    }
    affinities = _affinities(affinity, trainings.folders(_JOINT), together, corpora, trust)
    means = {pair: own.mean for pair, own in affinities.items()}
    return Relations(
        scores,
        {task: metric.unit for task, metric in metrics.items()},
        {task: Spread(trainings.best((task,), task)) for task in alone},
        gains,
        {
            name: _traits(
                name, corpora[task.corpus], trainings.slopes(name) if name in alone else {}
            )
            for name, task in run.tasks.items()
        },
        affinities,
        agreement({pair: gain.mean for pair, gain in gains.items()}, means),
        best_groups(together, means, groups) if groups else [],
        affinity,
        [] if branch_cost is None else widened(list(run.tasks), means, layers, branch_cost),
    )


def _share(run: Run, corpora: Mapping[str, Corpus]) -> bool:
    """Return whether the tasks of a run share parameters that are trained."""
    model = make_trainer(prepare(run, corpora), corpora).model
    return any(parameter.requires_grad for parameter in model.shared_parameters())


@dataclass(frozen=True)
class _Trainings:
    """The records of all trainings.

    Args:
        output: The folder of the trainings.
        seeds: The seeds of each training.
        epochs: The number of epochs that count.
        metrics: Main task to its metric.
        scores: Main task to the name of its score.
    """

    output: Path
    seeds: Sequence[int]
    epochs: int
    metrics: Mapping[str, Metric]
    scores: Mapping[str, str]

    def folders(self, name: str) -> list[Path]:
        """Return the run folders of a training, one per seed."""
        return [seed_folder(self.output / name, seed) for seed in self.seeds]

    def best(self, group: Sequence[str], task: str) -> list[float]:
        """Return the best dev score of a task that was trained with a group, one per seed."""
        choose = max if self.metrics[task].higher_is_better else min
        records = [
            read_records(folder, "epoch")[: self.epochs] for folder in self.folders(_name(group))
        ]
        name = self.scores[task]
        return [choose(epoch["dev"][task][name] for epoch in own) for own in records]

    def gain(self, task: str, pair: Sequence[str]) -> Spread:
        """Return the gain of a task in a pair, one per seed; improvements are positive."""
        sign = 1 if self.metrics[task].higher_is_better else -1
        both = zip(self.best(pair, task), self.best((task,), task), strict=True)
        return Spread([sign * (with_it - without) for with_it, without in both])

    def slopes(self, task: str) -> dict[float, float]:
        """Return the slopes of the loss of a task that was trained alone; see `_slopes`."""
        return _slopes(self.folders(task), task, self.epochs)


def _affinities(
    kind: Affinity,
    folders: Sequence[Path],
    tasks: Sequence[str],
    corpora: Mapping[str, Corpus],
    trust: bool,
) -> dict[tuple[str, str], Spread]:
    """Return the affinities of tasks from the run folders of their joint training.

    Pairs that a seed did not measure are omitted.
    """
    if kind == "difficulty":
        models = [load(folder, trust=trust) for folder in folders]
        by_seed = [difficulty_affinities(sentence_losses(m, corpora, tasks)) for m in models]
    else:
        by_seed = [read_affinities(folder, tasks) for folder in folders]
    pairs = [pair for pair in by_seed[0] if all(pair in own for own in by_seed)]
    return {pair: Spread([own[pair] for own in by_seed]) for pair in pairs}


def _name(group: Sequence[str]) -> str:
    return "+".join(group)


def _small_run(
    run: Run, group: Sequence[str], scores: Mapping[str, str], epochs: int, limit: int, seeds: int
) -> Subset:
    """Return a small run of some tasks of a run."""
    subset = restricted_to(run, group)
    scored = next(task for task in group if task in scores)
    training = {"metric": f"{scored}.{scores[scored]}", "patience": None, "epochs": epochs}
    tasks = {n: t.model_copy(update={"patience": None}) for n, t in subset.run.tasks.items()}
    changes = {
        "tasks": tasks,
        "training": subset.run.training.model_copy(update=training),
        "seeds": seeds,
    }
    return replace(subset, run=_limited(subset.run.model_copy(update=changes), limit))


def _limited(run: Run, limit: int) -> Run:
    """Return a run with a limit on the training sentences of each corpus."""
    corpora = {
        name: corpus.model_copy(update={"limit": {**corpus.limit, "train": limit}})
        for name, corpus in run.corpora.items()
    }
    return run.model_copy(update={"corpora": corpora})


def _label_counts(form: type[Target], gold: Sequence[Labels]) -> Counter[str]:
    """Count the labels of gold values; numbers have none."""
    if not form.open_vocabulary and gold:
        # Frequencies of words are labels only once all words have been counted.
        target = form.build(gold, BuildContext())
        gold = [value for own in gold if (value := target.comparable(own)) is not None]
    return Counter(label for value in gold for label in form.names(value))


def _traits(task: str, corpus: Corpus, slopes: Mapping[float, float]) -> Traits:
    train = corpus.splits["train"]
    gold = [value for value in train.labels(task) if value is not None]
    labels = _label_counts(train.targets[task], gold)
    words = train.word_counts()
    unknown = None
    if "dev" in corpus.splits:
        dev = corpus.splits["dev"].word_counts()
        unknown = sum(n for word, n in dev.items() if word not in words) / dev.total()
    return Traits(
        sentences=len(gold),
        labels=len(labels),
        entropy=entropy(list(labels.values())),
        type_token_ratio=len(words) / words.total(),
        unknown=unknown,
        slopes=slopes,
    )


def entropy(counts: Sequence[int]) -> float:
    """Return the entropy, in bits, of a distribution given by counts.

    >>> entropy([2, 1, 1])
    1.5
    """
    total = sum(counts)
    return sum(n / total * math.log2(total / n) for n in counts if n)


def _slopes(folders: Sequence[Path], task: str, epochs: int) -> dict[float, float]:
    """Return the slopes of the loss of a task at `SLOPES`, each over a fifth of the training.

    The curve interpolates linearly between the logged steps, and the mean loss of each epoch at
    the middle of the epoch. Losses of several seeds are averaged.
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
