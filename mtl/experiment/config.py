"""Reading a run file with all checks."""

from __future__ import annotations

from functools import partial
from os import PathLike
from pathlib import Path

from mtl.config.load import Config, Given, load_run
from mtl.config.overrides import Overrides
from mtl.config.run import Run
from mtl.config.space import Space, load_space
from mtl.errors import ConfigError
from mtl.experiment.checks.run import mistakes
from mtl.experiment.kinds import KINDS
from mtl.experiment.pretrained import with_sizes
from mtl.registry import OnImport, silently
from mtl.runs.checkpoint import RUN, is_run_folder


def load_config(
    config: Config,
    overrides: Overrides = (),
    *,
    given: Given | None = None,
    must_exist: bool = True,
    on_import: OnImport | None = None,
) -> Run:
    """Read a run file or a dictionary; arguments and errors as `mtl.config.load.load_run`.

    With `must_exist` false the file belongs to a finished run. It may be of an earlier version,
    which allowed options without effect.

    A run file is the user's own, and so are its parts outside mtl, whose modules are imported. The
    run file of a run folder may come from anyone: with `on_import` None, no module is imported.
    """
    complete = with_sizes if must_exist else lambda run: run
    return load_run(
        config,
        overrides,
        kinds=KINDS,
        given=given,
        must_exist=must_exist,
        on_import=on_import if not must_exist else _allowed(config, on_import),
        complete=complete,
        check=partial(mistakes, idle=must_exist),
    )


def load_search_space(
    config: Config, overrides: Overrides = (), *, on_import: OnImport | None = None
) -> Space:
    """Read a run file with ranges; arguments as for `load_config`, errors as for `load_space`."""
    return load_space(
        config,
        overrides,
        kinds=KINDS,
        on_import=_allowed(config, on_import),
        complete=with_sizes,
        check=mistakes,
    )


def _allowed(config: Config, on_import: OnImport | None) -> OnImport | None:
    """Return the permission to import parts: the file of a run folder is not the user's own."""
    path = Path(config) if isinstance(config, str | PathLike) else None
    of_folder = path is not None and path.name == RUN and is_run_folder(path.parent)
    return on_import if of_folder else on_import or silently


def check_run(run: Run) -> Run:
    """Return a run that was not read from a file, after all checks.

    Raises:
        ConfigError: All errors, one per line.
    """
    if found := [f"{path}: {message}" for path, message in mistakes(run)]:
        raise ConfigError("\n".join(found))
    return run
