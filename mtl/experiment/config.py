"""Reading a run file with all checks."""

from __future__ import annotations

from functools import partial

from mtl.config.load import Config, Given, load_run
from mtl.config.overrides import Overrides
from mtl.config.run import Run
from mtl.errors import ConfigError
from mtl.experiment.checks.run import mistakes
from mtl.experiment.kinds import KINDS
from mtl.experiment.pretrained import with_sizes


def load_config(
    config: Config,
    overrides: Overrides = (),
    *,
    given: Given | None = None,
    must_exist: bool = True,
) -> Run:
    """Read a run file or a dictionary; arguments and errors as `mtl.config.load.load_run`.

    With `must_exist` false the file belongs to a finished run. It may be of an earlier version,
    which allowed options without effect.
    """
    complete = with_sizes if must_exist else lambda run: run
    return load_run(
        config,
        overrides,
        kinds=KINDS,
        given=given,
        must_exist=must_exist,
        complete=complete,
        check=partial(mistakes, idle=must_exist),
    )


def check_run(run: Run) -> Run:
    """Return a run that was not read from a file, after all checks.

    Raises:
        ConfigError: All errors, one per line.
    """
    if found := [f"{path}: {message}" for path, message in mistakes(run)]:
        raise ConfigError("\n".join(found))
    return run
