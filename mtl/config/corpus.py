"""The model of a corpus file: its text files, their format, and their tasks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_serializer, model_validator

from mtl.config.parts import Expected, Kind, Misfit, Part, Settings
from mtl.options import Bounds, FilePath, NonNegativeInt, PositiveInt
from mtl.targets import DERIVED, FORMS, Target
from mtl.text.spans import Scheme


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


def _check_percentage(text: str) -> str:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?%", text) or not 0 < float(text[:-1]) < 100:
        raise ValueError("expected a percentage")
    return text


Pattern = Annotated[
    str,
    AfterValidator(_check_pattern),
    Expected("a regular expression with one group in round brackets"),
]
if TYPE_CHECKING:
    Form = str
else:
    Form = Literal[tuple(FORMS)]  # so that a new form needs no change here
Expression = Annotated[str, AfterValidator(_check_expression), Expected("a regular expression")]
SplitSize = Annotated[
    PositiveInt | Annotated[str, AfterValidator(_check_percentage)],
    Expected("a percentage such as 10% or a number of sentences"),
]


class HintConfig(Settings):
    """Words to search for, as weak labels: exactly one of `pattern` and `lexicon`."""

    alternatives: ClassVar[tuple[str, ...]] = ("pattern", "lexicon")

    pattern: Expression | None = Field(
        default=None,
        description="A regular expression that matches anywhere in a word. Nested repetitions "
        "such as (a+)+ can take exponential time.",
    )
    lexicon: FilePath | None = Field(
        default=None,
        description="A file of words, one per line. A word in lower case matches in any case.",
    )
    level: Literal["token", "sentence"] = Field(
        default="token",
        description="token: label each word that matches; sentence: label sentences with any "
        "match.",
    )


class SourceConfig(Settings):
    """The source of labels: exactly one key.

    `column`, `metadata`, `feature` and `misc` read labels from the file. `text`, `word` and `hint`
    derive them from the words.
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
        description="The text itself: the label of a word is the next or the previous word, for "
        "language models, or the same word, for auto-encoders.",
    )
    word: Literal["frequency"] | None = Field(
        default=None,
        description="A property of each word: the frequency class, ⌊ln count⌋ in the training "
        "text (Plank et al. 2016).",
    )
    hint: HintConfig | None = Field(
        default=None,
        description="Weak labels: whether a word, or any word of the sentence, matches (yes or "
        "no).",
    )
    pattern: Pattern | None = Field(
        default=None, description="The label is the group that this regular expression matches."
    )
    form: Form = Field(
        default="label",
        description="The form of the values: one label per token or per sentence; a set of labels "
        "per sentence, which may be empty; a number per sentence; …",
    )
    separator: str | None = Field(
        default=None,
        description="The separator of items in a string, such as the labels of a set; null where "
        "the data has lists.",
    )
    weight: str | None = Field(
        default=None,
        description="The column with the weight of each sentence in the training loss, a number "
        "of at least 0; null weighs all sentences equally.",
    )

    @model_validator(mode="after")
    def _form_fits(self) -> SourceConfig:
        if self.form != "label" and self.kind not in ("column", "metadata"):
            raise Misfit("form", f"a {self.form} needs `column` or `metadata`, got `{self.kind}`")
        if self.pattern is not None and self.derived:
            raise Misfit("pattern", f"cannot be combined with `{self.kind}`; remove it")
        # A blank alone would be lost: labels are stripped of blanks.
        if self.separator is not None:
            forms = [form for form, targets in FORMS.items() if any(t.has_items for t in targets)]
            if self.form not in forms or not self.separator.strip(" "):
                raise Misfit(
                    "separator",
                    f"expected a non-blank separator, and a form of {', '.join(forms)}",
                )
        if self.weight is not None and self.derived:
            raise Misfit("weight", f"the labels of `{self.kind}` are computed from the words")
        return self

    @property
    def kind(self) -> str:
        """The name of the alternative that is set."""
        return next(name for name in self.alternatives if getattr(self, name) is not None)

    @property
    def key(self) -> str:
        """The value of the alternative: the name of the column, or the key."""
        return str(getattr(self, self.kind))

    @property
    def targets(self) -> tuple[type[Target], ...]:
        """The targets that the labels may be for."""
        if self.hint:
            return tuple(t for t in FORMS["label"] if t.level == self.hint.level)
        return DERIVED[self.kind] if self.kind in DERIVED else FORMS[self.form]

    @property
    def derived(self) -> bool:
        """Whether the labels are derived from the words, and not read from the file."""
        return self.kind in DERIVED

    @model_serializer
    def _short(self) -> dict[str, Any]:
        # Only the keys that a user would write: `alternatives` allows no others to be present.
        hint = self.hint and self.hint.model_dump(exclude_none=True)
        written: dict[str, Any] = {self.kind: hint or self.key}
        for name in ("pattern", "form", "separator", "weight"):
            if getattr(self, name) != type(self).model_fields[name].default:
                written[name] = getattr(self, name)
        return written


class Folds(Settings):
    """Cross-validation: one fold of the training data is the test set, the others train."""

    count: Annotated[int, Bounds(ge=2)] = Field(default=10, description="Number of folds.")
    fold: NonNegativeInt = Field(default=0, description="Index of the test fold, from 0.")
    dev: SplitSize | None = Field(
        default="10%",
        description="Share of the other folds for the dev set; null: the dev set of `files`, or "
        "none.",
    )
    seed: NonNegativeInt | None = Field(
        default=None,
        description="Seed of the assignment of sentences to folds; null: in the order of the "
        "hashes of their words.",
    )
    documents: bool = Field(
        default=False,
        description="Whether all sentences of a document are in the same fold. Documents begin at "
        "`-DOCSTART-` or `# newdoc`.",
    )

    @model_validator(mode="after")
    def _fold_exists(self) -> Folds:
        if self.fold >= self.count:
            raise Misfit("fold", f"expected less than count ({self.count}), got {self.fold}")
        return self


class CorpusTask(Settings):
    """A task of a corpus."""

    labels: SourceConfig = Field(
        description="Source of the labels: the name of a column, or a mapping."
    )
    scheme: Scheme | None = Field(
        default=None,
        description="Tag scheme of span labels in the file; null for labels that are not spans.",
    )
    head: Annotated[Part, Kind("head")] = Field(description="Default head of the task.")
    metric: Annotated[Part, Kind("metric")] = Field(description="Metric of the task.")

    @model_validator(mode="after")
    def _spans_are_labels(self) -> CorpusTask:
        if self.scheme and self.labels.derived:
            raise Misfit("scheme", f"labels of `{self.labels.kind}` are not spans; remove it")
        if self.scheme and not any(target.has_spans for target in self.labels.targets):
            able = "`form: label` or `form: partial`"
            raise Misfit("scheme", f"spans need {able}, got `form: {self.labels.form}`; remove it")
        return self


class CorpusConfig(Settings):
    """A corpus: its files, their reader, its splits and its tasks."""

    name: str = Field(exclude=True, description="The name that `use:` refers to.")
    title: str | None = Field(default=None, description="A short description.")
    licence: str | None = Field(default=None, description="The licence of the data.")
    reader: Annotated[Part, Kind("reader")] = Field(description="Reader of the file format.")
    files: dict[str, list[str]] = Field(
        description="Split to one or more paths, in the folder of this file or in $MTL_DATA."
    )
    splits: dict[Literal["dev", "test"], SplitSize] = Field(
        default={}, description="Splits to cut from the training data, the same in every run."
    )
    folds: Folds | None = Field(
        default=None, description="Cross-validation, for corpora without a split."
    )
    where: dict[str, dict[str, list[str]]] = Field(
        default={},
        description="Split to a filter of its sentences by the labels of a task with one label "
        "per sentence: {train: {genre: [news, blog]}}. It selects, for example, one domain of a "
        "file.",
    )
    limit: dict[str, PositiveInt] = Field(
        default={},
        description="Split to its maximum number of sentences, the same sentences in every run, "
        "to measure the effect of less data.",
    )
    unit: Literal["sentence", "record"] | None = Field(
        default=None,
        description="The unit of text of one row of the files, which `mtl predict` follows: a "
        "sentence, or a record of any length. null: a sentence for labels of tokens and for the "
        "readers conll and conllu, else a record.",
    )
    expect: dict[str, NonNegativeInt] = Field(
        default={}, description="Split to the number of sentences that it must contain."
    )
    tasks: dict[str, CorpusTask] = Field(description="The tasks by name.")

    @property
    def split_names(self) -> set[str]:
        """The names of all splits, read from files or cut from the training data."""
        return {*self.files, *self._cut_names}

    @property
    def _cut_names(self) -> set[str]:
        """The names of the splits that are cut from the training data."""
        if self.folds is None:
            return set(self.splits)
        return {"test"} if self.folds.dev is None else {"dev", "test"}

    @model_validator(mode="after")
    def _splits_fit(self) -> CorpusConfig:
        if "train" not in self.files:
            raise Misfit("files", "missing key 'train'")
        if self.folds and self.splits:
            raise Misfit("folds", "expected either splits or folds, not both")
        if twice := sorted(self._cut_names & set(self.files)):
            key = "folds" if self.folds else "splits"
            raise Misfit(key, f"{twice[0]!r} cannot be cut from train; `files` has it already")
        for name in ("where", "limit", "expect"):
            if unknown := sorted(set(getattr(self, name)) - self.split_names):
                raise Misfit(name, f"{unknown[0]!r} is not a split of this corpus")
        for criteria in self.where.values():
            if unknown := sorted(set(criteria) - set(self.tasks)):
                raise Misfit("where", f"{unknown[0]!r} is not a task of this corpus")
        return self
