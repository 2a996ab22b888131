"""Checks of heads and metrics against the labels in the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from mtl.config.corpus import HintConfig
from mtl.config.run import Run
from mtl.data.corpus import Corpus, Split
from mtl.errors import ConfigError, DataError, MtlError
from mtl.experiment.build import head_owners, head_part, target_of
from mtl.experiment.kinds import build
from mtl.heads import HEADS
from mtl.targets import BuildContext, Target
from mtl.text.spans import Scheme, letters_problem, parse_tag

_TRIED = 1000
"""The number of sentences of each split on which a metric is tried."""


def check_labels(run: Run, corpora: Mapping[str, Corpus]) -> None:
    """Check the heads and metrics of a run against its labels.

    Raises:
        ConfigError: The labels have another level than the head, the metric cannot read them, or
            all labels of a word list or pattern are equal.
        DataError: A label should be a span tag and is not.
    """
    owners = head_owners(run)
    for name, task in run.tasks.items():
        splits = corpora[task.corpus].splits
        head = head_part(run, owners[name])
        level, expected = splits["train"].targets[name].level, HEADS.find(head.type).level
        if level != expected:
            raise ConfigError(
                f"tasks.{name}.head: {head.type!r} predicts one value per {expected}, but the data "
                f"has one per {level}; choose another head"
            )
        if task.source.hint and owners[name] == name:
            _check_hint(run, corpora, name, task.source.hint)
        files = run.corpora[task.corpus].files
        for part, split in splits.items():
            target = split.targets[name]
            if target.open_vocabulary:
                continue
            if task.scheme:
                _check_tags(name, task.scheme, split, files.get(part, files["train"]))
            labels = [gold for gold in islice(split.labels(name), _TRIED) if gold is not None]
            if labels:
                form = target.build(labels, BuildContext())
                known = [gold for own in labels if (gold := form.comparable(own)) is not None]
                if part != "train" and not known and not _any_comparable(split, name, form):
                    raise ConfigError(
                        f"tasks.{name}: no sentence of {part} can be scored, since {target.noun} "
                        "do not give one correct label; label some sentences in full"
                    )
                labels = known
            try:
                build("metric", task.metric).update(labels, labels)
            except MtlError as error:
                raise ConfigError(f"tasks.{name}.metric: {task.metric.type!r}: {error}") from error


def _any_comparable(split: Split, task: str, form: Target) -> bool:
    """Return whether a metric can compare any sentence of a split with a prediction."""
    return any(
        gold is not None and form.comparable(gold) is not None for gold in split.labels(task)
    )


def _check_hint(run: Run, corpora: Mapping[str, Corpus], task: str, hint: HintConfig) -> None:
    """Raise ConfigError if all labels of the tasks that share a head are equal."""
    users = [user for user, owner in head_owners(run).items() if owner == task]
    found: set[str] = set()
    for user in users:
        for labels in corpora[run.tasks[user].corpus].splits["train"].labels(user):
            if labels is not None:
                found.update(target_of(run, user).names(labels))
            if len(found) > 1:
                return
    what = f"pattern {hint.pattern!r}" if hint.lexicon is None else f"lexicon {hint.lexicon}"
    every = "word" if hint.level == "token" else "sentence"
    remedy = "correct it" if hint.lexicon is None else "correct it (one word per line)"
    raise ConfigError(
        f"tasks.{task}: with the {what} every {every} of the training data is {min(found)!r}, so "
        f"there is nothing to learn; {remedy} or leave the task out"
    )


def _check_tags(task: str, scheme: Scheme, split: Split, files: Sequence[str]) -> None:
    """Raise DataError for a label that is not a tag of the scheme."""
    place = " or ".join(files)
    rows: dict[str, int] = {}
    for row, gold in enumerate(split.labels(task)):
        tags = () if gold is None else split.targets[task].names(gold)
        for tag in set(tags) - rows.keys():
            try:
                parse_tag(tag)
            except MtlError as error:
                raise DataError(f"task {task!r}: {error}", place, split[row].line) from error
            rows[tag] = row
    if problem := letters_problem(rows, scheme):
        row = next(row for tag, row in rows.items() if letters_problem([tag], scheme))
        raise DataError(f"task {task!r}: {problem}", place, split[row].line)
