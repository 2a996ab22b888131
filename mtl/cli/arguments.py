"""Arguments and options that several commands share."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated

import typer

from mtl.files import exists

if TYPE_CHECKING:
    from mtl.trained_model import TrainedModel


def announce(run: Path) -> None:
    """Say on a terminal that the work has begun: the import of PyTorch alone takes seconds."""
    # Of several processes that train together, only the first one speaks.
    if sys.stderr.isatty() and os.environ.get("RANK", "0") == "0":
        typer.echo(f"reading {run} and its data …", err=True)


RunFileArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="The run file; its suffix .yaml may be omitted.")
]
OverrideArguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Overrides of keys, such as training.epochs=3."),
]
RunFolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The run folder.")]
TaskOption = Annotated[
    list[str] | None, typer.Option("--task", help="A task; repeat it for several. Default: all.")
]
DeviceOption = Annotated[
    str | None, typer.Option(help="cpu, cuda, …; default: a GPU if available.")
]
OutputOption = Annotated[
    Path | None, typer.Option(help="The run folder; default: runs/ and the name of the run file.")
]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", help="Continue from the last checkpoint, or start if there is none."),
]
TrustOption = Annotated[
    bool,
    typer.Option("--trust", help="Import (and run) code outside mtl that a run folder names."),
]


def refuse_idle(context: typer.Context, options: Sequence[str], switch: str, given: bool) -> None:
    """Raise an error for options that have no effect without another option."""
    if not given:
        _refuse(context, options, f"has no effect without --{switch}")


def refuse_beside(context: typer.Context, options: Sequence[str], switch: str) -> None:
    """Raise an error for options that have no effect together with another one, which is set."""
    _refuse(context, options, f"has no effect with --{switch}")


def _refuse(context: typer.Context, options: Sequence[str], message: str) -> None:
    for name in options:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(message, param_hint=f"--{name.replace('_', '-')}")


def refuse(options: Mapping[str, object], reason: str) -> None:
    """Raise an error for the first option that is set.

    Args:
        options: Option to its value; None and False: not set.
        reason: The message.
    """
    for name, value in options.items():
        if value is not None and value is not False:
            raise typer.BadParameter(reason, param_hint=name)


def only_corpus(model: TrainedModel, tasks: list[str] | None) -> str:
    """Return the corpus whose split the option --data replaces."""
    names = {model.run.tasks[task].corpus for task in model.selection.named(tasks)}
    if len(names) > 1:
        raise typer.BadParameter("the model has several corpora; choose one with --task")
    return names.pop()


def finite(value: float | None) -> float | None:
    """Raise an error for a number that is not finite; no bound of an option refuses `nan`."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"expected a finite number, got {value}")
    return value


def check_page(path: Path, option: str = "--html") -> None:
    """Raise an error for a file that could not be written at the end of a long command."""
    if exists(path) and not exists(path, Path.is_file):
        kind = "folder" if exists(path, Path.is_dir) else "pipe or a device"
        raise typer.BadParameter(f"{path} is a {kind}; name a file", param_hint=option)
    if not path.parent.is_dir():
        message = f"{path}: the folder {path.parent} does not exist; create it first"
        raise typer.BadParameter(message, param_hint=option)
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"):
            pass
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}; name another file"
        raise typer.BadParameter(message, param_hint=option) from error
