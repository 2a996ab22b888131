"""`mtl lr`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mtl.cli.arguments import OverrideArguments, RunFileArgument, TrustOption, check_page, finite
from mtl.cli.tables import print_rows


def lr(
    run: RunFileArgument,
    overrides: OverrideArguments = None,
    steps: Annotated[int, typer.Option(min=10, help="Maximum number of training steps.")] = 100,
    low: Annotated[
        float, typer.Option(min=1e-12, callback=finite, help="Learning rate of the first step.")
    ] = 1e-6,
    high: Annotated[
        float, typer.Option(max=1e6, callback=finite, help="Learning rate of the last step.")
    ] = 10.0,
    trust: TrustOption = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page with a chart.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find a learning rate by a range test.

    Trains the model with a learning rate that increases from step to step, until the loss diverges.
    Prints the loss for each learning rate, and suggests a learning rate. The model is not saved.
    The learning rates of heads and layers increase in proportion.
    """
    if html is not None:
        check_page(html)
    from mtl.analysis.rate_test import find_rate
    from mtl.analysis.report.rates import HEADER, rate_rows, rates_page, verdict

    found = find_rate(run, overrides or [], steps=steps, low=low, high=high, trust=trust)
    if html is not None:
        from mtl.files import atomic_write

        with atomic_write(html) as file:
            file.write(rates_page(found, f"Learning rates of {run.stem}"))
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps(asdict(found), indent=1))
        return
    ended = "diverged" if found.diverged else "all steps"
    title = f"loss relative to the first steps ({len(found.rates)} of {steps} steps, {ended})"
    print_rows(title, HEADER, rate_rows(found), left=3)
    typer.echo(verdict(found))
