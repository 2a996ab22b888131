"""Apply corrections of labels to copies of the files of a corpus."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtl.analysis.audit.folds import CHECKSUM
from mtl.analysis.audit.issues import Issue, read_issues
from mtl.analysis.corrections.checks import check_copy, task_reader
from mtl.analysis.corrections.rows import FileText, Locate, locator
from mtl.config.corpus import SourceConfig
from mtl.config.run import Run
from mtl.data.readers.base import Reader
from mtl.errors import DataError, MtlError
from mtl.experiment import load_config
from mtl.files import atomic_write, new_folder, open_bytes

_CHANGED = "the file has changed since the audit; run mtl audit again"


@dataclass(frozen=True)
class CorrectedFile:
    """A corrected copy of a file.

    Args:
        source: The file.
        path: The copy.
        labels: The number of labels that differ.
    """

    source: Path
    path: Path
    labels: int


def correct(
    config: Path, corrections: Path, overrides: Sequence[str] = (), *, output: Path
) -> list[CorrectedFile]:
    """Write corrected copies of data files. Everything but the corrected labels stays identical.

    Args:
        config: The run file that the labels were audited with.
        corrections: Lines of `audit.jsonl`. Each new label may be changed by hand.
        overrides: The overrides that the labels were audited with.
        output: The new folder for the copies, which keep their names.

    Raises:
        MtlError: A file has changed since the audit; a label is not in its place, or the format
            cannot contain the new one; or the folder exists.
    """
    run = load_config(config, overrides)
    issues = read_issues(corrections)
    if not issues:
        raise MtlError(f"{corrections}: has no corrections; copy lines of audit.jsonl into it")
    by_file: dict[str, list[Issue]] = {}
    for issue in issues:
        by_file.setdefault(issue.file, []).append(issue)
    names = _names(by_file)
    corrected = {file: corrected_content(run, file, own) for file, own in by_file.items()}
    with new_folder(output) as folder:
        for file, name in names.items():
            with atomic_write(folder / name, "wb") as copy:
                copy.write(corrected[file][0])
            check_copy(run, by_file[file], Path(file), folder / name)
    return [
        CorrectedFile(Path(file), output / name, corrected[file][1]) for file, name in names.items()
    ]


def _names(files: Mapping[str, object]) -> dict[str, str]:
    names = {file: Path(file).name for file in files}
    for file, name in names.items():
        if [*names.values()].count(name) > 1:
            raise MtlError(
                f"{file}: another corrected file is called {name} too; correct one of them at a "
                "time"
            )
    return names


def corrected_content(run: Run, file: str, issues: Sequence[Issue]) -> tuple[bytes, int]:
    """Return the content of a file with other labels, and the number of changed labels.

    Args:
        run: The run with the tasks of the issues.
        file: The file.
        issues: The corrections of the file.

    Raises:
        MtlError: As in `correct`.
    """
    path = Path(file)
    readers = {issue.task: task_reader(run, issue.task) for issue in issues}
    for reader in readers.values():
        if {reader.digest(path)[:CHECKSUM]} != {issue.checksum for issue in issues}:
            raise DataError(_CHANGED, path)
    text = FileText(_content(path))
    cells: dict[tuple[int, int], str] = {}
    changed: set[tuple[str, int, int | None]] = set()
    locators: dict[str, Locate] = {}
    for issue in issues:
        if issue.task not in locators:
            reader = readers[issue.task]
            locators[issue.task] = _locator(reader, run.tasks[issue.task].source, path, text)
        for change in issue.changes:
            try:
                cell = locators[issue.task](issue, change)
                key = cell.start, cell.end
                cells[key] = cell.write(cells.get(key, text.content[cell.start : cell.end]), change)
            except ValueError as error:
                message = f"task {issue.task!r}: {error}"
                if (issue.task, issue.sentence, change.token) in changed:
                    message = f"task {issue.task!r}: two corrections change the same label"
                raise DataError(message, path, issue.line) from error
            changed.add((issue.task, issue.sentence, change.token))
    content = text.content
    for (start, end), new in sorted(cells.items(), reverse=True):
        content = content[:start] + new + content[end:]
    encoded = content.encode("utf-8")
    return gzip.compress(encoded, mtime=0) if path.suffix == ".gz" else encoded, len(changed)


def _content(path: Path) -> str:
    with open_bytes(path) as stream:
        raw = stream.read()
    try:
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read as text: {error}; run mtl audit again", path) from error


def _locator(reader: Reader, source: SourceConfig, path: Path, text: FileText) -> Locate:
    try:
        return locator(reader, text, source)
    except ValueError as error:
        raise DataError(str(error), path) from error
