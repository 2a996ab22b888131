"""`mtl export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mtl.cli.arguments import RunFolderArgument, TaskOption, TrustOption, only_corpus

if TYPE_CHECKING:
    from mtl.export.rounding import Weights
    from mtl.trained_model import TrainedModel
    from mtl.training.evaluation import Evaluation


def export(
    folder: RunFolderArgument,
    to: Annotated[
        Literal["bundle", "torch-export", "onnx"] | None,
        typer.Option(help="The format; default: by the suffix of --output, else a bundle."),
    ] = None,
    task: TaskOption = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The file; default: model.mtl, .pt2 or .onnx in the run folder."),
    ] = None,
    weights: Annotated[
        Literal["float32", "float16", "int8"],
        typer.Option(
            help="The type of large tables and matrices; bundles: all types, onnx: float32 or "
            "int8, torch-export: float32. int8 is the smallest."
        ),
    ] = "float32",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Bundles in float16 or int8: measure the loss of score on this file, in the "
            "format of the corpus, instead of the dev set."
        ),
    ] = None,
    trust: TrustOption = False,
) -> None:
    """Export a trained model to a file.

    A bundle contains everything from text to labels, for taggers and classifiers. mtl-runtime reads
    it without PyTorch: `mtl-predict model.mtl`, or mtl_runtime.load in Python. For a bundle with
    weights in float16 or int8, the command prints its scores, the scores in float32 and both sizes.

    The formats torch-export and onnx contain only taggers, as a program from word ids to label
    scores; a JSON file lists the labels. The program needs mtl (torch-export) or an ONNX runtime.
    docs/export.md shows how to use it.
    """
    from mtl.errors import MtlError
    from mtl.export.files import SUFFIXES, export_files
    from mtl.heads import Tagger
    from mtl.trained_model import load

    if to is None:
        suffix = output.suffix if output else ""
        to = next((name for name, own in SUFFIXES.items() if own == suffix), None) or "bundle"
        if to == "bundle" and suffix not in ("", ".mtl"):
            message = f"no format has the suffix {suffix}; name the format with --to"
            raise typer.BadParameter(message, param_hint="--output")
    if data is not None and (to != "bundle" or weights == "float32"):
        message = "has an effect only with --to bundle and --weights float16 or int8"
        raise typer.BadParameter(message, param_hint="--data")
    model = load(folder, device="cpu", trust=trust)
    if to == "bundle":
        _bundle(model, task, output or folder / "model.mtl", weights, data)
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
    description = export_files(predictor, tasks, path, to, weights)
    typer.echo(f"{path} and {description}")


def _bundle(
    model: TrainedModel, tasks: list[str] | None, path: Path, weights: Weights, data: Path | None
) -> None:
    """Write a bundle; with weights in fewer bits, print scores and sizes."""
    from mtl.errors import MtlError
    from mtl.export.bundle import export_bundle
    from mtl.export.rounding import rounded_weights

    if weights == "float32":
        model.save_bundle(path, tasks)
        typer.echo(path)
        return
    network, selected = model.experiment.model, model.selection.labelling(tasks)
    given = {} if data is None else {only_corpus(model, selected): data}
    found: list[Evaluation] = []
    missing: MtlError | None = None
    try:
        for kind in ("float32", weights):
            with rounded_weights(network, kind):
                found.append(model.evaluate("dev", selected, data=given))
    except MtlError as error:
        if data is not None:
            raise
        missing = error
    forms = model.selection.forms(tasks)
    whole = export_bundle(model.experiment.predictor, forms, path, weights)
    typer.echo(path)
    size = path.stat().st_size
    typer.echo(f"size: {size:,} bytes, {size / whole:.0%} of {whole:,} bytes in float32")
    if missing is not None:
        hint = "to measure it, name a labelled file with --data"
        typer.echo(f"note: the loss of score was not measured; {hint}: {missing}", err=True)
        return
    _print_scores(found, weights, "dev" if data is None else str(data))
    for name in selected:
        if name not in found[0].metrics:
            typer.echo(f"{name}: not scored, its corpus has no dev set", err=True)


def _print_scores(found: list[Evaluation], weights: Weights, title: str) -> None:
    """Print the main score of each task in float32 and in fewer bits, and their difference."""
    from mtl.cli.tables import print_rows
    from mtl.metrics import shown

    rows = []
    before, after = (evaluation.scores() for evaluation in found)
    for task, unit in found[0].units().items():
        name, full = next(iter(before[task].items()))
        less = after[task][name]
        change = shown(less - full, unit, sign=True)
        rows.append([task, name, shown(full, unit), shown(less, unit), change])
    print_rows(title, ["task", "score", "float32", weights, "difference"], rows, left=2)
