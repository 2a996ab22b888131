"""Scores of a model on labelled sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import compress
from typing import Any, TypeVar

import torch
from torch import Tensor

from mtl.data.corpus import Split
from mtl.inference.abstention import give_answers
from mtl.inference.base import BasePredictor
from mtl.inference.cutting import CHUNK, chunks
from mtl.inference.inputs import Sentence
from mtl.inference.prediction import aligned
from mtl.inference.task_prediction import TaskPrediction
from mtl.metrics.base import Metric, Pair, Unit
from mtl.metrics.calibration import Reliability
from mtl.metrics.span_f1 import SpanF1
from mtl.metrics.spread import scores_to_json
from mtl.text.example import Example, Labels
from mtl.training.answers import AnswerCounts, answered_part

_Key = TypeVar("_Key")


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The scores of some tasks on a split. `print` shows them, with a table of the labels.

    Args:
        metrics: Task to its metric, which has counted all sentences.
        unseen: Task to the gold labels that are not in the training data, with their counts. They
            count as errors.
        pairs: Task to the numbers of pairs of a gold and a predicted label.
        gold: Task to the gold values of its labelled sentences, made of JSON types, if requested:
            a list of labels per sentence (taggers), one label, a sorted list for a set, …
        predicted: Task to the predictions for the same sentences, if requested.
        reliability: Task to its answers by kind ("words", "spans", …) with their confidences, if
            requested; see `AnswerCounts`. Empty for tasks without confidences.
        answered: Task to the metric of the answers above a threshold, if one was given.
        examples: Task to the sentences of `gold` and `predicted`, if requested.
        losses: Task to its mean loss per label in nats, if the run selects its epoch by it.
    """

    metrics: Mapping[str, Metric]
    unseen: Mapping[str, Counter[str]] = field(default_factory=dict)
    pairs: Mapping[str, Counter[Pair]] = field(default_factory=dict)
    gold: Mapping[str, list[Any]] = field(default_factory=dict)
    predicted: Mapping[str, list[Any]] = field(default_factory=dict)
    reliability: Mapping[str, Mapping[str, Reliability]] = field(default_factory=dict)
    answered: Mapping[str, Metric] = field(default_factory=dict)
    examples: Mapping[str, list[Example]] = field(default_factory=dict)
    losses: Mapping[str, float] = field(default_factory=dict)

    def scores(self) -> dict[str, dict[str, float]]:
        """Return the scores of each task by name; the first one is the main score of the task.

        Scores are NaN where the split does not allow any, for example without gold labels.
        """
        return {task: metric.compute() for task, metric in self.metrics.items()}

    def units(self) -> dict[str, Unit]:
        """Return the unit of the scores of each task."""
        return {task: metric.unit for task, metric in self.metrics.items()}

    def per_label(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return precision, recall, f1 and support by task and label (or span type).

        Tasks without labels, such as numbers, are left out.
        """
        tables = {task: metric.per_label() for task, metric in self.metrics.items()}
        return {task: table for task, table in tables.items() if table}

    def confusion(self) -> dict[str, dict[str, dict[str, int]]]:
        """Return the number of cases by task, gold label and predicted label; 0 is left out.

        For spans, a case is a pair of the same first and last token, and labels are span types;
        for sets it is one label. `""` is the label of a span, or of a label of a set, that only
        the other side has.
        """
        found: dict[str, dict[str, dict[str, int]]] = {}
        for task, pairs in self.pairs.items():
            rows = found.setdefault(task, {})
            # An empty string is not a label, so it cannot be mistaken for one.
            named = {(gold or "", guess or ""): count for (gold, guess), count in pairs.items()}
            for gold, guess in sorted(named):
                rows.setdefault(gold, {})[guess] = named[gold, guess]
        return found

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return everything by task, made of JSON types, as `mtl evaluate --json` prints it.

        Each task has its scores by name, and, if they are not empty, `per_label`, `confusion`,
        `unseen`, `gold`, `predicted`, `calibration` (by kind of answer) and `answered`, the scores
        of the answers above a threshold.
        """
        details: dict[str, Mapping[str, Any]] = {
            "per_label": self.per_label(),
            "confusion": self.confusion(),
            "unseen": {task: dict(labels) for task, labels in self.unseen.items()},
            "gold": self.gold,
            "predicted": self.predicted,
            "calibration": {
                task: {kind: answers.to_dict() for kind, answers in own.items()}
                for task, own in self.reliability.items()
            },
            "answered": scores_to_json({t: own.compute() for t, own in self.answered.items()}),
        }
        return {
            task: scores | {name: own[task] for name, own in details.items() if own.get(task)}
            for task, scores in self.to_json().items()
        }

    def __str__(self) -> str:
        lines = []
        tables = self.per_label()
        for task, scores in self._shown().items():
            lines.append(f"{task}: {scores}")
            table = tables.get(task, {})
            columns = {"label": list(table)}
            for name in ("precision", "recall", "f1"):
                columns[name] = [f"{row[name]:.4f}" for row in table.values()]
            columns["support"] = [f"{row['support']:.0f}" for row in table.values()]
            lines += [f"  {line}" for line in aligned(columns)] if table else []
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Evaluation {'; '.join(f'{t}: {s}' for t, s in self._shown().items())}>"

    def _repr_html_(self) -> str:
        """Return the scores, tables of the labels and confusions for a notebook."""
        from mtl.metrics.pictures import evaluation_parts
        from mtl.pages import render

        found = evaluation_parts(self.metrics, self.pairs, self.reliability)
        return render("notebook.html", parts=list(found))

    def _shown(self) -> dict[str, str]:
        """Return the scores of each task on one line."""
        return {
            task: ", ".join(f"{name} {_text(value)}" for name, value in scores.items())
            for task, scores in self.scores().items()
        }

    def unscored(self) -> list[str]:
        """Return the tasks that cannot be scored on the split."""
        return [task for task, own in self.scores().items() if all(map(math.isnan, own.values()))]

    def to_json(self) -> dict[str, dict[str, float | None]]:
        """Return the scores of each task by name as JSON types, null where they are undefined."""
        return scores_to_json(self.scores())

    @classmethod
    def joined(cls, parts: Iterable[Evaluation]) -> Evaluation:
        """Return one evaluation from several evaluations of different tasks."""
        joined = cls({})
        for part in parts:
            both = ({**getattr(joined, f.name), **getattr(part, f.name)} for f in fields(cls))
            joined = cls(*both)
        return joined

    @classmethod
    def merged(cls, parts: Iterable[Evaluation]) -> Evaluation:
        """Return one evaluation from evaluations of the same tasks on parts of a split."""
        first, *others = parts
        for other in others:
            for task, metric in first.metrics.items():
                metric.merge(other.metrics[task])
        unseen: dict[str, Counter[str]] = {task: Counter() for task in first.metrics}
        pairs: dict[str, Counter[Pair]] = {task: Counter() for task in first.metrics}
        for part in (first, *others):
            for task in first.metrics:
                unseen[task] += part.unseen.get(task, Counter())
                pairs[task].update(part.pairs.get(task, {}))
        return cls(first.metrics, _counted(unseen), _counted(pairs))


def _text(score: float) -> str:
    return "–" if math.isnan(score) else f"{score:z.4f}"


def gather(predictor: BasePredictor, split: Split, task: str) -> tuple[Tensor, Tensor] | None:
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
    return stacked, predictor.targets[task].tensor(gold, 0).to(stacked.device)


def evaluate(
    predictor: BasePredictor,
    split: Split,
    metrics: Mapping[str, Callable[[], Metric]],
    *,
    labels: bool = False,
    confidence: bool = False,
    abstain: float | None = None,
) -> Evaluation:
    """Predict the labels of a split and compare them with the gold labels.

    Sentences without gold labels for a task do not count for the task.

    Args:
        predictor: The predictor of the model.
        split: The sentences.
        metrics: Task to a function that makes its (empty) metric.
        labels: Whether to keep the sentences with their gold and predicted labels.
        confidence: Whether to collect the confidences of the predictions.
        abstain: The threshold of `Evaluation.answered`; None: none.
    """
    confidence = confidence or abstain is not None
    answers = {
        task: AnswerCounts(spans=bool(predictor.schemes.get(task)))
        for task in (metrics if confidence else ())
    }
    sure = {task: make() for task, make in metrics.items() if abstain is not None}
    counted = {task: make() for task, make in metrics.items()}
    unseen: dict[str, Counter[str]] = {task: Counter() for task in metrics}
    pairs: dict[str, Counter[Pair]] = {task: Counter() for task in metrics}
    kept_labels: tuple[dict[str, list[Any]], ...] = ({}, {})
    examples: dict[str, list[Example]] = {}
    ranked = {task for task, metric in counted.items() if metric.ranked}
    for task, own, gold, predictions in labelled_predictions(
        predictor, split, list(metrics), confidence=confidence, logits=bool(ranked)
    ):
        sides = gold, [guess.labels for guess in predictions]
        names = predictor.head(task).labels
        compared = [_ranking(guess, names) for guess in predictions] if task in ranked else sides[1]
        target = predictor.targets[task]
        if confidence:
            for right, guess in zip(gold, predictions, strict=True):
                answers[task].add(right, guess)
        if abstain is not None:
            kept = [give_answers(guess, abstain) for guess in predictions]
            spans = isinstance(sure[task], SpanF1)
            part = list(answered_part(gold, predictions, kept, spans=spans))
            if task in ranked:
                answered = (own.coverage != (0, 1) for own in kept)
                part = list(compress(zip(gold, compared, strict=True), answered))
            sure[task].update([pair[0] for pair in part], [pair[1] for pair in part])
        counted[task].update(gold, compared)
        pairs[task].update(counted[task].pairs(gold, compared))
        unseen[task] += target.unseen(sides[0])
        if labels:
            examples.setdefault(task, []).extend(own)
            for kept_of, values in zip(kept_labels, sides, strict=True):
                kept_of.setdefault(task, []).extend(map(target.plain, values))
    reliability = {task: found for task, own in answers.items() if (found := own.reliability())}
    golds, predicted = kept_labels
    return Evaluation(
        counted, _counted(unseen), _counted(pairs), golds, predicted, reliability, sure, examples
    )


def _counted(counters: Mapping[str, Counter[_Key]]) -> dict[str, Counter[_Key]]:
    """Return the counters that are not empty."""
    return {task: counter for task, counter in counters.items() if counter}


def _ranking(prediction: TaskPrediction, labels: Sequence[str]) -> Labels:
    """Return the labels of a task in descending order of their probabilities."""
    assert prediction.logits is not None
    order = prediction.logits.sort(descending=True, stable=True).indices
    return tuple(labels[i] for i in order.tolist())


def labelled_predictions(
    predictor: BasePredictor,
    split: Split,
    tasks: Sequence[str],
    *,
    confidence: bool = False,
    logits: bool = False,
) -> Iterator[tuple[str, list[Example], list[Labels], list[TaskPrediction]]]:
    """Yield task, labelled sentences, gold labels and predictions, chunk by chunk.

    Sentences without labels for a task are left out.

    Args:
        predictor: The predictor of the model.
        split: The sentences.
        tasks: The tasks.
        confidence: Whether to compute the probabilities of labels.
        logits: Whether to return the logits of tasks with one label per sentence.
    """
    predictions = predictor.run(map(Sentence, split), tasks, confidence=confidence, logits=logits)
    for chunk in chunks(predictions, CHUNK):
        for task in tasks:
            comparable = predictor.targets[task].comparable
            found = [
                (example, gold, prediction[task])
                for prediction in chunk
                if task in (example := prediction.sentence.example).labels
                and (gold := comparable(example.labels[task])) is not None
            ]
            yield task, [o[0] for o in found], [o[1] for o in found], [o[2] for o in found]
