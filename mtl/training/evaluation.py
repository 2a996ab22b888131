"""Scores of a model on labelled sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mtl.data.corpus import Split
from mtl.inference.predictor import Predictor
from mtl.metrics.base import Metric, Unit
from mtl.text.example import Labels

_CHUNK = 4096
"""Sentences predicted at a time, so that a large test set does not fill the memory."""


@dataclass(frozen=True)
class Evaluation:
    """The scores of some tasks on a split.

    Args:
        metrics: Task to its metric, with all counts in.
        unseen: Task to the gold labels that training never saw, with how often they occur. They
            count as errors.
    """

    metrics: Mapping[str, Metric]
    unseen: Mapping[str, Counter[str]] = field(default_factory=dict)

    def scores(self) -> dict[str, dict[str, float]]:
        """Return the scores of each task by name; the first one is the task's own."""
        return {task: metric.compute() for task, metric in self.metrics.items()}

    def units(self) -> dict[str, Unit]:
        """Return the unit of the scores of each task."""
        return {task: metric.unit for task, metric in self.metrics.items()}

    @classmethod
    def joined(cls, parts: Iterable[Evaluation]) -> Evaluation:
        """Return one evaluation of several that score different tasks."""
        metrics: dict[str, Metric] = {}
        unseen: dict[str, Counter[str]] = {}
        for part in parts:
            metrics |= part.metrics
            unseen |= part.unseen
        return cls(metrics, unseen)


def gather(predictor: Predictor, split: Split, task: str) -> tuple[Tensor, Tensor]:
    """Return the evidence for all labelled sentences of a split, `[N, S]`, and their targets.

    Args:
        predictor: The model at work.
        split: The sentences.
        task: A task whose labels belong to sentences.
    """
    evidence: list[Tensor] = []
    targets: list[Tensor] = []
    for start in range(0, len(split), _CHUNK):
        examples = split.examples(range(start, min(start + _CHUNK, len(split))))
        labelled = [example for example in examples if task in example.labels]
        if labelled:
            evidence.append(predictor.evidence(labelled, task))
            gold = [example.labels[task] for example in labelled]
            targets.append(predictor.batcher.targets[task].tensor(gold, 0))
    scores = torch.cat(evidence)
    return scores, torch.cat(targets).to(scores.device)


def evaluate(
    predictor: Predictor, split: Split, metrics: Mapping[str, Callable[[], Metric]]
) -> Evaluation:
    """Predict the labels of a split and compare them with the gold ones.

    A sentence that has no labels for a task does not count for it.

    Args:
        predictor: The model at work.
        split: The sentences.
        metrics: Task to what makes its (empty) metric.
    """
    counted = {task: make() for task, make in metrics.items()}
    unseen: dict[str, Counter[str]] = {task: Counter() for task in metrics}
    for task, gold, predicted in label(predictor, split, list(metrics)):
        counted[task].update(gold, predicted)
        unseen[task] += predictor.batcher.targets[task].unseen(gold)
    return Evaluation(counted, {task: labels for task, labels in unseen.items() if labels})


def label(
    predictor: Predictor, split: Split, tasks: Sequence[str]
) -> Iterator[tuple[str, list[Labels], list[Labels]]]:
    """Yield tasks with the gold and the predicted labels of some more sentences of a split.

    Sentences without labels for a task are left out.
    """
    for start in range(0, len(split), _CHUNK):
        examples = split.examples(range(start, min(start + _CHUNK, len(split))))
        predictions = predictor.predict(examples, tasks)
        for task in tasks:
            comparable = predictor.batcher.targets[task].comparable
            pairs = [
                (gold, prediction[task])
                for example, prediction in zip(examples, predictions, strict=True)
                if task in example.labels and (gold := comparable(example.labels[task])) is not None
            ]
            yield task, [pair[0] for pair in pairs], [pair[1] for pair in pairs]
