"""`mtl predict`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from mtl.cli.arguments import DeviceOption, RunFolderArgument, TaskOption, TrustOption
from mtl.errors import MtlError

SUFFIXES = {".jsonl": "jsonl", ".conll": "conll", ".conllu": "conll", ".iob2": "conll"}
"""Suffix of a file name to its format; files with other suffixes are raw text."""
TABLES = (".csv", ".tsv")
"""Suffixes of files that are not sentences as they are."""


def predict(
    folder: RunFolderArgument,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The input; by default, or for -, standard input."),
    ] = None,
    task: TaskOption = None,
    output_format: Annotated[
        Literal["conll", "jsonl", "text"],
        typer.Option("--format", help="The output format; text, with --explain: shaded words."),
    ] = "conll",
    input_format: Annotated[
        Literal["auto", "text", "conll", "jsonl"],
        typer.Option("--input", help="The input format; auto: according to the file name."),
    ] = "auto",
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Label each line, or each text of JSONL, as one sentence; do not split."
        ),
    ] = False,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Write the probabilities of labels.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Write the attention weights of heads that have them.")
    ] = False,
    device: DeviceOption = None,
    trust: TrustOption = False,
) -> None:
    """Label raw text, CoNLL or JSONL.

    The input may have any length. Raw text is split into sentences and words; the output contains
    the position of each word in the text. Tasks that compare two sentences read two sentences per
    line, with a tab between, or JSONL with the fields "text_b" or "tokens_b".
    """
    if output_format == "text" and not explain:
        message = "shades words by their attention weights; add --explain"
        raise typer.BadParameter(message, param_hint="--format")
    from mtl import api
    from mtl.cli.formats import WRITE, read_input
    from mtl.cli.shading import write_text
    from mtl.inference.predictor import CHUNK

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
    source = None if file is None or str(file) == "-" else file
    pairs = model.selection.compare_pairs(tasks)
    form = _format(source, pairs) if input_format == "auto" else input_format
    sentences = read_input(_lines(source), str(source or "<stdin>"), form, pairs=pairs, whole=whole)
    interactive = source is None and sys.stdin.isatty()
    predictions = model.annotate(
        sentences,
        task,
        confidence=confidence,
        attention=explain,
        chunk_size=1 if interactive else None,  # at a terminal each line is answered at once
    )
    write = write_text if output_format == "text" else WRITE[output_format]
    for number, prediction in enumerate(predictions, 1):
        sys.stdout.write(write(prediction))
        if interactive or number % CHUNK == 0:
            sys.stdout.flush()


def _format(file: Path | None, pairs: bool) -> str:
    """Return the format of a file, according to its name."""
    if file is None:
        return "text"
    suffix = Path(file.name.removesuffix(".gz")).suffix
    if suffix in TABLES and not pairs:
        raise MtlError(
            f"{file}: expected text, CoNLL or JSONL, got a table; convert it to JSONL with the "
            'field "text", or add --input text to label its lines as they are'
        )
    return SUFFIXES.get(suffix, "text")


def _lines(file: Path | None) -> Iterator[str]:
    from mtl.files import open_text, text_lines

    if file is None:
        yield from text_lines(sys.stdin.buffer, "<stdin>")  # type: ignore[arg-type]  # has read1
    else:
        with open_text(file, stream=True) as text:
            yield from text
