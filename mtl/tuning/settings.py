"""The settings of a search, and the names of files in its folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from mtl.errors import MtlError

ObjectiveName: TypeAlias = Literal["score", "speed", "size"]
SamplerName: TypeAlias = Literal["tpe", "gp", "random"]
PruningName: TypeAlias = Literal["median", "halving", "none"]

HIGHER_IS_BETTER = {"score": True, "speed": True, "size": False}
JOURNAL = "study.journal"
BEST = "best.yaml"
FILES = rf"trial-\d+(\.err)?|{re.escape(BEST)}|{re.escape(JOURNAL)}(\..*)?"
"""Pattern of the names in the folder of a search."""


def trial_folder(folder: Path, name: int) -> Path:
    """Return the run folder of a trial."""
    return folder / f"trial-{name}"


@dataclass(frozen=True)
class TuneSettings:
    """How to search.

    Args:
        trials: Number of trials of the study, failed ones included.
        minutes: Number of minutes after which no trial starts; None for no limit.
        jobs: Number of trials at a time.
        sampler: How values are drawn: `tpe` is the tree-structured Parzen estimator (Bergstra et
            al. 2011), `gp` a Gaussian process (Snoek et al. 2012), `random` draws them at random.
        pruning: When a trial is stopped early: `median` stops it if its best dev score so far is
            below the median of the earlier trials after the same epoch, `halving` (Li et al. 2020)
            lets a third of them continue after 1, 3, 9, … epochs, `none` never. None: `median`, or
            `none` with several objectives.
        objectives: `score`, the dev score of the run; also `speed`, tokens per second on the dev
            set, and `size`, bytes of the model file.
        seed: Seed of the draws.
        storage: URL of a SQL database for the study; None: a file in the folder of the search.

    Raises:
        MtlError: A setting is wrong.
    """

    trials: int = 20
    minutes: float | None = None
    jobs: int = 1
    sampler: SamplerName = "tpe"
    pruning: PruningName | None = None
    objectives: tuple[ObjectiveName, ...] = ("score",)
    seed: int = 1
    storage: str | None = None

    def __post_init__(self) -> None:
        _check_choice("sampler", self.sampler, get_args(SamplerName))
        _check_choice("pruning", self.pruning or "none", get_args(PruningName))
        for name in self.objectives:
            _check_choice("objectives", name, get_args(ObjectiveName))
        if len(set(self.objectives)) < len(self.objectives) or "score" not in self.objectives:
            raise MtlError(
                "objectives: expected score, and also speed or size if you like, each once"
            )
        if self.trials < 1 or self.jobs < 1:
            raise MtlError("trials, jobs: expected at least 1")
        if self.minutes is not None and not self.minutes > 0:
            raise MtlError(f"minutes: expected a number above 0, got {self.minutes}")
        if len(self.objectives) > 1 and self.pruning not in (None, "none"):
            raise MtlError(
                f"pruning: {self.pruning!r} compares one score, and there are several objectives; "
                "leave it out"
            )

    @property
    def pruner(self) -> PruningName:
        """The pruning that is in effect."""
        return self.pruning or ("median" if len(self.objectives) == 1 else "none")


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise MtlError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
