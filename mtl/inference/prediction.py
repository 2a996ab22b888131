"""Predictions for users: one per sentence, with the labels of all tasks."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from mtl.errors import MtlError
from mtl.inference.confidence import DIGITS, confidence_text, rounded
from mtl.inference.inputs import Offsets, Sentence
from mtl.inference.task_prediction import Confidence, Path, TaskPrediction
from mtl.text.example import ABSENT, of_tokens
from mtl.text.spans import OUTSIDE, Scheme, read_spans

if TYPE_CHECKING:
    from markupsafe import Markup
    from torch import Tensor

    from mtl.targets import Target

_SHORT = 60
"""The most characters of the text in `repr`."""
_SHORT_TOKENS = 20
"""The most tokens whose values are in `repr`."""


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


# Not frozen: `frozen` doubles the time to create an object, and each sentence needs one.
@dataclass(slots=True, repr=False, eq=False)
class Prediction:
    """The predictions of several tasks for one sentence, or for a pair of sentences.

    `print` shows a table of the tokens and their labels. `prediction["ner"]` is the
    `TaskPrediction` of a task.

    Args:
        sentence: The sentence.
        by_task: Task to its prediction.
        targets: Task to its target.
        schemes: Task to the scheme of its span tags; None, or absent, for tasks without spans.
    """

    sentence: Sentence
    by_task: Mapping[str, TaskPrediction]
    targets: Mapping[str, Target]
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
    def is_blank(self) -> bool:
        """Whether the sentence, or one sentence of a pair, has no words."""
        return not self.tokens or self.tokens_b == ()

    def lacks_label(self, task: str) -> bool:
        """Return whether the sentence has no label: it has no words, or the model is not sure."""
        if self.targets[task].level == "token":
            return False
        return self.is_blank or self.by_task[task].coverage == (0, 1)

    @property
    def labels(self) -> dict[str, Any]:
        """Task to the value of the sentence, or to a list with one value per token.

        A value is a label, a sorted list of labels, a number, or a dictionary of probabilities.

        `TrainedModel.predict` returns the same lists. Labels that the model left out, since it is
        not sure of them, are None.
        """
        return {
            task: None
            if p.coverage == (0, 1) and self.lacks_label(task)
            else self.targets[task].plain(p.labels)
            for task, p in self.by_task.items()
        }

    @property
    def confidence(self) -> dict[str, Confidence]:
        """Task to confidence, for tasks that have one; see `TaskPrediction`."""
        return {task: p.confidence for task, p in self.by_task.items() if p.confidence is not None}

    @property
    def attention(self) -> dict[str, Tensor]:
        """Task to attention weights, for tasks whose attention was requested."""
        return {task: p.attention for task, p in self.by_task.items() if p.attention is not None}

    @property
    def attention_b(self) -> dict[str, Tensor]:
        """Task to attention weights in the second sentence of a pair."""
        return {
            task: p.attention_b for task, p in self.by_task.items() if p.attention_b is not None
        }

    @property
    def spans(self) -> dict[str, list[TextSpan]]:
        """Task to its spans, for tasks with span tags."""
        return {
            task: self._spans(prediction)
            for task, prediction in self.by_task.items()
            if self.schemes.get(task) and isinstance(prediction.labels, tuple)
        }

    def _spans(self, prediction: TaskPrediction) -> list[TextSpan]:
        if prediction.spans is None:
            tags = (OUTSIDE if tag is None else tag for tag in of_tokens(prediction.labels))
            return [self._span(*span) for span in read_spans(tags)]
        return [self._span(*span, confidence) for span, confidence in prediction.spans]

    def _span(self, kind: str, start: int, end: int, confidence: float | None = None) -> TextSpan:
        sentence = self.sentence
        if sentence.text is None or not sentence.offsets:
            text = " ".join(sentence.tokens[start:end])
            return TextSpan(kind, (start, end), text, confidence=confidence)
        # Cut from the raw text: joined words would not have its original spaces.
        first, last = sentence.offsets[start][0], sentence.offsets[end - 1][1]
        text = sentence.text[first - sentence.start : last - sentence.start]
        return TextSpan(kind, (start, end), text, first, last, confidence)

    def to_dict(self, renamed: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the prediction as JSON types: the record that `mtl predict` writes as JSONL.

        Fields of the input keep their names and values. The label of a text without words is None.

        Args:
            renamed: Name of a field of the prediction to its name in the record; None: new names
                where the input has a field of the same name.

        Raises:
            MtlError: The input has a field of a name that `renamed` leaves to the prediction.
        """
        return merge_fields(self.sentence.fields or {}, self.own_fields(), renamed)

    def own_fields(self) -> dict[str, Any]:
        """Return the record of `to_dict` without the fields of the input."""
        sentence = self.sentence
        record: dict[str, Any] = {}
        if sentence.text is not None:
            record["text"] = sentence.text
        record["tokens"] = list(sentence.tokens)
        if sentence.tokens_b is not None:
            if sentence.text_b is not None:
                record["text_b"] = sentence.text_b
            record["tokens_b"] = list(sentence.tokens_b)
        if sentence.offsets:
            record["offsets"] = [list(pair) for pair in sentence.offsets]
        blank = set(filter(self.lacks_label, self.by_task))
        record |= self.labels | dict.fromkeys(blank)
        details = {
            "paths": {task: list(map(_path, own.paths)) for task, own in self._with_paths()},
            "spans": {task: [s.to_dict() for s in spans] for task, spans in self.spans.items()},
            "confidence": {
                task: rounded(c) for task, c in self.confidence.items() if task not in blank
            },
            "attention": {task: _rounded(w) for task, w in self.attention.items()},
            "attention_b": {task: _rounded(w) for task, w in self.attention_b.items()},
        }
        # Fields that were not requested are left out, to keep the records short.
        return record | {name: by_task for name, by_task in details.items() if by_task}

    def _with_paths(self) -> Iterator[tuple[str, TaskPrediction]]:
        return ((task, own) for task, own in self.by_task.items() if own.paths)

    def __str__(self) -> str:
        columns = {"token": list(self.tokens)}
        lines = []
        for task in self.by_task:
            task_columns = self.columns(task)
            if task_columns is None:
                lines.append(f"{task}: {self.described(task)}")
            else:
                columns |= task_columns
        if len(columns) > 1:
            return "\n".join([*lines, *aligned(columns)])
        return "\n".join([self.shown_text(), *lines])

    def __repr__(self) -> str:
        text = self.shown_text()
        text = text if len(text) <= _SHORT else f"{text[:_SHORT]}…"
        answers = (f"{task}={self.described(task, _SHORT_TOKENS)}" for task in self.by_task)
        return f"<Prediction {text!r}: {', '.join(answers)}>"

    def _repr_html_(self) -> str | None:
        """Return the sentence for a notebook: coloured spans, labels below words, or a label."""
        try:
            from mtl.pages import render
        except ImportError:  # mtl-runtime has a copy of this module, but no pages
            return None
        return render("notebook.html", parts=prediction_parts(self))

    def columns(self, task: str) -> dict[str, list[str]] | None:
        """Return a column of values per token, and one of confidences if they were requested.

        None if the task has one value for the whole sentence.
        """
        prediction = self.by_task[task]
        if not isinstance(prediction.labels, tuple):
            return None
        columns = {task: list(map(self.targets[task].item_text, prediction.labels))}
        if isinstance(prediction.confidence, tuple):
            columns[f"{task}.confidence"] = list(map(confidence_text, prediction.confidence))
        for rank, path in enumerate(prediction.paths[1:], 2):
            columns[f"{task}.{rank}"] = list(path.labels)
        return columns

    def described(self, task: str, tokens: int | None = None) -> str:
        """Return the values of a task on one line; the value of a sentence with its confidence.

        Args:
            task: The task.
            tokens: The most tokens whose values are included; None includes all.
        """
        if self.lacks_label(task):
            return ABSENT
        (labels, confidence, *_), target = self.by_task[task], self.targets[task]
        if isinstance(labels, tuple):
            return target.text(labels[:tokens])
        text = target.text(labels)
        return text if confidence is None else f"{text} ({confidence_text(confidence)})"

    def shown_text(self) -> str:
        """Return the text of the sentence, or of both sentences of a pair."""
        sentence = self.sentence
        first = " ".join(sentence.tokens) if sentence.text is None else sentence.text
        if sentence.tokens_b is None:
            return first
        second = " ".join(sentence.tokens_b) if sentence.text_b is None else sentence.text_b
        return f"{first} | {second}"


def new_names(own: Iterable[str], taken: Container[str]) -> dict[str, str]:
    """Return new names for the fields of a prediction whose names the input has already.

    >>> new_names(["ner", "pos"], {"ner": "gold"})
    {'ner': 'predicted_ner'}
    >>> new_names(["y", "y.confidence"], {"y": "gold"})
    {'y': 'predicted_y', 'y.confidence': 'predicted_y.confidence'}
    >>> new_names(["y"], {"y": "gold", "predicted_y": "of another model"})
    {'y': 'predicted_y_2'}
    """
    renamed: dict[str, str] = {}
    own = set(own)
    for name in sorted(own):
        task, dot, detail = name.rpartition(".")  # such as ner.confidence
        wanted = renamed.get(task, task) + dot + detail
        for free in _candidates(wanted):
            if free not in taken and (free == name or free not in own):
                break
        if free != name:
            renamed[name] = free
    return renamed


def _candidates(name: str) -> Iterator[str]:
    """Yield a name and its replacements: `predicted_y`, `predicted_y_2` and so on for `y`."""
    prefixed = name if name.startswith("predicted_") else f"predicted_{name}"
    yield from dict.fromkeys([name, prefixed])
    for number in count(2):
        yield f"{prefixed}_{number}"


def merge_fields(
    fields: Mapping[str, Any], own: Mapping[str, Any], renamed: Mapping[str, str] | None
) -> dict[str, Any]:
    """Return the fields of an input, and then of its prediction; see `Prediction.to_dict`."""
    if renamed is None:
        renamed = new_names(own, fields)
    written = {renamed.get(name, name): value for name, value in own.items()}
    if clash := [name for name in written if name in fields]:
        raise MtlError(
            f"the field {clash[0]!r} has the name of a prediction, and the first records do not "
            "have it; rename it, or add it to the first record as null"
        )
    return {**fields, **written}


def aligned(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the lines of a table with aligned columns, from the cells by name of column."""
    cells = [[name, *column] for name, column in columns.items()]
    widths = [max(map(len, column)) for column in cells]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*cells, strict=True)
    ]


def _path(path: Path) -> dict[str, Any]:
    return {"labels": list(path.labels), "probability": rounded(path.probability)}


def _rounded(weights: Tensor) -> Any:
    return weights.double().round(decimals=DIGITS).tolist()


def prediction_parts(prediction: Prediction) -> list[Markup]:
    """Return the parts of a page that show a prediction, task by task."""
    from mtl.inference.attention import rows_of
    from mtl.pages import parts, text

    spans = prediction.spans
    whole = all(not isinstance(own.labels, tuple) for own in prediction.by_task.values())
    found = [text.spans([prediction.shown_text()], [])] if whole else []
    for task, own in prediction.by_task.items():
        columns = prediction.columns(task)
        if task in spans:
            marks = [(*span.tokens, span.type) for span in spans[task]]
            found += [parts.heading(task), text.spans(prediction.tokens, marks)]
        elif columns is not None:
            found += [parts.heading(task), text.labelled(prediction.tokens, columns[task])]
        else:
            found.append(parts.heading(f"{task}: {prediction.described(task)}"))
        sides = ((prediction.tokens, own.attention), (prediction.tokens_b, own.attention_b))
        found += [
            text.shaded(tokens, row)
            for tokens, weights in sides
            if tokens is not None and weights is not None
            for row in rows_of(weights)
        ]
    return found
