"""`mtl predict`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from mtl.cli.arguments import DeviceOption, RunFolderArgument, TaskOption, TrustOption
from mtl.errors import DataError, MtlError

if TYPE_CHECKING:
    from mtl.cli.formats import LineWriter, TableWriter
    from mtl.cli.table_input import Table
    from mtl.experiment.task_selection import TextUnit
    from mtl.inference.inputs import Sentence
    from mtl.inference.prediction import Prediction
    from mtl.trained_model import TrainedModel

SUFFIXES = {
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".conll": "conll",
    ".conllu": "conll",
    ".iob2": "conll",
}
"""Suffix of a file name to its format; files with other suffixes are raw text."""


def predict(
    folder: RunFolderArgument,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The input; by default, or for -, standard input."),
    ] = None,
    task: TaskOption = None,
    output_format: Annotated[
        Literal["auto", "conll", "jsonl", "csv", "tsv", "text"],
        typer.Option(
            "--format",
            help="The output format; auto: a table for a table, else conll. text, with --explain: "
            "shaded words.",
        ),
    ] = "auto",
    input_format: Annotated[
        Literal["auto", "text", "paragraphs", "conll", "jsonl", "csv", "tsv"],
        typer.Option(
            "--input",
            help="The input format; auto: according to the file name. text: a line is a text; "
            "paragraphs: a text ends at a blank line.",
        ),
    ] = "auto",
    unit: Annotated[
        Literal["auto", "sentence", "record"],
        typer.Option(
            help="The unit of text that tasks label: each sentence, or the whole line, paragraph, "
            "row or JSON object. auto: as each task was trained."
        ),
    ] = "auto",
    whole: Annotated[bool, typer.Option("--whole", hidden=True)] = False,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Write the probabilities of labels.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Write the attention weights of heads that have them.")
    ] = False,
    device: DeviceOption = None,
    trust: TrustOption = False,
) -> None:
    """Label raw text, CoNLL, JSONL, CSV or TSV.

    The input may have any length. The fields of JSONL and the columns of a table come back with
    the predictions: one object per object, one row per row. A text without words gets no label. A
    table is read with the settings of
    the tables that the model was trained on.

    Raw text is cut into words; the output contains the position of each word. Where all tasks were
    trained on sentences, it is split into sentences too. Where a task was trained on longer texts,
    each line is one text with one label, and taggers read it sentence by sentence.

    Tasks that compare two sentences read two sentences per line, with a tab between; or JSONL with
    the fields "text_b" or "tokens_b"; or tables.
    """
    if output_format == "text" and not explain:
        message = "shades words by their attention weights; add --explain"
        raise typer.BadParameter(message, param_hint="--format")
    from mtl import api
    from mtl.cli.shading import write_text
    from mtl.inference.cutting import CHUNK, first_chunk

    model = api.load(folder, device=device, trust=trust)
    tasks = model.selection.labelling(task)
    if explain:
        attending = model.selection.attending(task)
        matrices = [own for own in attending if model.predictor.attention(own) == "matrix"]
        if matrices and output_format != "jsonl":
            names = ", ".join(matrices)
            raise MtlError(f"{names}: the attention weights are matrices; add --format jsonl")
        if output_format == "text":
            task = tasks = attending
    whole_unit: TextUnit | None = "record" if whole else None if unit == "auto" else unit
    source = None if file is None or str(file) == "-" else file
    found = _read(model, source, input_format, tasks, whole_unit)
    written: str = output_format
    if output_format == "auto":
        written = found.form if found.table and not explain else "conll"
    if explain and written in ("csv", "tsv"):
        message = "tables have no attention weights; expected conll, jsonl or text"
        raise typer.BadParameter(message, param_hint="--format")
    interactive = source is None and sys.stdin.isatty()
    predictions = model.annotate(
        found.sentences,
        task,
        confidence=confidence,
        attention=explain,
        unit=whole_unit,
        chunk_size=1 if interactive else None,  # at a terminal each line is answered at once
    )
    predictions = _counted(predictions)
    if written == "text":
        for prediction in predictions:
            sys.stdout.write(write_text(prediction))
        return
    writer = _writer(model, written, tasks, confidence, found.table)
    # The names of the output follow from the fields of the first records.
    head = first_chunk(predictions, 1 if interactive else CHUNK)
    sys.stdout.write(writer.begin(head))
    _note(writer)
    for number, prediction in enumerate(chain(head, predictions), 1):
        sys.stdout.write(writer.row(prediction))
        if interactive or number % CHUNK == 0:
            sys.stdout.flush()


class _Input(NamedTuple):
    form: str
    sentences: Iterator[Sentence]
    table: Table | None = None


def _read(
    model: TrainedModel, source: Path | None, form: str, tasks: Sequence[str], unit: TextUnit | None
) -> _Input:
    """Open the input; it is read lazily."""
    from mtl.cli import inputs
    from mtl.cli.table_input import open_table
    from mtl.data.readers import Conll, Csv, Jsonl

    selection = model.selection
    pairs = selection.compare_pairs(tasks)
    lines, name = _lines(source), str(source or "<stdin>")
    if form == "auto":
        form = "text" if source is None else _format(source)
        if form == "text" and not (source is None and sys.stdin.isatty()):
            lines = inputs.check_prose(lines, name, pairs=pairs)
    if form in ("csv", "tsv"):
        table = open_table(lines, name, form, selection.readers(tasks, Csv))
        if pairs != (table.reader.pair is not None):
            expected = "pairs of sentences" if pairs else "single sentences"
            raise DataError(f"the tasks read {expected}, and the table has others", name)
        return _Input(form, table.rows, table)
    if form == "jsonl":
        known: list[Jsonl | Csv] = [
            *selection.readers(tasks, Jsonl),
            *selection.readers(tasks, Csv),
        ]
        return _Input(form, inputs.read_jsonl(lines, name, pairs=pairs, readers=known))
    if pairs and form != "text":
        raise DataError("pairs are read as text with a tab between, or as JSONL or tables", name)
    if form == "conll":
        return _Input(form, inputs.read_conll(lines, name, selection.readers(tasks, Conll)))
    if pairs:
        return _Input(form, inputs.read_text_pairs(lines, name))
    split = len(selection.by_sentence(tasks, unit)) == len(tasks)
    texts = inputs.read_text(lines, split=split, paragraphs=form == "paragraphs")
    return _Input(form, texts)


def _writer(
    model: TrainedModel,
    form: str,
    tasks: Sequence[str],
    confidence: bool,
    table: Table | None,
) -> LineWriter | TableWriter:
    from mtl.cli.formats import TableWriter, line_writer
    from mtl.data.readers import Csv, Tsv

    if form not in ("csv", "tsv"):
        return line_writer(form)
    targets = {task: model.predictor.batcher.targets[task] for task in tasks}
    style = Tsv() if form == "tsv" else Csv()
    if table is None:
        return TableWriter(targets, confidence, style.separator, style.quotes)
    if isinstance(table.reader, Tsv) == isinstance(style, Tsv):
        style = table.reader
    return TableWriter(
        targets, confidence, style.separator, style.quotes, table.names, table.header
    )


def _note(writer: LineWriter | TableWriter) -> None:
    """Tell where the predictions are, if they have other names than their tasks."""
    for name, new in writer.renamed.items():
        note = f"note: the input has a field {name!r}; the prediction is in {new!r}"
        print(note, file=sys.stderr)
    if added := writer.unnamed:
        print(f"note: the table has no header; its last columns: {added}", file=sys.stderr)


def _counted(predictions: Iterator[Prediction]) -> Iterator[Prediction]:
    """Yield predictions, and print a note at the end if texts without words get no label."""
    blank = 0
    for prediction in predictions:
        blank += any(map(prediction.lacks_label, prediction.by_task))
        yield prediction
    if blank:
        subject = "text has" if blank == 1 else "texts have"
        print(f"note: {blank:,} {subject} no words, and so no label", file=sys.stderr)


def _format(file: Path) -> str:
    """Return the format of a file, according to its name."""
    return SUFFIXES.get(Path(file.name.removesuffix(".gz")).suffix, "text")


def _lines(file: Path | None) -> Iterator[str]:
    from mtl.files import open_text, text_lines

    if file is None:
        yield from text_lines(sys.stdin.buffer, "<stdin>")  # type: ignore[arg-type]  # has read1
    else:
        with open_text(file, stream=True) as text:
            yield from text
