"""Prediction with a bundle, by the command of mtl-runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mtl.errors import MtlError


def predict_bundle(
    path: Path,
    file: Path | None,
    tasks: Sequence[str] | None,
    options: Mapping[str, str | None],
    flags: Mapping[str, bool],
    refused: Mapping[str, bool],
) -> None:
    """Label a file with a bundle.

    Args:
        path: The bundle.
        file: The input; None: standard input.
        tasks: The tasks; None: all.
        options: Option to its value; None: left out.
        flags: Option to whether it is set.
        refused: Option that only run folders have to whether it is set.

    Raises:
        MtlError: An option needs a run folder, mtl-runtime is missing, or the bundle or the input
            is not as expected.
    """
    for option, used in refused.items():
        if used:
            raise MtlError(f"{option} needs a run folder, and {path} is a bundle; leave it out")
    try:
        from mtl_runtime import BundleError, cli
        from mtl_runtime import MtlError as RuntimeMtlError
    except ImportError:
        raise MtlError(
            f"{path}: only mtl-runtime reads bundles, and it is not installed; in the source "
            "folder of mtl, run: pip install ./runtime"
        ) from None
    arguments = [str(path), *([str(file)] if file else [])]
    for task in tasks or ():
        arguments += ["--task", task]
    for option, value in options.items():
        arguments += [option, value] if value is not None else []
    arguments += [flag for flag, given in flags.items() if given]
    try:
        cli.run(arguments)
    except (BundleError, RuntimeMtlError) as error:
        raise MtlError(str(error)) from None
