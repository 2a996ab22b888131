"""What a corpus file says: where the text is, and what can be learnt from it."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_serializer, model_validator

from mtl.config.parts import Expected, Kind, Misfit, Part, Settings
from mtl.options import Bounds, NonNegativeInt, PositiveInt


def _check_pattern(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error:
        groups = 0
    if groups != 1:
        raise ValueError("expected one group")
    return pattern


def _check_percentage(text: str) -> str:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?%", text) or not 0 < float(text[:-1]) < 100:
        raise ValueError("expected a percentage")
    return text


Pattern = Annotated[
    str,
    AfterValidator(_check_pattern),
    Expected("a regular expression with one group in round brackets"),
]
SplitSize = Annotated[
    PositiveInt | Annotated[str, AfterValidator(_check_percentage)],
    Expected("a percentage such as 10% or a number of sentences"),
]


class Source(Settings):
    """Where labels stand: exactly one of `column`, `metadata`, `feature`, `misc` and `text`."""

    shorthand = "column"
    alternatives: ClassVar[tuple[str, ...]] = ("column", "metadata", "feature", "misc", "text")

    column: str | None = Field(default=None, description="The name of a column.")
    metadata: str | None = Field(
        default=None, description="A key of the comment lines of a sentence."
    )
    feature: str | None = Field(default=None, description="A key of the FEATS column of CoNLL-U.")
    misc: str | None = Field(default=None, description="A key of the MISC column of CoNLL-U.")
    text: Literal["next", "previous"] | None = Field(
        default=None,
        description="The text itself: the label of a word is the one after it, or before it, as "
        "language models learn it.",
    )
    pattern: Pattern | None = Field(
        default=None, description="The label is what the group of this regular expression matches."
    )

    @property
    def kind(self) -> str:
        """Which of the alternatives is given."""
        return next(name for name in self.alternatives if getattr(self, name) is not None)

    @property
    def key(self) -> str:
        """The name of the column, or the key."""
        return str(getattr(self, self.kind))

    @model_serializer
    def _short(self) -> dict[str, str]:
        given = {self.kind: self.key}
        return given if self.pattern is None else {**given, "pattern": self.pattern}


class Folds(Settings):
    """Cross-validation: the training data is cut into folds, of which one is the test set."""

    count: Annotated[int, Bounds(ge=2)] = Field(default=10, description="The number of folds.")
    fold: NonNegativeInt = Field(default=0, description="The fold that is the test set, from 0.")
    dev: SplitSize = Field(default="10%", description="How much of the other folds is the dev set.")

    @model_validator(mode="after")
    def _fold_exists(self) -> Folds:
        if self.fold >= self.count:
            raise Misfit("fold", f"expected less than count ({self.count}), got {self.fold}")
        return self


class CorpusTask(Settings):
    """Something that can be learnt from a corpus."""

    labels: Source = Field(description="Where the labels are: a column, or a mapping.")
    scheme: Literal["bio", "iob1", "iobes"] | None = Field(
        default=None, description="How the file writes spans; null for labels that are no spans."
    )
    head: Annotated[Part, Kind("head")] = Field(description="The head that a run takes by default.")
    metric: Annotated[Part, Kind("metric")] = Field(description="What measures the task.")


class Corpus(Settings):
    """A corpus: files, how they are read and split, and the tasks in them."""

    name: str = Field(exclude=True, description="What `use:` calls it.")
    title: str | None = Field(default=None, description="What it is.")
    licence: str | None = Field(default=None, description="The licence of the data.")
    reader: Annotated[Part, Kind("reader")] = Field(description="What reads the files.")
    files: dict[str, list[str]] = Field(
        description="Split to one path or several: of this folder or of $MTL_DATA."
    )
    splits: dict[Literal["dev", "test"], SplitSize] = Field(
        default={}, description="Splits cut from the training data, the same ones every time."
    )
    folds: Folds | None = Field(
        default=None, description="Cross-validation, for corpora without a split."
    )
    limit: dict[str, PositiveInt] = Field(
        default={},
        description="Split to the number of sentences that are taken of it, the same ones every "
        "time, to see what fewer labels give.",
    )
    expect: dict[str, NonNegativeInt] = Field(
        default={}, description="Split to the number of sentences it must have."
    )
    tasks: dict[str, CorpusTask] = Field(description="What can be learnt, by name.")

    @property
    def split_names(self) -> set[str]:
        """The splits that it has, from files or cut from the training data."""
        return {*self.files, *({"dev", "test"} if self.folds else self.splits)}

    @model_validator(mode="after")
    def _splits_fit(self) -> Corpus:
        if "train" not in self.files:
            raise Misfit("files", "missing key 'train'")
        cut = {"dev", "test"} if self.folds else set(self.splits)
        if self.folds and self.splits:
            raise Misfit("folds", "expected either splits or folds, not both")
        if twice := sorted(cut & set(self.files)):
            given = "folds" if self.folds else "splits"
            raise Misfit(given, f"{twice[0]!r} cannot be cut from train; it is among the files")
        for name in ("limit", "expect"):
            if unknown := sorted(set(getattr(self, name)) - self.split_names):
                raise Misfit(name, f"{unknown[0]!r} is no split of this corpus")
        return self
