"""The run file of the best trial."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import yaml

from mtl.config.document import Node, merge
from mtl.config.load import Config, Dumper, run_to_yaml
from mtl.config.overrides import Overrides, override_nodes
from mtl.config.paths import run_file
from mtl.config.run import Run
from mtl.errors import ConfigError, Place
from mtl.experiment import load_config
from mtl.files import atomic_write


def write_best(
    path: Path,
    config: Config,
    overrides: Overrides,
    values: Mapping[tuple[str, ...], Any],
    run: Run,
    title: str,
) -> None:
    """Write a run file with the values of a trial, for `mtl train`.

    It extends the run file of the search and contains only the values. If this does not give the
    run of the trial, it is the complete run.

    Args:
        path: The file to write.
        config: The run file of the search, or a dictionary.
        overrides: Changes to it.
        values: Keys to the values of the trial.
        run: The run of the trial.
        title: A comment for the first line.
    """
    if isinstance(config, str | os.PathLike):
        changes = _absolute(_changes(overrides, values), run.model_dump())
        content = {"extends": _from(path.parent, run_file(config)), **changes}
        text = yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
        _write(path, f"# {title}\n{text}")
        try:
            if load_config(path) == run:
                return
        except ConfigError:
            pass
        title += " The complete run, since values alone would not replace parts of the run file."
    _write(path, f"# {title}\n{run_to_yaml(run)}")


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text)


def _from(folder: Path, file: Path) -> str:
    """Return the path of a file as it is written in a file of a folder."""
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return str(file.absolute())


def _changes(overrides: Overrides, values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return overrides and values as the content of a run file."""
    root = reduce(merge, override_nodes(overrides), Node({}, Place("")))
    changes: dict[str, Any] = root.plain()
    for keys, value in values.items():
        inner = changes
        for key in keys[:-1]:
            if not isinstance(inner.get(key), dict):
                inner[key] = {"type": inner[key]} if isinstance(inner.get(key), str) else {}
            inner = inner[key]
        inner[keys[-1]] = value
    return changes


def _absolute(value: Any, complete: Any) -> Any:
    """Return a value with absolute paths, which the complete run has in the same places."""
    if isinstance(value, dict) and isinstance(complete, dict):
        return {key: _absolute(child, complete.get(key)) for key, child in value.items()}
    if isinstance(value, list) and isinstance(complete, list) and len(value) == len(complete):
        return [_absolute(*pair) for pair in zip(value, complete, strict=True)]
    both = isinstance(value, str) and isinstance(complete, str)
    return complete if both and os.path.isabs(complete) else value
