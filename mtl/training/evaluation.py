"""Scores of a model on labelled sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mtl.data.corpus import Split
from mtl.inference.inputs import Sentence
from mtl.inference.predictor import CHUNK, Predictor, chunks
from mtl.metrics.base import Metric, Unit, defined
from mtl.text.example import Labels


@dataclass(frozen=True)
class Evaluation:
    """The scores of some tasks on a split. `print` shows them, one task per line.

    Args:
        metrics: Task to its metric, which has counted all sentences.
        unseen: Task to the gold labels that are not in the training data, with their counts. They
            count as errors.
    """

    metrics: Mapping[str, Metric]
    unseen: Mapping[str, Counter[str]] = field(default_factory=dict)

    def scores(self) -> dict[str, dict[str, float]]:
        """Return the scores of each task by name; the first one is the main score of the task.

        Scores are NaN where the split does not allow any, for example without gold labels.
        """
        return {task: metric.compute() for task, metric in self.metrics.items()}

    def units(self) -> dict[str, Unit]:
        """Return the unit of the scores of each task."""
        return {task: metric.unit for task, metric in self.metrics.items()}

    def __str__(self) -> str:
        return "\n".join(
            f"{task}: {', '.join(f'{name} {_text(value)}' for name, value in scores.items())}"
            for task, scores in self.scores().items()
        )

    def unscored(self) -> list[str]:
        """Return the tasks that cannot be scored on the split."""
        return [task for task, own in self.scores().items() if all(map(math.isnan, own.values()))]

    def to_json(self) -> dict[str, dict[str, float | None]]:
        """Return the scores of each task by name as JSON types, null where they are undefined."""
        return {
            task: {name: defined(score) for name, score in own.items()}
            for task, own in self.scores().items()
        }

    @classmethod
    def joined(cls, parts: Iterable[Evaluation]) -> Evaluation:
        """Return one evaluation from several evaluations of different tasks."""
        metrics: dict[str, Metric] = {}
        unseen: dict[str, Counter[str]] = {}
        for part in parts:
            metrics |= part.metrics
            unseen |= part.unseen
        return cls(metrics, unseen)


def _text(score: float) -> str:
    return "–" if math.isnan(score) else f"{score:z.4f}"


def gather(predictor: Predictor, split: Split, task: str) -> tuple[Tensor, Tensor] | None:
    """Return the logits of all labelled sentences of a split, `[N, S]`, and their targets.

    None if no sentence is labelled.

    Args:
        predictor: The predictor of the model.
        split: The sentences.
        task: A task with labels per sentence.
    """
    labelled = (example for example in split if task in example.labels)
    logits, gold = [], []
    for prediction in predictor.run(map(Sentence, labelled), [task], logits=True):
        logits.append(prediction[task].logits)
        gold.append(prediction.sentence.example.labels[task])
    if not gold:
        return None
    stacked = torch.stack([row for row in logits if row is not None])
    return stacked, predictor.batcher.targets[task].tensor(gold, 0).to(stacked.device)


def evaluate(
    predictor: Predictor, split: Split, metrics: Mapping[str, Callable[[], Metric]]
) -> Evaluation:
    """Predict the labels of a split and compare them with the gold labels.

    Sentences without gold labels for a task do not count for the task.

    Args:
        predictor: The predictor of the model.
        split: The sentences.
        metrics: Task to a function that makes its (empty) metric.
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
    """Yield task, gold and predicted labels, for the sentences of a split chunk by chunk.

    Sentences without labels for a task are left out.
    """
    predictions = predictor.run(map(Sentence, split), tasks)
    for chunk in chunks(predictions, CHUNK):
        for task in tasks:
            comparable = predictor.batcher.targets[task].comparable
            pairs = [
                (gold, prediction[task].labels)
                for prediction in chunk
                if task in (labels := prediction.sentence.example.labels)
                and (gold := comparable(labels[task])) is not None
            ]
            yield task, [gold for gold, _ in pairs], [predicted for _, predicted in pairs]
