"""The teachers of a run in its folder, so that training continues with the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mtl.errors import MtlError
from mtl.runs.checkpoint import read_json, write_json

TEACHERS = "teachers.json"
"""Folder of a teacher to a hash of its files."""


def write_teachers(folder: Path, fingerprints: Mapping[str, str]) -> None:
    """Write the teachers to a run folder.

    Args:
        folder: The run folder.
        fingerprints: Folder of a teacher to a hash of its files.
    """
    write_json(folder / TEACHERS, dict(fingerprints))


def check_teachers(folder: Path, fingerprints: Mapping[str, str]) -> None:
    """Check, to resume, that the teachers are the same as in the run folder.

    Args:
        folder: The run folder.
        fingerprints: Folder of a teacher to a hash of its files.

    Raises:
        MtlError: A teacher has been trained again or replaced.
    """
    before = read_json(folder / TEACHERS)
    for teacher, own in fingerprints.items():
        if not isinstance(before, dict) or before.get(teacher) != own:
            raise MtlError(
                f"{folder}: the teacher {teacher} has changed since training began; "
                "choose another --output"
            )
