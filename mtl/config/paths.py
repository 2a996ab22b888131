"""The search for files: in the folder of the YAML file that names them, then in $MTL_DATA."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from mtl.config.document import Node
from mtl.errors import ConfigError, printable, shorten
from mtl.files import NO_FILE, PACKAGE, exists, find_shipped, near_file
from mtl.options import File

SHIPPED = PACKAGE / "tasks"
"""Folder of the corpus files that come with the package."""


def run_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of a run file.

    Args:
        path: A path or a name; `.yaml` may be left out. If the user has no such file, the package
            is searched, for names such as `ewt_pos` or `configs/ewt_pos.yaml`.
    """
    path = Path(path)
    for candidate in (path, path.with_name(f"{path.name}.yaml") if path.name else path):
        for folder in ("", "configs"):
            found = find_shipped(candidate, folder)
            if exists(found, Path.is_file):
                return found
    return path


def file_mark(annotation: Any) -> File | None:
    """Return the `File` annotation of a type or of its items, or None."""
    if isinstance(annotation, File):
        return annotation
    return next(filter(None, map(file_mark, get_args(annotation))), None)


def find_file(node: Node, must_exist: bool, mark: File) -> str:
    """Return the absolute path of the file that a value names; for a file of the package, its name.

    Args:
        node: The value; relative paths start at the folder of its YAML file.
        must_exist: Whether a missing file is an error. If not, the path in the first folder is
            returned.
        mark: The annotation of the value.

    Raises:
        ConfigError: The file does not exist; the message lists the paths that were tried.
    """
    name = os.path.expanduser(node.value) if "\0" not in node.value else node.value
    data = os.environ.get("MTL_DATA")
    folders = [node.folder, *([Path(data)] if data else [])]
    if mark.shipped:
        folders.append(PACKAGE / mark.shipped)
    tried = [Path(os.path.normpath(folder.absolute() / name)) for folder in folders]
    if existing := [path for path in tried if name and exists(path)]:
        # A device has no end, and a pipe can be read only once.
        if not (existing[0].is_file() or existing[0].is_dir()):
            raise ConfigError(f"{existing[0]}: {NO_FILE}")
        # The run folder records the path, in files that are UTF-8.
        if os.fsencode(existing[0]) != str(existing[0]).encode("utf-8", "replace"):
            name = printable(str(existing[0]))
            raise ConfigError(f"{name}: the name of a file or folder is not UTF-8; rename it")
        # The name is the same on every machine; the path of the package is not.
        shipped = mark.shipped and existing[0].parent == PACKAGE / mark.shipped
        return existing[0].name if shipped else str(existing[0])
    if mark.or_name:  # such as a model of the Hugging Face hub
        return str(node.value)
    if not must_exist:
        return str(tried[0])
    places = " or ".join(shorten(printable(str(path))) for path in dict.fromkeys(tried))
    advice = f"; {mark.advice}" if mark.advice else next(filter(None, map(near_file, tried)), "")
    # A path that starts at a folder above is not one below the folder of the corpora.
    if not (advice or data or os.path.isabs(name) or Path(name).parts[:1] == ("..",)):
        advice = "; set MTL_DATA to the folder of your corpora"
    raise ConfigError(f"no such file: {places}{advice}")


def corpus_folders(starts: Iterable[Path]) -> list[Path]:
    """Return the folders to search for corpus files, in order.

    Args:
        starts: The folders of the files that use the corpus.
    """
    # `tasks` and `../tasks`: a run in configs/ finds the corpora in the tasks/ beside it.
    around = [start / step for start in starts for step in ("", "tasks", "../tasks")]
    return list(dict.fromkeys(Path(os.path.normpath(p)) for p in [*around, SHIPPED]))
