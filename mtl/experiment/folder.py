"""Check a run folder before training, and write its first files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml

from mtl.config.load import run_to_yaml
from mtl.config.run import Run
from mtl.errors import MtlError
from mtl.experiment import Experiment, load_config, read_numberings
from mtl.files import atomic_write, is_temporary
from mtl.registry import OnImport
from mtl.runs.calibration import CALIBRATION
from mtl.runs.checkpoint import (
    MODEL,
    RUN,
    SNAPSHOTS,
    STATE,
    TRAINING,
    VOCABULARY,
    load_subwords,
    save_vocabularies,
    snapshot_files,
)
from mtl.runs.checksums import check_files, remove_checksums, write_checksums
from mtl.runs.history import RECORDS, SUMMARY, read_records
from mtl.runs.lock import LOCK
from mtl.training.board import EVENTS
from mtl.training.log import TEXT
from mtl.training.tracking import TRACKING

Begun: TypeAlias = Literal["no", "resumable", "finished"]
"""The state of a run in its folder. A run without a checkpoint has to begin again."""


SEEDS = rf"seed-\d+|{re.escape(SUMMARY)}"
"""Pattern of the names in a folder with one run folder per seed."""


def check_place(folder: Path, resume: bool, inner: str | None = None) -> None:
    """Check that training may write to a folder, without reading the run in it.

    Args:
        folder: The folder.
        resume: Whether a run may be there already.
        inner: Pattern of the names in a folder of several runs; None for a run folder.

    Raises:
        MtlError: The folder cannot be used; the message contains a remedy.
    """
    if folder.is_file():
        raise MtlError(f"{folder}: is a file; choose another folder with --output")
    names = _own_names(folder)
    ours = all(re.fullmatch(inner, name) for name in names) if inner else RUN in names
    if names and not resume:
        hint = "continue its training with --resume, " if ours else ""
        raise MtlError(
            f"{folder}: exists already; {hint}choose another folder with --output, or remove it"
        )
    if names and not ours and not inner and {TRAINING, VOCABULARY, MODEL} & names:
        raise MtlError(
            f"{folder}: {RUN} is missing; copy it again, or train into another folder with --output"
        )
    if names and not ours:
        raise _foreign(folder, min(names))
    for name in sorted(names):
        if (folder / name).is_symlink() and (inner or name in _WRITTEN):
            raise MtlError(
                f"{folder / name}: is a symbolic link, and training would write to the file behind "
                "it; remove the link"
            )


_WRITTEN = {TRAINING, VOCABULARY, SNAPSHOTS, RECORDS, TEXT}
"""Files that training opens for appending, and folders into which it writes."""


def _own_names(folder: Path) -> set[str]:
    """Return the names in a folder, without a lock and files of a write that was killed."""
    if not folder.is_dir():
        return set()
    return {p.name for p in folder.iterdir() if p.name != LOCK and not is_temporary(p.name)}


def _foreign(folder: Path, name: str) -> MtlError:
    return MtlError(
        f"{folder}: contains {name}, which does not belong to this run; choose another folder with "
        "--output"
    )


def find_begun(folder: Path, run: Run, on_import: OnImport | None = None) -> Begun:
    """Return the state of a run in its folder, which `check_place` has accepted.

    Args:
        folder: The folder.
        run: The run.
        on_import: Allows the import of parts outside mtl that the folder names; see
            `Registry.find`.

    Raises:
        MtlError: The folder belongs to another run, or its checkpoint is gone.
    """
    if not (folder / RUN).is_file():
        return "no"
    state, records = folder / TRAINING / STATE, folder / RECORDS
    if state.is_file():  # a run that was killed before its first checkpoint may lack files
        check_files(folder)
    before = load_config(folder / RUN, must_exist=False, on_import=on_import)
    for here, there, path in _differences(run, before):
        change = f"was trained with {path} = {there!r}, now it is {here!r}"
        if isinstance(here, dict) or isinstance(there, dict):  # a section is too long to be shown
            change = f"was trained with another `{path}`"
            if None in (here, there):
                change = f"was trained {'without' if there is None else 'with'} `{path}`"
                change += f", which is now {'left out' if here is None else 'set'}"
        raise MtlError(
            f"{folder}: {change}; give the same run file and overrides, or train into another "
            "--output"
        )
    epochs = len(read_records(folder, "epoch")) if records.is_file() else 0
    if state.is_file():
        return "resumable"
    # A file of the user that describes the same run must not be replaced.
    if (folder / RUN).read_text(encoding="utf-8") != run_to_yaml(before):
        raise _foreign(folder, RUN)
    if (folder / MODEL).is_file() and epochs >= run.training.epochs and not state.parent.exists():
        return "finished"
    if epochs > 1:  # the second epoch begins after the first checkpoint
        raise MtlError(
            f"{state}: no such file, although {epochs} epochs are finished; copy it again, or "
            "train into another --output"
        )
    return "no"


def begun_processes(folder: Path) -> int | None:
    """Return the number of processes whose batches make a step of a run; None without a run file.

    The file is not checked: `find_begun` does that.
    """
    try:
        found = yaml.safe_load((folder / RUN).read_text(encoding="utf-8"))["training"]
        return int(found.get("processes") or 1)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError):
        return None


def remove_temporaries(folder: Path) -> None:
    """Remove the files of writes that were killed, in a folder that is locked."""
    for place in (folder, folder / TRAINING, folder / VOCABULARY, folder / SNAPSHOTS):
        for path in place.iterdir() if place.is_dir() else ():
            if is_temporary(path.name):
                path.unlink()


_CHANGED = "the text has changed since; restore it, or train into another folder, without --resume"


def check_data(folder: Path, experiment: Experiment) -> None:
    """Check, to resume, that vocabularies and labels are the same as in the run folder.

    Raises:
        MtlError: They differ, because the data has changed.
    """
    # Rows of embeddings and outputs belong to ids: other ids would mix up words and labels.
    vocabularies, targets = read_numberings(experiment.run, folder)
    for name, vocabulary in experiment.vocabularies.items():
        if vocabulary.to_json() != vocabularies[name].to_json():
            raise MtlError(f"{folder}: was trained with other {name}; {_CHANGED}")
    subwords = experiment.subwords
    if subwords and subwords.to_json() != load_subwords(folder).to_json():
        raise MtlError(f"{folder}: was trained with other subwords; {_CHANGED}")
    if experiment.targets != targets:
        raise MtlError(f"{folder}: was trained with other labels; {_CHANGED}")


def _differences(run: Run, before: Run) -> Iterator[tuple[Any, Any, str]]:
    """Yield both values and the path of each difference between two runs."""
    # These may change on resuming: they do not affect the steps that are already done.
    free = {"training.epochs", "training.device", "training.threads", "training.patience"}
    free |= {"training.checkpoint.minutes", "training.track"}

    def walk(one: Any, other: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
        if isinstance(one, dict) and isinstance(other, dict):
            for key in {**one, **other}:
                yield from walk(one.get(key), other.get(key), f"{path}.{key}" if path else key)
        elif one != other and path not in free:
            yield one, other, path

    yield from walk(run.model_dump(mode="json"), before.model_dump(mode="json"), "")


def start_folder(folder: Path, experiment: Experiment, *, resume: bool) -> None:
    """Write the run file, the vocabularies, the labels and their checksums to a run folder.

    Args:
        folder: The folder, which exists.
        experiment: The run.
        resume: Whether the run continues; otherwise the model and the logs of a run that was
            stopped before its first checkpoint are removed.

    Raises:
        MtlError: The folder cannot be written.
    """
    if not resume:
        old = (folder / MODEL, folder / RECORDS, folder / TEXT, folder / TRACKING)
        for path in (*old, *folder.glob(EVENTS), *snapshot_files(folder)):
            path.unlink(missing_ok=True)
    remove_checksums(folder)
    (folder / CALIBRATION).unlink(missing_ok=True)  # the weights will change
    with atomic_write(folder / RUN) as file:
        file.write(run_to_yaml(experiment.run))
    save_vocabularies(folder, experiment.vocabularies, experiment.targets, experiment.subwords)
    write_checksums(folder)
