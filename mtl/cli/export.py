"""`mtl export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mtl.cli.arguments import RunFolderArgument, TaskOption, TrustOption


def export(
    folder: RunFolderArgument,
    to: Annotated[Literal["bundle", "torch-export", "onnx"], typer.Option(help="The format.")],
    task: TaskOption = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The file; default: model.mtl, .pt2 or .onnx in the run folder."),
    ] = None,
    quantize: Annotated[
        bool, typer.Option("--quantize", help="Use 8-bit weights, for the CPU; only for ONNX.")
    ] = False,
    trust: TrustOption = False,
) -> None:
    """Export a trained model to a file.

    A bundle contains everything from text to labels, for taggers and classifiers. mtl-runtime reads
    it without PyTorch: `mtl-predict model.mtl`, or mtl_runtime.load in Python.

    The formats torch-export and onnx contain only taggers, as a program from word ids to label
    scores; a JSON file lists the labels. The program needs mtl (torch-export) or an ONNX runtime.
    docs/export.md shows how to use it.
    """
    from mtl.errors import MtlError
    from mtl.export.files import SUFFIXES, export_files
    from mtl.heads import Tagger
    from mtl.trained_model import load

    model = load(folder, device="cpu", trust=trust)
    if to == "bundle":
        if quantize:
            raise MtlError("only ONNX files are quantised; export to onnx")
        path = output or folder / "model.mtl"
        model.save_bundle(path, task)
        typer.echo(path)
        return
    predictor = model.experiment.predictor
    # By default, tasks without a tagger are left out; naming such a task is an error.
    tasks = [
        name
        for name in model.selection.labelling(task)
        if task or isinstance(predictor.head(name), Tagger)
    ]
    if not tasks:
        raise MtlError(f"{folder}: has no taggers; only taggers are exported")
    path = output or folder / f"model{SUFFIXES[to]}"
    description = export_files(predictor, tasks, path, to, quantize=quantize)
    typer.echo(f"{path} and {description}")
