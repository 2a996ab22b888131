"""The folder of an ensemble: a description, and a run folder per member, for prediction alone.

ensemble.json   the tasks, the members and their dev scores
checksums.txt   checksums of the description and of the members' own lists
members/1       run.yaml, vocabulary/, model.safetensors and checksums.txt of the first member
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field
from typing_extensions import TypedDict

from mtl.errors import CheckpointError
from mtl.metrics.spread import Scores, ScoresJson, scores_to_json
from mtl.runs.checkpoint import (
    MODEL,
    RUN,
    VOCABULARY,
    from_json,
    read_json,
    seed_folders,
    snapshot_files,
    write_json,
)
from mtl.runs.checksums import CHECKSUMS, check_files, write_checksums
from mtl.version import __version__

ENSEMBLE = "ensemble.json"


class MemberJson(TypedDict):
    """A member: the run that it was copied from, and its dev scores by task and name."""

    source: str
    dev: ScoresJson


class EnsembleJson(TypedDict):
    """The description of an ensemble: its tasks, its members and its own dev scores."""

    mtl: str
    tasks: Annotated[list[str], Field(min_length=1)]
    members: Annotated[list[MemberJson], Field(min_length=1)]
    dev: ScoresJson


class MemberSource(NamedTuple):
    """A model to copy.

    Args:
        folder: Its run folder.
        weights: The file of its weights.
        name: Its name for the user.
    """

    folder: Path
    weights: Path
    name: str


def sources(folder: Path) -> Iterator[MemberSource]:
    """Yield the models of a run folder, of its seeds or snapshots, or of an ensemble."""
    if is_ensemble(folder):
        for number in range(1, len(read_ensemble(folder)["members"]) + 1):
            own = member_folder(folder, number)
            yield MemberSource(own, own / MODEL, str(own))
    elif seeds := seed_folders(folder):
        for seed in seeds:
            yield from sources(seed)
    elif snapshots := snapshot_files(folder):
        for file in snapshots:
            yield MemberSource(folder, file, str(file.with_suffix("")))
    else:
        yield MemberSource(folder, folder / MODEL, str(folder))


def is_ensemble(folder: Path) -> bool:
    """Return whether a folder is the folder of an ensemble."""
    return (folder / ENSEMBLE).is_file()


def member_folder(folder: Path, number: int) -> Path:
    """Return the run folder of a member, counted from 1."""
    return folder / "members" / str(number)


def read_ensemble(folder: Path) -> EnsembleJson:
    """Read the description of an ensemble, and check its checksums.

    Raises:
        CheckpointError: A file is missing or damaged, or a task has no member.
    """
    check_files(folder)
    path = folder / ENSEMBLE
    found = from_json(path, EnsembleJson, _same, read_json(path))
    for number in range(1, len(found["members"]) + 1):
        if not member_folder(folder, number).is_dir():
            raise CheckpointError(f"{member_folder(folder, number)}: no such folder; copy it again")
    return found


def _same(description: EnsembleJson) -> EnsembleJson:
    return description


def write_ensemble(
    folder: Path, tasks: Sequence[str], members: Sequence[tuple[str, Scores]], dev: Scores
) -> None:
    """Write the description of an ensemble whose members are in place, and the checksums.

    Args:
        folder: The folder.
        tasks: The tasks.
        members: For each member the run that it was copied from, and its dev scores.
        dev: The dev scores of the ensemble.
    """
    description: EnsembleJson = {
        "mtl": __version__,
        "tasks": list(tasks),
        "members": [{"source": name, "dev": scores_to_json(own)} for name, own in members],
        "dev": scores_to_json(dev),
    }
    write_json(folder / ENSEMBLE, description)
    write_checksums(folder, [ENSEMBLE, f"members/*/{CHECKSUMS}"])


def copy_description(source: Path, target: Path) -> None:
    """Copy a run file and its vocabularies to a new folder, with new checksums.

    Raises:
        OSError: A file cannot be read or written.
    """
    target.mkdir(parents=True)
    shutil.copyfile(source / RUN, target / RUN)
    (target / VOCABULARY).mkdir()
    for file in sorted((source / VOCABULARY).glob("*.json")):
        shutil.copyfile(file, target / VOCABULARY / file.name)
    write_checksums(target)
