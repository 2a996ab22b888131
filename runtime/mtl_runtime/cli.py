"""The command `mtl-predict`: labels of raw text or JSONL, in the formats of `mtl predict`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

# Other modules are imported where they are needed, so that the command starts quickly.
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from mtl_runtime import Model
    from mtl_runtime._mtl.cli.formats import LineWriter, TableWriter
    from mtl_runtime._mtl.inference.inputs import Sentence
    from mtl_runtime.model import TextUnit

_EPILOG = """\
example:
  echo 'Ann left Rome.' | mtl-predict model.mtl --format jsonl
  {"text": "Ann left Rome.", "tokens": ["Ann", "left", "Rome", "."], ...}
"""
_TABLES = {"csv": (",", True), "tsv": ("\t", False)}
"""Format to the sign between columns, and whether cells are put in quotes."""
_OUTPUTS = {
    "": "conll",
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".conll": "conll",
    ".conllu": "conll",
    ".iob2": "conll",
}
"""Suffix of the output to its format."""
_OTHERS = (".csv", ".tsv", ".conll", ".conllu", ".iob2")
"""Suffixes of formats that `mtl predict` reads, and this command does not."""


def main() -> None:
    """Run the command, and end the process with its exit code.

    A user error prints one line to standard error and exits with code 2. Ctrl-C exits with code
    130, and the end of the reader of the output with code 141.
    """
    code = 2
    # Output is UTF-8, whatever the encoding of the terminal.
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    try:
        run(sys.argv[1:])
        sys.stdout.flush()
        code = 0
    except BrokenPipeError:
        code = 141  # the reader of the output has gone, as `head` does
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        code = 130
    except Exception as error:
        print(f"error: {_user_error(error)}", file=sys.stderr)
    if code:
        # Python would write the rest at the end, and complain if the reader has gone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def _user_error(error: Exception) -> str:
    """Return the message of an error that a user can fix; raise any other one."""
    from mtl_runtime import BundleError, MtlError

    if isinstance(error, (BundleError, MtlError)):
        return str(error)
    if isinstance(error, OSError):
        place = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return f"{place}{error.strerror or error}"
    raise error


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        BundleError: The model is damaged.
        MtlError: The input is not as expected, or an option does not fit the model.
    """
    from contextlib import nullcontext

    parser = _parser()
    options = parser.parse_args(arguments)
    if options.format == "auto":
        suffix = os.path.splitext((options.output or "").removesuffix(".gz"))[1].lower()
        if suffix not in _OUTPUTS:
            known = ", ".join(filter(None, _OUTPUTS))
            message = f"the suffix {suffix} is not the one of a format; expected {known}"
            parser.error(f"{options.output}: {message}; or set --format")
        options.format = _OUTPUTS[suffix]

    from mtl_runtime import load
    from mtl_runtime._mtl.files import atomic_text

    model = load(options.model)
    output = nullcontext(sys.stdout) if options.output is None else atomic_text(options.output)
    with output as file:
        for text in _written(model, options):
            file.write(text)
            if options.interactive:
                file.flush()


def _parser() -> ArgumentParser:
    from argparse import ArgumentParser, RawDescriptionHelpFormatter

    class OneLine(ArgumentParser):
        """A parser that prints an error as one line, without the usage."""

        def error(self, message: str) -> NoReturn:
            self.exit(2, f"error: {message}; see mtl-predict --help\n")

    parser = OneLine(
        "mtl-predict",
        description="Label raw text or JSONL with a model that `mtl export --to bundle` wrote.",
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="the file of the model")
    add("file", metavar="FILE", nargs="?", help="the input; by default, or for -, standard input")
    add("--task", action="append", help="one task; repeat it for several; default: all")
    add(
        "--format",
        choices=("auto", "conll", "jsonl", "csv", "tsv"),
        default="auto",
        help="the output format; auto: according to the name of the output file, else conll",
    )
    add(
        "--input",
        choices=("auto", "text", "paragraphs", "jsonl"),
        default="auto",
        help="the input format; auto: according to the file name. text: a line is a text; "
        "paragraphs: a text ends at a blank line",
    )
    add(
        "--unit",
        choices=("auto", "sentence", "record"),
        default="auto",
        help="the unit of text that tasks label: each sentence, or the whole line, paragraph or "
        "JSON object. auto: as each task was trained",
    )
    add("--confidence", action="store_true", help="write the probabilities of labels")
    add(
        "--abstain",
        metavar="PROBABILITY",
        type=float,
        help="leave out answers of a lower confidence; the share of answers is printed at the end",
    )
    add(
        "--output",
        metavar="FILE",
        help="the file to write, compressed if the name ends in .gz; default: standard output",
    )
    return parser


def _written(model: Model, options: Namespace) -> Iterator[str]:
    """Yield the output, one text per prediction."""
    from itertools import chain

    from mtl_runtime._mtl.inference.abstention import Coverage
    from mtl_runtime._mtl.inference.cutting import CHUNK, first_chunk

    tasks = model.select(options.task)
    unit: TextUnit | None = None if options.unit == "auto" else options.unit
    source = None if options.file in (None, "-") else options.file
    # At a terminal each line is answered at once.
    options.interactive = source is None and sys.stdin.isatty()
    predictions = model.annotate(
        _read(model, source, options.input, tasks, unit),
        tasks,
        confidence=options.confidence,
        abstain=options.abstain,
        unit=unit,
        chunk_size=1 if options.interactive else None,
    )
    writer = _writer(model, options.format, tasks, options.confidence)
    # The names of the output follow from the fields of the first records.
    head = first_chunk(predictions, 1 if options.interactive else CHUNK)
    yield writer.begin(head)
    for name, new in writer.renamed.items():
        note = f"note: the input has a field {name!r}; the prediction is in {new!r}"
        print(note, file=sys.stderr)
    blank, coverage = 0, Coverage()
    for prediction in chain(head, predictions):
        yield writer.row(prediction)
        blank += prediction.is_blank and any(map(prediction.lacks_label, prediction.by_task))
        coverage.add(prediction)
    if blank:
        subject = "text has" if blank == 1 else "texts have"
        print(f"note: {blank:,} {subject} no words, and so no label", file=sys.stderr)
    for line in coverage.lines():
        print(line, file=sys.stderr)


def _read(
    model: Model, source: str | None, form: str, tasks: Sequence[str], unit: TextUnit | None
) -> Iterator[Sentence]:
    """Open the input; it is read lazily."""
    from mtl_runtime._mtl.cli import inputs
    from mtl_runtime._mtl.errors import DataError

    pairs = model.compare_pairs(tasks)
    lines, name = _lines(source), source or "<stdin>"
    if form == "auto":
        plain = (source or "").removesuffix(".gz")
        if plain.endswith(_OTHERS):
            raise DataError("expected text or JSONL; mtl predict reads tables and CoNLL", name)
        form = "jsonl" if plain.endswith(".jsonl") else "text"
        if form == "text" and not (source is None and sys.stdin.isatty()):
            lines = inputs.check_prose(lines, name, pairs=pairs)
    if form == "jsonl":
        return inputs.read_jsonl(lines, name, pairs=pairs)
    if pairs and form != "text":
        raise DataError("expected pairs as text with a tab between, or as JSONL", name)
    if pairs:
        return inputs.read_text_pairs(lines, name)
    split = len(model.by_sentence(tasks, unit)) == len(tasks)
    return inputs.read_text(lines, split=split, paragraphs=form == "paragraphs")


def _lines(file: str | None) -> Iterator[str]:
    from mtl_runtime._mtl.files import open_text, text_lines

    if file is None:
        yield from text_lines(sys.stdin.buffer, "<stdin>")  # type: ignore[arg-type]  # has read1
    else:
        with open_text(file, stream=True) as text:
            yield from text


def _writer(
    model: Model, form: str, tasks: Sequence[str], confidence: bool
) -> LineWriter | TableWriter:
    from mtl_runtime._mtl.cli.formats import TableWriter, line_writer

    if form in _TABLES:
        forms = {task: model.predictor.decoders[task].form for task in tasks}
        return TableWriter(forms, confidence, *_TABLES[form])
    return line_writer(form)


if __name__ == "__main__":
    main()
