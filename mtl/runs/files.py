"""The files that a copy of a trained model needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mtl.runs.checkpoint import TRAINING


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
    """Write files into a folder, which is created."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
