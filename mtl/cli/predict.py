"""`mtl predict`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import typer

from mtl.cli.arguments import DeviceOption, RunFolderArgument, TaskOption
from mtl.errors import DataError, MtlError

SUFFIXES = {".jsonl": "jsonl", ".conll": "conll", ".conllu": "conll", ".iob2": "conll"}
"""End of a file's name to its format; any other is raw text."""

AHEAD = 2048
"""Sentences that are read before they are labelled, short and long ones together."""
AHEAD_OF_MATRICES = 16
"""The same where each of their words looks at each other one, which takes much memory."""


def predict(
    folder: RunFolderArgument,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="What to label; by default, or for -, standard input."),
    ] = None,
    task: TaskOption = None,
    output_format: Annotated[
        Literal["conll", "jsonl", "text"],
        typer.Option("--format", help="The format of the output; text, with --explain: shades."),
    ] = "conll",
    input_format: Annotated[
        Literal["auto", "text", "conll", "jsonl"],
        typer.Option("--input", help="The format of the input; auto goes by the file's name."),
    ] = "auto",
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Say how probable the labels are.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say where heads that have attention look.")
    ] = False,
    device: DeviceOption = None,
) -> None:
    """Label raw text, CoNLL or JSONL.

    The input may be of any length. Raw text is cut into sentences and tokens; the output says
    where each stands in the text. TaskOption that compare two sentences read two a line, with a tab
    between, or JSONL with the fields "text_b" or "tokens_b".
    """
    if output_format == "text" and not explain:
        message = "shades words by how much they are looked at; give --explain too"
        raise typer.BadParameter(message, param_hint="--format")
    from mtl import api
    from mtl.cli import pairs
    from mtl.cli.formats import READ, WRITE
    from mtl.cli.shading import write_text

    model = api.load(folder, device=device)
    tasks = model.labelled_tasks(task)
    looking = model.attending_tasks(task) if explain else []
    matrices = [name for name in looking if model.predictor.attention(name) == "matrix"]
    if matrices and output_format != "jsonl":
        names = ", ".join(matrices)
        raise MtlError(f"{names}: each word looks at each other one; take --format jsonl")
    if output_format == "text":
        tasks = looking
    spans = {name for name in tasks if model.run.tasks[name].scheme}
    source = None if file is None or str(file) == "-" else file
    name = str(source or "<stdin>")
    given = _format(source) if input_format == "auto" else input_format
    if (paired := model.reads_pairs(tasks)) and given not in pairs.READ:
        raise DataError("pairs are read as text with a tab between, or as JSONL", name)
    read = (pairs.READ if paired else READ)[given]
    write = write_text if output_format == "text" else WRITE[output_format]
    ahead = AHEAD_OF_MATRICES if matrices else AHEAD
    # At a terminal each line is answered at once.
    ahead = 1 if source is None and sys.stdin.isatty() else ahead
    sentences = read(_lines(source), name)
    while chunk := list(islice(sentences, ahead)):
        examples = [sentence.example for sentence in chunk]
        found = model.predictor.explain(examples, tasks, confidence=confidence, attention=looking)
        for sentence, answers in zip(chunk, found, strict=True):
            sys.stdout.write(write(sentence, answers, spans))
        sys.stdout.flush()


def _format(file: Path | None) -> str:
    if file is None:
        return "text"
    return SUFFIXES.get(Path(file.name.removesuffix(".gz")).suffix, "text")


def _lines(file: Path | None) -> Iterator[str]:
    from mtl.files import open_text

    if file is None:
        yield from _decoded(sys.stdin.buffer)
    else:
        with open_text(file) as text:
            yield from text


def _decoded(stream: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(stream, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise DataError("not UTF-8 text; convert it, as by iconv", "<stdin>", number) from None
