"""`mtl export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mtl.cli.arguments import RunFolderArgument, TaskOption, TrustOption


def export(
    folder: RunFolderArgument,
    to: Annotated[Literal["torch-export", "onnx"], typer.Option(help="The format.")],
    task: TaskOption = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The file; by default model.pt2 or model.onnx in the run folder."),
    ] = None,
    quantize: Annotated[
        bool, typer.Option("--quantize", help="8-bit weights, for the CPU; only for ONNX.")
    ] = False,
    trust: TrustOption = False,
) -> None:
    """Write the taggers of a trained model as a program that runs without mtl.

    The program maps word ids to label scores. A JSON file beside it lists the labels. To use them,
    see docs/export.md.
    """
    from mtl.errors import MtlError
    from mtl.export.files import SUFFIXES, export_files
    from mtl.heads import Tagger
    from mtl.trained_model import load

    model = load(folder, device="cpu", trust=trust)
    network = model.predictor.model
    # By default, tasks without a tagger are left out; naming such a task is an error.
    tasks = [
        name
        for name in model.selection.labelling(task)
        if task or isinstance(network.head(name), Tagger)
    ]
    if not tasks:
        raise MtlError(f"{folder}: has no taggers; only taggers are exported")
    path = output or folder / f"model{SUFFIXES[to]}"
    description = export_files(model.predictor, tasks, path, to, quantize=quantize)
    typer.echo(f"{path} and {description}")
