"""Checks of the development sets: which tasks can be scored, and whether the run needs scores."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from itertools import islice

from mtl.config.run import Run
from mtl.data.corpus import Corpus, Split
from mtl.errors import ConfigError
from mtl.experiment.checks.run import adversaries, needing_scores
from mtl.experiment.context import scored_tasks
from mtl.experiment.kinds import build
from mtl.metrics import Metric
from mtl.targets import BuildContext
from mtl.text.example import Labels

_CHUNK = 1000
"""The number of sentences whose labels are tried at once."""


def scorable_tasks(run: Run, corpora: Mapping[str, Corpus]) -> list[str]:
    """Return the tasks whose labels in the development set allow a score."""
    return [
        name
        for name in scored_tasks(run)
        if _is_scorable(
            corpora[run.tasks[name].corpus].splits["dev"],
            name,
            build("metric", run.tasks[name].metric),
        )
    ]


def _is_scorable(split: Split, task: str, metric: Metric) -> bool:
    """Return whether a metric has a score if its predictions equal the gold labels."""
    if split.targets[task].open_vocabulary:
        return True
    # Some chunks may lack labels, so all sentences are tried before the answer is no.
    for gold in _chunks(split, task):
        metric.update(gold, gold)
        if not math.isnan(next(iter(metric.compute().values()))):
            return True
    return False


def _chunks(split: Split, task: str) -> Iterator[list[Labels]]:
    """Yield the values that a metric can compare, in chunks."""
    labels = (gold for gold in split.labels(task) if gold is not None)
    while chunk := list(islice(labels, _CHUNK)):
        form = split.targets[task].build(chunk, BuildContext())
        yield [gold for own in chunk if (gold := form.comparable(own)) is not None]


def check_scores(run: Run, scorable: Collection[str]) -> None:
    """Check that the scores which a run depends on exist.

    Args:
        run: The run.
        scorable: The tasks that can be scored on their development sets.

    Raises:
        ConfigError: A score that the run depends on does not exist.
    """
    task = run.training.metric.partition(".")[0]
    if task != "mean" and task not in scorable:
        raise ConfigError(
            f"training.metric: the dev set of {task!r} has no labels that can be scored; label "
            "some of its sentences, or choose another score"
        )
    if task == "mean" and scorable and adversaries(run).issuperset(scorable):
        raise ConfigError(
            "training.metric: only adversarial tasks can be scored on their dev sets; name the "
            "score to select by, as TASK.SCORE"
        )
    if not scorable:
        for kind, part in needing_scores(run).items():
            raise ConfigError(
                f"training.{kind}: {part.type!r} follows the scores on a dev set, and no task can "
                "be scored there; label some sentences, or choose another"
            )
