"""Checksums of the files of a run folder, so that a damaged file never changes a label.

`checksums.txt` lists the run file and the vocabularies, as the command `sha256sum` does. Weights
are replaced while a run is trained, so their checksum is in the metadata of their own file: there
is no moment at which the two differ. SHA-256 needs about 0.1 s for 50 MB.

Checksums find damage, not attacks: whoever changes a file can change its checksum too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mtl.errors import CheckpointError
from mtl.files import atomic_write

CHECKSUMS = "checksums.txt"
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([\w-][\w.-]*(?:/[\w-][\w.-]*)*)", re.ASCII)


def write_checksums(
    folder: Path, patterns: Sequence[str] = ("*.yaml", "vocabulary/*.json")
) -> None:
    """Write `checksums.txt` for files of a folder, by default the JSON and YAML files of a run."""
    files = sorted(file for pattern in patterns for file in folder.glob(pattern))
    with atomic_write(folder / CHECKSUMS) as output:
        for file in files:
            output.write(f"{file_checksum(file)}  {file.relative_to(folder).as_posix()}\n")


def remove_checksums(folder: Path) -> None:
    """Remove `checksums.txt` before its files are written anew.

    A folder without the file is valid, so a run that is killed in between does no harm.
    """
    (folder / CHECKSUMS).unlink(missing_ok=True)


def check_files(folder: Path) -> None:
    """Check the files that `checksums.txt` lists; folders of earlier versions have no such file.

    Raises:
        CheckpointError: A file is missing or has changed, or the list is damaged.
    """
    path = folder / CHECKSUMS
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}; copy the folder again") from error
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if not match:
            raise CheckpointError(
                f"{path}:{number}: expected a checksum, two blanks and the name of a file; copy "
                "the folder again"
            )
        file = folder / match[2]
        if not file.is_file():
            raise CheckpointError(f"{file}: no such file; copy the folder again, or train again")
        if file_checksum(file) != match[1]:
            raise CheckpointError(
                f"{file}: has changed since it was saved; copy the folder again or, if you changed "
                f"it on purpose, delete its line in {path}"
            )


def file_checksum(file: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        with open(file, "rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror}") from error


def tensors_checksum(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the names, types, shapes and values of tensors on the CPU."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
