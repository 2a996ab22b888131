"""Reading a run file with all checks."""

from __future__ import annotations

from os import PathLike

from mtl.config.load import load_run
from mtl.config.overrides import Overrides
from mtl.config.run import Run
from mtl.experiment.checks.run import mistakes
from mtl.experiment.kinds import KINDS
from mtl.experiment.pretrained import with_sizes


def load_config(
    path: str | PathLike[str], overrides: Overrides = (), *, must_exist: bool = True
) -> Run:
    """Read and check a run file, with all registries and checks; see `mtl.config.load.load_run`."""
    # Without its files, a finished run cannot and need not look up the sizes of its model again.
    complete = with_sizes if must_exist else lambda run: run
    return load_run(
        path, overrides, kinds=KINDS, must_exist=must_exist, complete=complete, check=mistakes
    )
