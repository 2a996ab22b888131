"""`mtl vectors train` and `mtl vectors methods`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtl.errors import ConfigError, MtlError, OptionError

if TYPE_CHECKING:
    from mtl.analysis.word_vectors import VectorMethod


def train_words(
    options: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="Options of the method, such as window=3; mtl vectors methods lists them.",
        ),
    ] = None,
    *,
    output: Annotated[Path, typer.Option(help="The file to write; its name ends in .safetensors.")],
    text: Annotated[
        list[Path] | None,
        typer.Option(
            help="A text file, plain or .gz, with one sentence per line; repeat it for several."
        ),
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(help="A run file whose training text is read; repeat it for several."),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="sgns (skip-gram), cbow, cw, nnlm, glove, ppmi or svd; see mtl vectors methods."
        ),
    ] = "sgns",
    dim: Annotated[int, typer.Option(min=1, help="The number of values per vector.")] = 100,
    min_count: Annotated[
        int, typer.Option(min=1, help="Words that occur less often are left out.")
    ] = 5,
    lowercase: Annotated[
        bool, typer.Option("--lowercase", help="Convert all words to lower case.")
    ] = False,
    tokenize: Annotated[
        bool,
        typer.Option(
            "--tokenize/--no-tokenize",
            help="Split text files into words by rules, or only at spaces.",
        ),
    ] = True,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Seed of the random numbers.")
    ] = 1,
) -> None:
    """Learn word vectors from text.

    To use the vectors in a run, set embedding.words.vectors to the output file. Rare words are left
    out of the text (--min-count). Equal arguments give equal vectors.
    """
    from rich.console import Console

    from mtl.analysis.word_vectors import CountedText
    from mtl.data.vectors import write_vectors
    from mtl.display.reading import reading_bar

    if not (text or run):
        raise MtlError("expected at least one --text or --run")
    if output.suffix != ".safetensors" or not output.parent.is_dir():
        raise MtlError(f"{output}: expected a name ending in .safetensors, in an existing folder")
    chosen = _method(method, options or [])
    sentences = _sentences(text or [], run or [], tokenize)
    counted = CountedText.of(sentences, min_count=min_count, lowercase=lowercase)
    with reading_bar(Console(stderr=True), "learning") as bar:
        task = bar.add_task("vectors", total=1.0)
        start = time.monotonic()
        matrix = chosen.learn(
            counted, dim, seed=seed, progress=lambda done: bar.update(task, completed=done)
        )
        seconds = time.monotonic() - start
    write_vectors(output, counted.words, matrix)
    typer.echo(
        f"{output}: {len(counted.words):,} words, {dim} values each, from {len(counted.ids):,} "
        f"words of text in {seconds:.1f} s"
    )


def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="METHOD", help="A method; default: all.")
    ] = None,
) -> None:
    """List the methods of mtl vectors train and their options.

    For a named method, also explain each option.
    """
    from dataclasses import replace
    from textwrap import fill

    from mtl.analysis.word_vectors import METHODS
    from mtl.cli.explain import option_lines
    from mtl.cli.listing import print_parts
    from mtl.config.reference import first_line, part_keys

    if name is None:
        print_parts("methods", METHODS)
        return
    typer.echo(fill(f"{name}: {first_line(METHODS.find(name))}", 100))
    for keys in part_keys({"method": METHODS}, name).values():
        # Users write window=3, without the name of the kind.
        own = (replace(key, path=key.path.removeprefix("method.")) for key in keys)
        typer.echo("\n".join(option_lines(own)))


def _method(name: str, options: Sequence[str]) -> VectorMethod:
    """Return the method with its options."""
    from mtl.analysis.word_vectors import METHODS
    from mtl.config.build import Builder
    from mtl.config.document import Node, merge
    from mtl.config.overrides import override_nodes
    from mtl.config.parts import Kind
    from mtl.errors import Place
    from mtl.registry import silently

    cls = METHODS.find(name, silently)
    place = Place("command line")
    node = Node({"type": Node(name, place)}, place)
    for given in override_nodes(options):
        node = merge(node, given)
    builder = Builder({"method": METHODS}, must_exist=True, on_import=silently)
    part = builder.part(Kind("method"), node, "")
    builder.problems.check()
    assert part is not None
    try:
        return cls(**part.options)
    except OptionError as error:
        raise ConfigError(f"{place}: {error}") from error


def _sentences(texts: Sequence[Path], runs: Sequence[Path], cut: bool) -> Iterator[Sequence[str]]:
    """Yield the words of each line of text files and each training sentence of runs."""
    from mtl.config.paths import run_file
    from mtl.display.reading import show_reading
    from mtl.experiment import load_config, load_corpora
    from mtl.files import open_text
    from mtl.text.running import whole_words
    from mtl.text.tokenizer import words_of

    for path in texts:
        with open_text(path) as lines, show_reading(path) as update:
            for number, line in enumerate(lines, 1):
                yield words_of(line, cut)
                update(number)
    for path in runs:
        for corpus in load_corpora(load_config(run_file(path)), progress=show_reading).values():
            for example in corpus.splits["train"]:
                yield whole_words(example.tokens)
