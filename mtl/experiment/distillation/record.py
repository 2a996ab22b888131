"""The teachers of a run in its folder, so that training continues with the same ones."""

from __future__ import annotations

from pathlib import Path

from mtl.errors import MtlError
from mtl.experiment.distillation.transfer_set import TransferSet
from mtl.runs.checkpoint import read_json, write_json

TEACHERS = "teachers.json"
"""Folder of a teacher to a hash of its files."""


def write_teachers(folder: Path, transfer: TransferSet) -> None:
    """Write the teachers to a run folder."""
    write_json(folder / TEACHERS, dict(transfer.fingerprints))


def check_teachers(folder: Path, transfer: TransferSet) -> None:
    """Check, to resume, that the teachers are the same as in the run folder.

    Raises:
        MtlError: A teacher has been trained again or replaced.
    """
    before = read_json(folder / TEACHERS)
    for teacher, own in transfer.fingerprints.items():
        if not isinstance(before, dict) or before.get(teacher) != own:
            raise MtlError(
                f"{folder}: the teacher {teacher} has changed since; train into another --output"
            )
