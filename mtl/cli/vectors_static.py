"""`mtl vectors static`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from mtl.cli.arguments import DeviceOption, TrustOption, finite


def static(
    context: typer.Context,
    teacher: Annotated[
        str,
        typer.Argument(
            metavar="TEACHER",
            help="The transformer: a folder in the format of transformers, a name on the Hugging "
            "Face hub, or a run folder with such a trunk.",
        ),
    ],
    output: Annotated[Path, typer.Option(help="The file to write; its name ends in .safetensors.")],
    words: Annotated[
        Path | None,
        typer.Option(help="A list of words, one per line, the most frequent first; plain or .gz."),
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(
            help="A text file whose words are counted, plain or .gz; repeat it for several."
        ),
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(help="A run file whose training text is counted; repeat it for several."),
    ] = None,
    min_count: Annotated[
        int, typer.Option(min=1, help="Counted words that occur less often get no vector.")
    ] = 1,
    dim: Annotated[int, typer.Option(min=1, help="The number of values per vector.")] = 200,
    sif: Annotated[
        float,
        typer.Option(
            callback=finite,
            min=0,
            help="The constant a: vectors are multiplied by a / (a + p), where p is the "
            "probability of the word. 0: no scaling.",
        ),
    ] = 1e-4,
    device: DeviceOption = None,
    trust: TrustOption = False,
) -> None:
    """Compute static word vectors from a transformer.

    To use the vectors in a run, set embedding.words.vectors to the output file. The transformer
    reads each word separately. The vector of a word is the mean over its subwords in the last
    layer, reduced to the first principal components of all words. Frequent words are scaled down
    (--sif).

    Words are read from a list (--words), or counted in text files and training text (--text,
    --run). If the command is interrupted, run it again to continue.
    """
    from rich.console import Console

    from mtl.analysis.static_vectors import read_word_list, static_vectors
    from mtl.cli.arguments import refuse_idle
    from mtl.data.vectors import write_vectors
    from mtl.display.reading import reading_bar, show_import
    from mtl.errors import MtlError

    counted = bool(text or run)
    if counted == (words is not None):
        raise MtlError("expected either --words, or at least one --text or --run")
    refuse_idle(context, ["min_count"], "text or --run", counted)
    if output.suffix != ".safetensors" or not output.parent.is_dir():
        raise MtlError(f"{output}: expected a name ending in .safetensors, in an existing folder")
    given = read_word_list(words) if words else _counts(text or [], run or [])
    partial = output.with_name(f"{output.name}.partial")
    console = Console(stderr=True)
    with reading_bar(console, "encoding") as bar:
        task = bar.add_task("words", total=None)
        made = static_vectors(
            teacher,
            given,
            dim=dim,
            sif=sif,
            min_count=min_count,
            partial=partial,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            device=device,
            on_import=show_import if trust else None,
        )
    write_vectors(output, made.words, made.matrix)
    partial.unlink()
    typer.echo(
        f"{output}: {len(made.words):,} words, {dim} values each, which keep "
        f"{100 * made.variance:.1f} % of the variance"
    )


def _counts(texts: list[Path], runs: list[Path]) -> Counter[str]:
    """Return the counts of the words of text files, and of the training text of runs."""
    from mtl.config.paths import run_file
    from mtl.display.reading import show_reading
    from mtl.experiment import load_config, load_corpora
    from mtl.experiment.build import count_words
    from mtl.files import open_text
    from mtl.text.running import END
    from mtl.text.tokenizer import words_of

    counts: Counter[str] = Counter()
    for path in texts:
        with open_text(path) as lines, show_reading(path) as update:
            for number, line in enumerate(lines, 1):
                counts.update(words_of(line, True))
                update(number)
    for path in runs:
        run = load_config(run_file(path))
        counts.update(count_words(run, load_corpora(run, progress=show_reading)))
    counts.pop(END, None)
    return counts
