"""`mtl schema`."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def schema(
    corpus: Annotated[
        bool, typer.Option("--corpus", help="The schema of corpus files, not of run files.")
    ] = False,
) -> None:
    """Print the JSON Schema of run files.

    Editors can use it to complete and check YAML files.
    """
    from mtl.config.schema import corpus_schema, json_schema
    from mtl.experiment import KINDS

    typer.echo(json.dumps(corpus_schema(KINDS) if corpus else json_schema(KINDS), indent=1))
