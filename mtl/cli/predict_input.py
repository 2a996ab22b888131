"""The input of `mtl predict`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from mtl.cli.given import assignments, column_numbers, with_phrases
from mtl.errors import DataError

if TYPE_CHECKING:
    from mtl.cli.table_input import Table
    from mtl.display.labelling import LabellingProgress
    from mtl.experiment.task_selection import TextUnit
    from mtl.inference.inputs import Sentence
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


class Input(NamedTuple):
    """The input: its format, its sentences, and its table if it is one."""

    form: str
    sentences: Iterator[Sentence]
    table: Table | None = None


def read_input(
    model: TrainedModel,
    source: Path | None,
    form: str,
    tasks: Sequence[str],
    unit: TextUnit | None,
    progress: LabellingProgress,
    given: Sequence[str] = (),
    gazetteers: Sequence[str] = (),
) -> Input:
    """Open the input; it is read lazily.

    Args:
        model: The model.
        source: The file; None: standard input.
        form: The format of the input.
        tasks: The tasks.
        unit: The unit of text that the tasks label.
        progress: Displays how much of the file has been read.
        given: Values of --given.
        gazetteers: Values of --gazetteer.
    """
    columns = assignments(given, "--given", tasks)
    lists = assignments(gazetteers, "--gazetteer", tasks)
    found = _read(model, source, form, tasks, unit, progress, columns)
    if columns and found.form not in ("conll", "jsonl"):
        message = f"needs a column of CoNLL or a field of JSONL, and the input is {found.form}"
        raise typer.BadParameter(message, param_hint="--given")
    if lists:
        from mtl.inference.given import label_names
        from mtl.inference.paths import has_paths

        predictor = model.predictor
        for task in lists:
            if not has_paths(predictor.head(task)):
                message = f"the task {task!r} has no label per token"
                raise typer.BadParameter(message, param_hint="--gazetteer")
        known = {t: label_names(predictor.head(t).labels, predictor.schemes.get(t)) for t in lists}
        return found._replace(sentences=with_phrases(found.sentences, lists, known))
    return found


def _read(
    model: TrainedModel,
    source: Path | None,
    form: str,
    tasks: Sequence[str],
    unit: TextUnit | None,
    progress: LabellingProgress,
    given: Mapping[str, str],
) -> Input:
    from mtl.cli import inputs
    from mtl.cli.table_input import open_table
    from mtl.data.readers import Conll, Csv, Jsonl

    selection = model.selection
    pairs = selection.compare_pairs(tasks)
    lines, name = _lines(source, progress), str(source or "<stdin>")
    if form == "auto":
        form = "text" if source is None else form_of(source)
        if form == "text" and not (source is None and sys.stdin.isatty()):
            lines = inputs.check_prose(lines, name, pairs=pairs)
    if form in ("csv", "tsv"):
        table = open_table(lines, name, form, selection.readers(tasks, Csv))
        if pairs != (table.reader.pair is not None):
            expected = "pairs of sentences" if pairs else "single sentences"
            found = "single sentences" if pairs else "pairs of sentences"
            raise DataError(f"the tasks read {expected}, and the table has {found}", name)
        return Input(form, table.rows, table)
    if form == "jsonl":
        known: list[Jsonl | Csv] = [
            *selection.readers(tasks, Jsonl),
            *selection.readers(tasks, Csv),
        ]
        items = inputs.read_jsonl(lines, name, pairs=pairs, readers=known, given=given)
        return Input(form, items)
    if pairs and form != "text":
        raise DataError("expected pairs as text with a tab between, as JSONL or as a table", name)
    if form == "conll":
        readers = selection.readers(tasks, Conll)
        return Input(form, inputs.read_conll(lines, name, readers, column_numbers(given)))
    if pairs:
        return Input(form, inputs.read_text_pairs(lines, name))
    split = len(selection.by_sentence(tasks, unit)) == len(tasks)
    texts = inputs.read_text(lines, split=split, paragraphs=form == "paragraphs")
    return Input(form, texts)


def form_of(file: Path) -> str:
    """Return the format of a file, according to its name."""
    return SUFFIXES.get(_suffix(file), "text")


def is_page(file: Path) -> bool:
    """Return whether a file is an HTML page, according to its name."""
    return _suffix(file) == ".html"


def check_suffix(output: Path) -> None:
    """Raise an error if the suffix of an output file names no format; it may have none."""
    suffix = _suffix(output)
    if suffix and suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        message = (
            f"{output}: the suffix {suffix} is not the one of a format; expected {known}, or .html "
            "with --explain; or set --format"
        )
        raise typer.BadParameter(message, param_hint="--output")


def _suffix(file: Path) -> str:
    """Return the suffix of a file in lower case, `.gz` aside."""
    return Path(file.name.removesuffix(".gz")).suffix.lower()


def _lines(file: Path | None, progress: LabellingProgress) -> Iterator[str]:
    from mtl.files import open_text, text_lines

    if file is None:
        yield from text_lines(sys.stdin.buffer, "<stdin>")  # type: ignore[arg-type]  # has read1
    else:
        with open_text(file, stream=True, on_open=progress.opened) as text:
            yield from text
