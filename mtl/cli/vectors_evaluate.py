"""`mtl vectors evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from mtl.cli.arguments import refuse_idle
from mtl.cli.tables import print_rows
from mtl.errors import MtlError


def evaluate_vectors(
    context: typer.Context,
    vectors: Annotated[Path, typer.Argument(metavar="FILE", help="The file of vectors.")],
    pairs: Annotated[
        list[Path] | None,
        typer.Option(help="A file with two words and a score per line; repeat it for several."),
    ] = None,
    analogies: Annotated[
        list[Path] | None,
        typer.Option(help="A file with four words per line; repeat it for several."),
    ] = None,
    rule: Annotated[
        Literal["add", "mul"],
        typer.Option(help="How cosines are combined for analogies: added or multiplied."),
    ] = "add",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Evaluate vectors on word similarity and analogies.

    For pairs, prints the Spearman correlation between the cosines and the scores in the file; for
    analogies, the percentage of correct answers. A word that has no vector is looked up in lower
    case. Items with a word that is still not found are left out.
    """
    from mtl.analysis.word_vectors.similarity import (
        VectorSpace,
        check_used,
        read_analogies,
        read_pairs,
    )
    from mtl.data.vectors import read_vectors

    if not (pairs or analogies):
        raise MtlError("expected at least one --pairs or --analogies")
    refuse_idle(context, ["rule"], "analogies", bool(analogies))
    rated = [(path, read_pairs(path)) for path in pairs or []]
    asked = [(path, read_analogies(path)) for path in analogies or []]
    found = VectorSpace(*read_vectors(vectors))
    scores = []
    for path, items in rated:
        scores.append(("spearman", found.similarity(items, path.name)))
        check_used(scores[-1][1], path)
    for path, questions in asked:
        scores += [("accuracy", one) for one in found.analogies(questions, path.name, rule)]
        check_used(scores[-1][1], path)
    if as_json:
        rows = [
            {
                "name": one.name,
                kind: None if one.score != one.score else one.score,
                "used": one.used,
                "total": one.total,
            }
            for kind, one in scores
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    print_rows(
        str(vectors),
        ["file", "score", "%", "items", "of"],
        [
            [
                one.name,
                kind,
                None if one.score != one.score else f"{100 * one.score:.1f}",
                f"{one.used:,}",
                f"{one.total:,}",
            ]
            for kind, one in scores
        ],
        left=2,
    )
