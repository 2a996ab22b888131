"""Check a run folder before training, and write its first files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mtl.config.load import run_to_yaml
from mtl.config.run import Run
from mtl.errors import MtlError
from mtl.experiment import Experiment, load_config, read_numberings
from mtl.files import atomic_write
from mtl.registry import OnImport
from mtl.runs.checkpoint import RUN, TRAINING, load_subwords, save_vocabularies, seed_folders
from mtl.runs.checksums import check_files, remove_checksums, write_checksums


def can_resume(folder: Path) -> bool:
    """Return whether a run folder has a finished epoch to resume from."""
    return (folder / TRAINING / "state.json").is_file()


def check_folder(folder: Path, run: Run, resume: bool, on_import: OnImport | None = None) -> None:
    """Check that a folder is free, or, to resume, that it belongs to this run.

    Args:
        folder: The folder.
        run: The run.
        resume: Whether to resume.
        on_import: Allows the import of parts outside mtl that the folder names; see
            `Registry.find`.

    Raises:
        MtlError: The folder cannot be used; the message contains a remedy.
    """
    if not resume:
        check_free(folder, any(map(can_resume, [folder, *seed_folders(folder)])))
        return
    if not can_resume(folder):
        raise MtlError(f"{folder}: no finished epoch to resume; train without --resume")
    check_files(folder)
    before = load_config(folder / RUN, must_exist=False, on_import=on_import)
    for here, there, path in _differences(run, before):
        raise MtlError(
            f"{folder}: was trained with {path} = {there!r}, now it is {here!r}; give the same "
            "run file and overrides, or train into another --output"
        )


def check_free(folder: Path, begun: bool) -> None:
    """Check that a folder does not exist or is empty.

    Args:
        folder: The folder.
        begun: Whether `--resume` could continue its training.

    Raises:
        MtlError: The folder contains files; the message contains a remedy.
    """
    if folder.is_file():
        raise MtlError(f"{folder}: is a file; choose another folder with --output")
    if folder.is_dir() and any(folder.iterdir()):
        resume = "continue its training with --resume, " if begun else ""
        raise MtlError(
            f"{folder}: exists already; {resume}choose another folder with --output, or remove it"
        )


def check_data(folder: Path, experiment: Experiment) -> None:
    """Check, to resume, that vocabularies and labels are the same as in the run folder.

    Raises:
        MtlError: They differ, because the data has changed.
    """
    # Rows of embeddings and outputs belong to ids: other ids would mix up words and labels.
    vocabularies, targets = read_numberings(experiment.run, folder)
    for name, vocabulary in experiment.vocabularies.items():
        if vocabulary.to_json() != vocabularies[name].to_json():
            raise MtlError(f"{folder}: was trained with other {name}; the text has changed since")
    subwords = experiment.subwords
    if subwords and subwords.to_json() != load_subwords(folder).to_json():
        raise MtlError(f"{folder}: was trained with other subwords; the text has changed since")
    if experiment.targets != targets:
        raise MtlError(f"{folder}: was trained with other labels; the text has changed since")


def _differences(run: Run, before: Run) -> Iterator[tuple[Any, Any, str]]:
    """Yield both values and the path of each difference between two runs."""
    # These may change on resuming: they do not affect the steps that are already done.
    free = {"training.epochs", "training.device", "training.threads", "training.patience"}

    def walk(one: Any, other: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
        if isinstance(one, dict) and isinstance(other, dict):
            for key in {**one, **other}:
                yield from walk(one.get(key), other.get(key), f"{path}.{key}" if path else key)
        elif one != other and path not in free:
            yield one, other, path

    yield from walk(run.model_dump(mode="json"), before.model_dump(mode="json"), "")


def start_folder(folder: Path, experiment: Experiment) -> None:
    """Create a run folder, and write run file, vocabularies, labels and their checksums.

    Raises:
        MtlError: The folder cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MtlError(f"{folder}: cannot be created: {error.strerror}") from error
    remove_checksums(folder)
    with atomic_write(folder / RUN) as file:
        file.write(run_to_yaml(experiment.run))
    save_vocabularies(folder, experiment.vocabularies, experiment.targets, experiment.subwords)
    write_checksums(folder)
