"""`mtl vectors map`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtl.cli.arguments import finite, refuse_beside
from mtl.cli.tables import print_rows
from mtl.errors import MtlError

if TYPE_CHECKING:
    from mtl.analysis.word_vectors.mapping import MapMethod, Translations


def map_languages(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Vectors of one language.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Vectors of another language.")],
    dictionary: Annotated[
        Path,
        typer.Option(help="A source word and its translation per line, with a tab or blank."),
    ],
    method: Annotated[
        str,
        typer.Option(
            help="orthogonal (vectors of length one, centred, then turned), procrustes (turned), "
            "linear (least squares) or cca."
        ),
    ] = "orthogonal",
    test: Annotated[
        Path | None, typer.Option(help="A dictionary to test on, in place of --held-out.")
    ] = None,
    held_out: Annotated[
        float,
        typer.Option(
            callback=finite, min=0, max=0.9, help="Share of the words of the dictionary to test on."
        ),
    ] = 0.2,
    output: Annotated[
        Path | None, typer.Option(help="File for the mapped source vectors, .safetensors.")
    ] = None,
    output_target: Annotated[
        Path | None,
        typer.Option(help="File for the target vectors in the common space, .safetensors."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**63 - 1, help="Seed of the choice of the words to test on."),
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Map the word vectors of one language to another language.

    Learns the map from a dictionary, and prints its precision on words that it has not seen: the
    percentage of source words whose nearest target word is a translation. The nearest word has the
    largest cosine (nn), or the largest cosine after a correction for target words that are near to
    many source words (csls).

    The methods orthogonal and cca change the target vectors too (--output-target). The methods
    linear and procrustes leave them as they are.
    """
    from mtl.analysis.word_vectors.mapping import (
        METHODS,
        divided,
        map_vectors,
        precision,
        read_dictionary,
    )
    from mtl.data.vectors import read_vectors, write_vectors
    from mtl.errors import did_you_mean

    if test:
        refuse_beside(context, ["held_out", "seed"], "test")
    if method not in METHODS:
        raise MtlError(f"--method: unknown method {method!r}{did_you_mean(method, METHODS)}")
    chosen: MapMethod = method
    for path in filter(None, (output, output_target)):
        if path.suffix != ".safetensors" or not path.parent.is_dir():
            raise MtlError(f"{path}: expected a name ending in .safetensors, in an existing folder")
    if output and output_target and output.resolve() == output_target.resolve():
        raise MtlError(f"--output-target: is the file of --output, {output}; name another one")
    known = read_dictionary(dictionary)
    if test:
        learned, tested = known, read_dictionary(test)
    else:
        learned, tested = divided(known, held_out, seed)
    words, left = read_vectors(source)
    others, right = read_vectors(target)
    rows, columns = _rows(words), _rows(others)
    gold = {
        rows[word]: own
        for word, translations in tested.items()
        if word in rows and (own := [columns[one] for one in translations if one in columns])
    }
    pairs = _pairs(learned, rows, columns)
    mapped = map_vectors(left, right, pairs, chosen)
    scores = {
        name: precision(mapped, gold, csls=csls) if gold else None
        for name, csls in (("nn", False), ("csls", True))
    }
    if output:
        write_vectors(output, words, mapped.source)
    if output_target:
        write_vectors(output_target, others, mapped.target)
    if as_json:
        report = {"method": method, "pairs": len(pairs), "tested": len(gold), "precision": scores}
        typer.echo(json.dumps(report))
        return
    print_rows(
        f"{source} to {target}, {len(pairs):,} pairs of the dictionary",
        ["method", "nearest", "precision %", "words", "of"],
        [
            [
                method,
                name,
                None if share is None else f"{100 * share:.1f}",
                f"{len(gold):,}",
                f"{len(tested):,}",
            ]
            for name, share in scores.items()
        ],
        left=2,
    )


def _rows(words: Sequence[str]) -> dict[str, int]:
    return {word: row for row, word in enumerate(words)}


def _pairs(
    dictionary: Translations, rows: Mapping[str, int], columns: Mapping[str, int]
) -> list[tuple[int, int]]:
    """Return the rows of the words and translations that both have vectors."""
    return [
        (rows[word], columns[translation])
        for word, translations in dictionary.items()
        for translation in translations
        if word in rows and translation in columns
    ]
