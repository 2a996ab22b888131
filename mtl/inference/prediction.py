"""Predictions as users see them: one per sentence, with the labels of every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from mtl.inference.forms import (
    DIGITS,
    confidence_to_json,
    confidence_to_text,
    fraction,
    labels_to_json,
    labels_to_text,
    token_confidence,
    token_labels,
)
from mtl.inference.inputs import Offsets, Sentence
from mtl.inference.task_prediction import Confidence, TaskPrediction
from mtl.text.spans import Scheme, read_spans

_SHORT = 60
"""Characters of a text in `repr`."""


class TextSpan(NamedTuple):
    """A labelled span of a sentence.

    Args:
        type: Its type, such as "PER".
        tokens: Its first token and the token after its last one, counted from 0.
        text: Its text.
        start: The position of its first character in the input; None if the input was words.
        end: The position after its last character.
        confidence: The joint probability of its tags, if requested.
    """

    type: str
    tokens: tuple[int, int]
    text: str
    start: int | None = None
    end: int | None = None
    confidence: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the span as JSON types, without fields that are None."""
        record: dict[str, Any] = {"type": self.type, "tokens": list(self.tokens)}
        if self.start is not None:
            record |= {"start": self.start, "end": self.end}
        record["text"] = self.text
        if self.confidence is not None:
            record["confidence"] = round(self.confidence, DIGITS)
        return record


# Not frozen: that doubles the time to make one, and there is one per sentence.
@dataclass(slots=True, repr=False, eq=False)
class Prediction:
    """The predictions of several tasks for one sentence, or for a pair of sentences.

    `print` shows a table of the tokens and their labels. `prediction["ner"]` is the
    `TaskPrediction` of a task.

    Args:
        sentence: The sentence.
        by_task: Task to its prediction.
        schemes: Task to the scheme of its span tags; None, or absent, for tasks without spans.
    """

    sentence: Sentence
    by_task: Mapping[str, TaskPrediction]
    schemes: Mapping[str, Scheme | None]

    def __getitem__(self, task: str) -> TaskPrediction:
        return self.by_task[task]

    @property
    def tokens(self) -> tuple[str, ...]:
        """The words of the sentence, for pairs of the first one."""
        return self.sentence.tokens

    @property
    def tokens_b(self) -> tuple[str, ...] | None:
        """The words of the second sentence of a pair, else None."""
        return self.sentence.tokens_b

    @property
    def text(self) -> str | None:
        """The raw text of the (first) sentence; None if the input was words."""
        return self.sentence.text

    @property
    def offsets(self) -> Offsets:
        """Start and end of each word in the input, in characters; empty if the input was words."""
        return self.sentence.offsets

    @property
    def labels(self) -> dict[str, Any]:
        """Task to labels: a list with one label per token, one label, a sorted list, or a number.

        `TrainedModel.predict` returns the same lists.
        """
        return {task: labels_to_json(own.labels) for task, own in self.by_task.items()}

    @property
    def confidence(self) -> dict[str, Confidence]:
        """Task to confidence, for tasks that have one; see `TaskPrediction`."""
        return {
            task: own.confidence for task, own in self.by_task.items() if own.confidence is not None
        }

    @property
    def attention(self) -> dict[str, Tensor]:
        """Task to attention weights, for tasks whose attention was requested."""
        return {
            task: own.attention for task, own in self.by_task.items() if own.attention is not None
        }

    @property
    def attention_b(self) -> dict[str, Tensor]:
        """Task to attention weights in the second sentence of a pair."""
        return {
            task: own.attention_b
            for task, own in self.by_task.items()
            if own.attention_b is not None
        }

    @property
    def spans(self) -> dict[str, list[TextSpan]]:
        """Task to its spans, for tasks with span tags."""
        return {
            task: self._spans(own)
            for task, own in self.by_task.items()
            if self.schemes.get(task) and token_labels(own.labels) is not None
        }

    def _spans(self, prediction: TaskPrediction) -> list[TextSpan]:
        if prediction.spans is None:
            tags = token_labels(prediction.labels) or ()
            return [self._span(*span) for span in read_spans(tags)]
        return [self._span(*span, confidence) for span, confidence in prediction.spans]

    def _span(self, kind: str, start: int, end: int, confidence: float | None = None) -> TextSpan:
        sentence = self.sentence
        if sentence.text is None or not sentence.offsets:
            text = " ".join(sentence.tokens[start:end])
            return TextSpan(kind, (start, end), text, confidence=confidence)
        first, last = sentence.offsets[start][0], sentence.offsets[end - 1][1]
        text = sentence.text[first - sentence.start : last - sentence.start]
        return TextSpan(kind, (start, end), text, first, last, confidence)

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as JSON types: the record that `mtl predict` writes as JSONL."""
        sentence = self.sentence
        record: dict[str, Any] = dict(sentence.fields or {})
        if sentence.text is not None:
            record["text"] = sentence.text
        record["tokens"] = list(sentence.tokens)
        if sentence.tokens_b is not None:
            if sentence.text_b is not None:
                record["text_b"] = sentence.text_b
            record["tokens_b"] = list(sentence.tokens_b)
        if sentence.offsets:
            record["offsets"] = [list(pair) for pair in sentence.offsets]
        record |= self.labels
        details = {
            "spans": {task: [s.to_dict() for s in spans] for task, spans in self.spans.items()},
            "confidence": {t: confidence_to_json(c) for t, c in self.confidence.items()},
            "attention": {task: _rounded(w) for task, w in self.attention.items()},
            "attention_b": {task: _rounded(w) for task, w in self.attention_b.items()},
        }
        return record | {name: by_task for name, by_task in details.items() if by_task}

    def __str__(self) -> str:
        columns = {"token": list(self.tokens)}
        lines = []
        for task, own in self.by_task.items():
            tags, confidence = token_labels(own.labels), token_confidence(own.confidence)
            if tags is None:
                lines.append(f"{task}: {_described(own)}")
                continue
            columns[task] = list(tags)
            if confidence is not None:
                columns[f"{task}.confidence"] = list(map(fraction, confidence))
        if len(columns) > 1:
            return "\n".join([*lines, *_table(columns)])
        return "\n".join([self._shown_text(), *lines])

    def __repr__(self) -> str:
        text = self._shown_text()
        text = text if len(text) <= _SHORT else f"{text[:_SHORT]}…"
        answers = (f"{task}={_described(own)}" for task, own in self.by_task.items())
        return f"<Prediction {text!r}: {', '.join(answers)}>"

    def _shown_text(self) -> str:
        sentence = self.sentence
        first = " ".join(sentence.tokens) if sentence.text is None else sentence.text
        if sentence.tokens_b is None:
            return first
        second = " ".join(sentence.tokens_b) if sentence.text_b is None else sentence.text_b
        return f"{first} | {second}"


def _described(prediction: TaskPrediction) -> str:
    """Return labels on one line; for labels of sentences with their confidence."""
    text = labels_to_text(prediction.labels)
    if prediction.confidence is None or token_labels(prediction.labels) is not None:
        return text
    return f"{text} ({confidence_to_text(prediction.confidence)})"


def _table(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the lines of a table with aligned columns."""
    cells = [[name, *column] for name, column in columns.items()]
    widths = [max(map(len, column)) for column in cells]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*cells, strict=True)
    ]


def _rounded(weights: Tensor) -> Any:
    return weights.double().round(decimals=DIGITS).tolist()
