"""The output of `mtl predict`: CoNLL, JSONL, and tables."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from mtl.cli.table_input import Row
from mtl.errors import MtlError
from mtl.inference.confidence import confidence_text, fraction, rounded
from mtl.inference.prediction import Prediction, merge_fields, new_names

if TYPE_CHECKING:
    from torch import Tensor

    from mtl.cli.table_input import Table
    from mtl.targets import Target
    from mtl.trained_model import TrainedModel

Renamed: TypeAlias = Mapping[str, str]
"""Name of a field of a prediction to its name in the output."""


def write_conll(prediction: Prediction, renamed: Renamed | None = None) -> str:
    """Return one line per word, with a column per tagger, after a comment per classifier.

    Probabilities of tags, and attention weights of words, have columns of their own.
    """
    own, columns = _conll_comments(prediction)
    comments = merge_fields(prediction.sentence.fields or {}, own, renamed)
    lines = [f"# {one_line(name)} = {one_line(_plain(own))}" for name, own in comments.items()]
    tokens = map(_cell, prediction.sentence.tokens)
    rows = zip(tokens, *columns.values(), strict=True)
    return "\n".join([*lines, *("\t".join(row) for row in rows), "", ""])


def _conll_comments(prediction: Prediction) -> tuple[dict[str, str], dict[str, Sequence[str]]]:
    """Return the comments of a prediction, and its columns without the words."""
    sentence = prediction.sentence
    comments: dict[str, str] = {}
    if sentence.text is not None:
        comments["text"] = sentence.text
    if sentence.tokens_b is not None:
        comments["text_b"] = sentence.text_b or " ".join(sentence.tokens_b)
    if sentence.offsets:
        comments["start"] = str(sentence.offsets[0][0])
    columns: dict[str, Sequence[str]] = {}
    for task, own in prediction.by_task.items():
        by_token = prediction.columns(task)
        if by_token is not None:
            columns |= by_token
        elif prediction.lacks_label(task):
            comments[task] = "_"
        else:
            comments[task] = prediction.targets[task].text(own.labels)
            if own.confidence is not None:
                comments[f"{task}.confidence"] = confidence_text(own.confidence)
        if own.paths:
            comments[f"{task}.probabilities"] = " ".join(
                confidence_text(path.probability) for path in own.paths
            )
        columns |= _attention_columns(f"{task}.attention", own.attention)
        second = _attention_columns(f"{task}.attention_b", own.attention_b)
        comments |= {name: " ".join(weights) for name, weights in second.items()}
    comments["columns"] = " ".join(["token", *columns])
    return comments, columns


def _cell(token: str) -> str:
    """Return a word as a cell of CoNLL: not empty, and without tabs and line ends."""
    text = re.sub(r"[\0\t\r\n]+", " ", token)
    return text if text.strip(" ") else "_"


def _attention_columns(name: str, weights: Tensor | None) -> dict[str, Sequence[str]]:
    """Return token weights, `[T]` or `[N, T]`, by the names of their columns."""
    if weights is None:
        return {}
    from mtl.inference.attention import rows_of

    rows = rows_of(weights)
    names = [f"{name}.{hop}" for hop in range(1, len(rows) + 1)] if len(rows) > 1 else [name]
    return {own: [*map(fraction, row)] for own, row in zip(names, rows, strict=True)}


def write_jsonl(prediction: Prediction, renamed: Renamed | None = None) -> str:
    """Return a prediction as one JSON object; see `Prediction.to_dict`."""
    return json.dumps(prediction.to_dict(renamed), ensure_ascii=False) + "\n"


def one_line(text: str) -> str:
    """Return a text without line ends."""
    return " ".join(text.replace("\0", " ").split())


@dataclass
class LineWriter:
    """Writes predictions as CoNLL or JSONL.

    Args:
        write: Returns a prediction as text, under the names of the output.
        names: Returns the names of the fields of a prediction.
    """

    write: Callable[[Prediction, Renamed | None], str]
    names: Callable[[Prediction], Iterable[str]]
    renamed: dict[str, str] = field(default_factory=dict, init=False)
    unnamed: ClassVar[str] = ""

    def begin(self, first: Sequence[Prediction]) -> str:
        """Choose the names of the output after a look at the first predictions; return no text."""
        fields = {name for prediction in first for name in prediction.sentence.fields or ()}
        if fields:
            own = {name for prediction in first for name in self.names(prediction)}
            self.renamed = new_names(own, fields)
        return ""

    def row(self, prediction: Prediction) -> str:
        """Return the text of a prediction.

        Raises:
            MtlError: A field of its input has the name of a field of the output.
        """
        return self.write(prediction, self.renamed)


@dataclass
class TableWriter:
    """Writes predictions as a table: the columns of the input, and then the predictions.

    Values of words are JSON lists.

    Args:
        targets: Task to its target, for the tasks of the output.
        confidence: Whether to write confidences.
        separator: The character between columns.
        quotes: Whether cells with special characters are put in quotes. If not, tabs and line ends
            in cells become blanks.
        header: The columns of the input, if it is a table, under the names of its cells.
        written: The cells of its header row; None: it has none.
    """

    targets: Mapping[str, Target]
    confidence: bool
    separator: str
    quotes: bool
    header: Sequence[str] | None = None
    written: Sequence[str] | None = None
    renamed: dict[str, str] = field(default_factory=dict, init=False)
    own: list[str] = field(default_factory=list, init=False)

    def begin(self, first: Sequence[Prediction]) -> str:
        """Choose the columns, after a look at the first predictions; return the header row."""
        is_table = self.header is not None
        if not first and not self.header:
            return ""
        if self.header is None:
            self.header = list(dict.fromkeys(n for p in first for n in p.sentence.fields or ()))
            self.written = self.header
        pairs = any(prediction.tokens_b is not None for prediction in first)
        tagging = any(target.level == "token" for target in self.targets.values())
        self.own = [] if is_table else ["text", "text_b"] if pairs else ["text"]
        self.own += ["tokens"] if tagging else []
        for task, target in self.targets.items():
            self.own.append(task)
            if self.confidence and target.values in ("labels", "sets"):
                self.own.append(f"{task}.confidence")
        self.renamed = new_names(self.own, self.header)
        if self.written is None:
            return ""
        return self._line([*self.written, *(self.renamed.get(name, name) for name in self.own)])

    def row(self, prediction: Prediction) -> str:
        """Return the row of a prediction.

        Raises:
            MtlError: Its input has a field that is not a column of the table.
        """
        fields, header = prediction.sentence.fields, self.header or ()
        if isinstance(fields, Row):
            return self._line([*fields.cells, *self._own_cells(prediction)])
        fields = fields or {}
        if unknown := [name for name in fields if name not in header]:
            raise MtlError(
                f"the field {unknown[0]!r} is not in the header, since the first records do not "
                "have it; use --format jsonl"
            )
        cells = (_plain(fields.get(name)) for name in header)
        return self._line([*cells, *self._own_cells(prediction)])

    def _own_cells(self, prediction: Prediction) -> list[str]:
        return [self._own_cell(name, prediction) for name in self.own]

    @property
    def unnamed(self) -> str:
        """The names of the columns of the predictions, if the table has no header."""
        own = self.own if self.written is None else []
        return ", ".join(self.renamed.get(name, name) for name in own)

    def _own_cell(self, name: str, prediction: Prediction) -> str:
        sentence = prediction.sentence
        own_task = name.removesuffix(".confidence")
        if own_task in self.targets and prediction.lacks_label(own_task):
            return ""
        if name in self.targets:
            task = prediction.by_task[name]
            if isinstance(task.labels, tuple):
                return _plain(prediction.labels[name])
            return self.targets[name].text(task.labels)
        if name == "text":
            return " ".join(sentence.tokens) if sentence.text is None else sentence.text
        if name == "text_b":
            return sentence.text_b or " ".join(sentence.tokens_b or ())
        if name == "tokens":
            return _plain(list(sentence.tokens))
        confidence = prediction.by_task[name.removesuffix(".confidence")].confidence
        if isinstance(confidence, tuple):
            return _plain(rounded(confidence))
        return confidence_text(confidence)

    def _line(self, cells: Sequence[str]) -> str:
        if not self.quotes:
            special = re.compile(rf"[\r\n{re.escape(self.separator)}]+")
            return self.separator.join(special.sub(" ", cell) for cell in cells) + "\n"
        line = io.StringIO()
        # A lone carriage return would end the row without being quoted.
        texts = [re.sub(r"\r\n?", "\n", cell) for cell in cells]
        csv.writer(line, delimiter=self.separator, lineterminator="\n").writerow(texts)
        return line.getvalue()


def _plain(value: Any) -> str:
    """Return a value as text: strings as they are, other types as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def line_writer(form: str) -> LineWriter:
    """Return a writer of "conll" or "jsonl"."""
    if form == "jsonl":
        return LineWriter(write_jsonl, Prediction.own_fields)
    return LineWriter(write_conll, _conll_names)


def _conll_names(prediction: Prediction) -> Iterable[str]:
    return _conll_comments(prediction)[0]


def writer_of(
    model: TrainedModel,
    form: str,
    tasks: Sequence[str],
    confidence: bool,
    table: Table | None,
) -> LineWriter | TableWriter:
    """Return the writer of a format.

    Args:
        model: The model.
        form: "conll", "jsonl", "csv" or "tsv".
        tasks: The tasks.
        confidence: Whether to write confidences.
        table: The table that the input is, if it is one.
    """
    from mtl.data.readers import Csv, Tsv

    if form not in ("csv", "tsv"):
        return line_writer(form)
    targets = {task: model.predictor.targets[task] for task in tasks}
    style = Tsv() if form == "tsv" else Csv()
    if table is None:
        return TableWriter(targets, confidence, style.separator, style.quotes)
    if isinstance(table.reader, Tsv) == isinstance(style, Tsv):
        style = table.reader
    return TableWriter(
        targets, confidence, style.separator, style.quotes, table.names, table.header
    )


def show_names(writer: LineWriter | TableWriter) -> None:
    """Tell where the predictions are, if they have other names than their tasks."""
    for name, new in writer.renamed.items():
        note = f"note: the input has a field {name!r}; the prediction is in {new!r}"
        print(note, file=sys.stderr)
    if added := writer.unnamed:
        print(f"note: the table has no header; its last columns: {added}", file=sys.stderr)
