"""Counts of the labels of a run, and notes on labels that are probably mistakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice

from mtl.config.run import Run
from mtl.data.corpus import Corpus, Split
from mtl.experiment.experiment import Experiment
from mtl.targets import Target
from mtl.text.spans import OUTSIDE, parse_tag, read_spans

_LISTED = 12
"""The most labels that are listed with their counts."""
_FREQUENT = 0.05
"""The share of the labels of train from which a label is expected in dev."""
_NAMED = 5
"""The most labels that a note names."""

Counts = Mapping[str, Mapping[str, Counter[str]]]
"""Task and split to the number of occurrences of each label, or of each type of span."""


def count_labels(experiment: Experiment, corpora: Mapping[str, Corpus]) -> Counts:
    """Return the counts of the labels of all tasks whose labels are not numbers or words."""
    counts: dict[str, dict[str, Counter[str]]] = {}
    for name, task in experiment.run.tasks.items():
        target = experiment.batcher.targets[name]
        if target.labels and not target.open_vocabulary:
            splits = corpora[task.corpus].splits.items()
            count = _count_spans if _has_spans(experiment.run, name, target) else _count
            counts[name] = {part: count(split, name, target) for part, split in splits}
    return counts


def _has_spans(run: Run, task: str, target: Target) -> bool:
    # Partial labels leave open which spans there are.
    return run.tasks[task].scheme is not None and target.plain_labels


def _count(split: Split, task: str, target: Target) -> Counter[str]:
    counts: Counter[str] = Counter()
    # Each different string is read once. Alone, it is a value with one item.
    for string, number in split.item_counts(task).items():
        gold = target.unpack([string])
        known = target.comparable(gold)
        for label in target.names(gold if known is None else known):
            counts[label] += number
    return counts


def _count_spans(split: Split, task: str, target: Target) -> Counter[str]:
    return Counter(
        span.type
        for gold in split.labels(task)
        if isinstance(gold, tuple)
        for span in read_spans(OUTSIDE if tag is None else str(tag) for tag in gold)
    )


def describe_labels(counts: Counts) -> Iterator[str]:
    """Yield the counts as lines of text, the most frequent labels first."""
    for task, by_split in counts.items():
        yield f"labels of {task}:"
        for split, found in by_split.items():
            listed = [f"{label or '(no type)'} ({n:,})" for label, n in found.most_common(_LISTED)]
            yield f"  {split}: {_listed(listed, len(found)) or 'none'}"


def label_notes(
    experiment: Experiment,
    corpora: Mapping[str, Corpus],
    counts: Counts,
    scorable: Collection[str],
) -> Iterator[str]:
    """Yield notes on labels that are probably mistakes.

    Args:
        experiment: The run and its targets.
        corpora: The corpora by name.
        counts: The counts of the labels.
        scorable: The tasks that can be scored on their development sets.
    """
    run = experiment.run
    for name, task in run.tasks.items():
        target, splits = experiment.batcher.targets[name], corpora[task.corpus].splits
        if splits["train"].total_weight(name) == 0:
            yield f"{name}: all sentences of train have the weight 0, so nothing is learned"
        for split, part in splits.items():
            if not part.labelled(name):
                yield f"{name}: no sentence of {split} is labelled, so it has no {split} score"
        if "dev" in splits and splits["dev"].labelled(name) and name not in scorable:
            yield f"{name}: has no dev score for these labels, so it does not select the best epoch"
        if name in counts and not task.source.word:
            notes = _notes(run, name, target, splits, counts[name])
            yield from (f"{name}: {note}" for note in notes)


def _notes(
    run: Run,
    task: str,
    target: Target,
    splits: Mapping[str, Split],
    counts: Mapping[str, Counter[str]],
) -> Iterator[str]:
    spans, train, source = _has_spans(run, task, target), counts["train"], run.tasks[task].source
    if len(target) == 1 and target.values == "labels":
        yield f"train has only one label, {target.labels[0]!r}, so nothing is learned"
    if single := sorted(label for label, number in train.items() if number == 1):
        yield f"labels with a single example in train: {_listed(single[:_NAMED], len(single))}"
    for one, other in islice(_alike(train), _NAMED):
        both = f"{one!r} ({train[one]:,}) and {other!r} ({train[other]:,})"
        yield f"{both} are read as two labels; if they mean the same, write both in one way"
    known = {parse_tag(tag)[1] for tag in target.labels} if spans else set(target.labels)
    for split in [name for name in counts if name != "train"]:
        if unseen := {label: n for label, n in counts[split].items() if label not in known}:
            first = [_unseen(label, n, known) for label, n in islice(unseen.items(), _NAMED)]
            listed = _listed(first, len(unseen))
            yield f"labels of {split} that do not occur in train, counted as errors: {listed}"
    if dev := counts.get("dev"):
        least = max(2, _FREQUENT * train.total())
        if lacking := sorted(label for label, n in train.items() if n >= least and not dev[label]):
            listed = _listed(lacking[:_NAMED], len(lacking))
            yield f"labels that are frequent in train, but do not occur in dev: {listed}"
    if target.plain_labels and target.level == "token" and not source.derived:
        missing = ", ".join(_unlabelled(target, task, splits))
        if missing:
            yield f"tokens without a label, neither learned nor scored: {missing}"
    if source.form == "partial" and source.separator is None:
        for sign in "|;/,":
            if joined := [label for label in sorted(train) if _joins(label, sign, train)]:
                yield (
                    f"{joined[0]!r} is read as one label; if it stands for several possible "
                    f'labels, set `separator: "{sign}"`'
                )


def _alike(labels: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of labels that differ only in case, or that are one number, such as 1 and 1.0.

    >>> list(_alike(["1", "Good", "1.0", "good", "bad"]))
    [('1', '1.0'), ('Good', 'good')]
    """
    first: dict[str | float, str] = {}
    for label in labels:
        try:
            key: str | float = float(label)
        except ValueError:
            key = label.casefold()
        if (known := first.setdefault(key, label)) != label:
            yield known, label


def _unlabelled(target: Target, task: str, splits: Mapping[str, Split]) -> Iterator[str]:
    for name, split in splits.items():
        tokens = split.item_counts(task)
        labelled = sum(n for item, n in tokens.items() if any(target.names(target.unpack([item]))))
        if labelled < tokens.total():
            yield f"{name} {tokens.total() - labelled:,} of {tokens.total():,}"


def _unseen(label: str, number: int, known: Iterable[str]) -> str:
    """Return a label with its count, and with the label that was probably meant."""
    by_lower = {name.lower(): name for name in sorted(known)}
    near = get_close_matches(label.lower(), by_lower, n=1)
    return f"{label} ({number:,}{f'; did you mean {by_lower[near[0]]!r}?' if near else ''})"


def _joins(label: str, sign: str, labels: Collection[str]) -> bool:
    """Return whether a label seems to be several labels with a sign between."""
    parts = label.split(sign)
    # A bar is rarely part of a label; the other signs count only between known labels.
    return len(parts) > 1 and all(parts) and (sign == "|" or any(part in labels for part in parts))


def _listed(first: list[str], count: int) -> str:
    """Return the first of `count` items on one line, and the number of the others."""
    others = f" and {count - len(first):,} others" if count > len(first) else ""
    return ", ".join(first) + others
