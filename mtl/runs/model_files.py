"""The files that a copy of a trained model needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mtl.errors import CheckpointError
from mtl.files import atomic_write
from mtl.runs.calibration import CALIBRATION
from mtl.runs.checkpoint import RUN, TRAINING
from mtl.runs.checksums import CHECKSUMS
from mtl.runs.ensemble import ENSEMBLE


def model_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a run folder, without the state and the curves of training.

    Args:
        folder: The run folder, or the folder of an ensemble.

    Returns:
        Path in the folder, with forward slashes, to content.
    """
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder): path for path in files}
    return {
        name.as_posix(): path.read_bytes()
        for name, path in sorted(names.items())
        if TRAINING not in name.parts and not name.name.startswith(("events.", "."))
    }


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a model into a folder, which is created; no file is ever written in part.

    Files of an earlier model in the folder that would change this one are removed.

    Raises:
        CheckpointError: These are not the files of a model, or one would be outside of the folder.
        MtlError: A file cannot be written.
    """
    if not isinstance(files, Mapping) or not {RUN, ENSEMBLE} & files.keys():
        raise CheckpointError("not the files of a model; save the model again")
    for name, content in files.items():
        path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath("/")
        if path.is_absolute() or ".." in path.parts or not isinstance(content, bytes):
            raise CheckpointError(f"{name!r} is not a file of a model; save the model again")
    for name in {ENSEMBLE, CALIBRATION, CHECKSUMS} - files.keys():
        (folder / name).unlink(missing_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / name, "wb") as file:
            file.write(content)
