"""What a corpus file says: where the text is, and what can be learnt from it."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_serializer, model_validator

from mtl.config.parts import Expected, Kind, Misfit, Part, Settings
from mtl.options import Bounds, FilePath, NonNegativeInt, PositiveInt
from mtl.targets import DERIVED, FORMS, Target


def _check_pattern(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error:
        groups = 0
    if groups != 1:
        raise ValueError("expected one group")
    return pattern


def _check_expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(str(error)) from error
    return pattern


def _check_form(form: str) -> str:
    if form not in FORMS:
        raise ValueError("unknown form")
    return form


def _check_percentage(text: str) -> str:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?%", text) or not 0 < float(text[:-1]) < 100:
        raise ValueError("expected a percentage")
    return text


Pattern = Annotated[
    str,
    AfterValidator(_check_pattern),
    Expected("a regular expression with one group in round brackets"),
]
Form = Annotated[
    str,
    AfterValidator(_check_form),
    Expected(f"one of {', '.join(FORMS)}"),
    WithJsonSchema({"enum": [*FORMS]}),
]
Expression = Annotated[str, AfterValidator(_check_expression), Expected("a regular expression")]
SplitSize = Annotated[
    PositiveInt | Annotated[str, AfterValidator(_check_percentage)],
    Expected("a percentage such as 10% or a number of sentences"),
]


class HintConfig(Settings):
    """What words are looked for: exactly one of `pattern` and `lexicon`."""

    alternatives: ClassVar[tuple[str, ...]] = ("pattern", "lexicon")

    pattern: Expression | None = Field(
        default=None, description="A regular expression that is found anywhere in a word."
    )
    lexicon: FilePath | None = Field(
        default=None,
        description="A file of words, one a line. One in lower case stands for all its forms of "
        "case.",
    )
    level: Literal["token", "sentence"] = Field(
        default="token", description="Whether each word is told of, or whether any is there."
    )


class SourceConfig(Settings):
    """Where labels stand: in one of `column`, `metadata`, `feature` and `misc`, or in the words.

    Those that follow from the words alone are given by exactly one of `text`, `word` and `hint`.
    """

    shorthand = "column"
    alternatives: ClassVar[tuple[str, ...]] = (
        *("column", "metadata", "feature", "misc"),
        *DERIVED,
    )

    column: str | None = Field(default=None, description="The name of a column.")
    metadata: str | None = Field(
        default=None, description="A key of the comment lines of a sentence."
    )
    feature: str | None = Field(default=None, description="A key of the FEATS column of CoNLL-U.")
    misc: str | None = Field(default=None, description="A key of the MISC column of CoNLL-U.")
    text: Literal["next", "previous", "same"] | None = Field(
        default=None,
        description="The text itself: the label of a word is the one after it, or before it, as "
        "language models learn it; or the same one, as auto-encoders do.",
    )
    word: Literal["frequency"] | None = Field(
        default=None,
        description="What is known of a word: how frequent it is in the training text, as a whole "
        "number, the logarithm of its count (Plank et al. 2016).",
    )
    hint: HintConfig | None = Field(
        default=None,
        description="Whether a word, or any of the sentence, is of some kind: yes or no.",
    )
    pattern: Pattern | None = Field(
        default=None, description="The label is what the group of this regular expression matches."
    )
    form: Form = Field(
        default="label",
        description="The form of the values: one label per token or per sentence; a set of labels "
        "per sentence, which may be empty; a number per sentence; …",
    )
    separator: str | None = Field(
        default=None,
        description="The separator of items in a string, such as those of a set; null where the "
        "data has lists.",
    )
    weight: str | None = Field(
        default=None,
        description="The column with the weight of each sentence in the training loss, a number "
        "of at least 0; null weighs all sentences equally.",
    )

    @model_validator(mode="after")
    def _form_fits(self) -> SourceConfig:
        if self.form != "label" and self.kind not in ("column", "metadata"):
            raise Misfit("form", f"a {self.form} stands in a column or in metadata")
        if self.pattern is not None and self.derived:
            raise Misfit("pattern", f"nothing is to be found in the labels of `{self.kind}`")
        if self.separator is not None:
            forms = [form for form, targets in FORMS.items() if any(t.has_items for t in targets)]
            if self.form not in forms or not self.separator.strip(" "):
                raise Misfit("separator", f"expected a sign, and `form: {' or '.join(forms)}`")
        if self.weight is not None and self.derived:
            raise Misfit("weight", f"the labels of `{self.kind}` follow from the words")
        return self

    @property
    def kind(self) -> str:
        """Which of the alternatives is given."""
        return next(name for name in self.alternatives if getattr(self, name) is not None)

    @property
    def key(self) -> str:
        """The name of the column, or the key."""
        return str(getattr(self, self.kind))

    @property
    def targets(self) -> tuple[type[Target], ...]:
        """The targets that the labels may be for."""
        if self.hint:
            return tuple(t for t in FORMS["label"] if t.level == self.hint.level)
        return DERIVED[self.kind] if self.kind in DERIVED else FORMS[self.form]

    @property
    def derived(self) -> bool:
        """Whether the labels follow from the words, so that nobody has to write them."""
        return self.kind in DERIVED

    @model_serializer
    def _short(self) -> dict[str, Any]:
        hint = self.hint and self.hint.model_dump(exclude_none=True)
        given: dict[str, Any] = {self.kind: hint or self.key}
        for name in ("pattern", "form", "separator", "weight"):
            if getattr(self, name) != type(self).model_fields[name].default:
                given[name] = getattr(self, name)
        return given


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

    labels: SourceConfig = Field(description="Where the labels are: a column, or a mapping.")
    scheme: Literal["bio", "iob1", "iobes"] | None = Field(
        default=None, description="How the file writes spans; null for labels that are no spans."
    )
    head: Annotated[Part, Kind("head")] = Field(description="The head that a run takes by default.")
    metric: Annotated[Part, Kind("metric")] = Field(description="What measures the task.")

    @model_validator(mode="after")
    def _spans_are_labels(self) -> CorpusTask:
        if self.scheme and self.labels.derived:
            raise Misfit("scheme", f"the labels of `{self.labels.kind}` are not spans")
        if self.scheme and not any(target.has_spans for target in self.labels.targets):
            raise Misfit("scheme", f"spans are labels per token, not a {self.labels.form}")
        return self


class CorpusConfig(Settings):
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
    where: dict[str, dict[str, list[str]]] = Field(
        default={},
        description="Split to the sentences that are taken of it, by the labels of a task that has "
        "one a sentence: {train: {genre: [news, blog]}}. So a corpus can be one domain of a file.",
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
    def _splits_fit(self) -> CorpusConfig:
        if "train" not in self.files:
            raise Misfit("files", "missing key 'train'")
        cut = {"dev", "test"} if self.folds else set(self.splits)
        if self.folds and self.splits:
            raise Misfit("folds", "expected either splits or folds, not both")
        if twice := sorted(cut & set(self.files)):
            given = "folds" if self.folds else "splits"
            raise Misfit(given, f"{twice[0]!r} cannot be cut from train; it is among the files")
        for name in ("where", "limit", "expect"):
            if unknown := sorted(set(getattr(self, name)) - self.split_names):
                raise Misfit(name, f"{unknown[0]!r} is no split of this corpus")
        for chosen in self.where.values():
            if unknown := sorted(set(chosen) - set(self.tasks)):
                raise Misfit("where", f"{unknown[0]!r} is no task of this corpus")
        return self
