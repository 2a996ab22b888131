"""The section `distillation` of a run: its teachers, the text that they label, and the losses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mtl.config.parts import Misfit, Settings
from mtl.options import FilePath, Fraction, PositiveFloat, PositiveInt, Probability, RunPath


class Augmentation(Settings):
    """Augmented copies of the sentences that the teachers label (Tang et al. 2019)."""

    copies: PositiveInt = Field(
        default=1, description="Number of copies of each sentence; equal copies are left out."
    )
    mask: Probability = Field(
        default=0.1, description="Probability that a word of a copy becomes an unknown word."
    )
    replace: Probability = Field(
        default=0.0,
        description="Probability that a word of a copy becomes another word with the same tag; "
        "needs `tags`.",
    )
    tags: str | None = Field(
        default=None,
        description="Task with one label per token; its gold labels are the tags for `replace`.",
    )
    cut: Probability = Field(
        default=0.25, description="Probability that a copy is cut to one to five adjacent words."
    )

    @model_validator(mode="after")
    def _tags_fit(self) -> Augmentation:
        if self.replace and not self.tags:
            raise Misfit(
                "replace", "needs `tags`: the task in which both words have the same gold label"
            )
        if self.tags and not self.replace:
            raise Misfit("tags", "has no effect unless `replace` is above 0")
        if not (self.mask or self.replace or self.cut):
            raise Misfit("copies", "would equal the sentences: `mask`, `replace` and `cut` are 0")
        return self


class StateImitation(Settings):
    """Hidden states of the teachers, which the last layer of the trunk imitates."""

    weight: PositiveFloat = Field(
        default=1.0, description="Factor of the squared distance in the loss."
    )
    dim: PositiveInt | None = Field(
        default=64,
        description="The most principal components of the states of a teacher; they are stored in "
        "2 bytes each per token. null: all.",
    )


class Distillation(Settings):
    """Distillation: a run also learns the probabilities of teachers (Hinton et al. 2015)."""

    teachers: list[RunPath] = Field(
        description="Folders of finished runs. By default, a task learns the mean of the "
        "probabilities of all teachers that have a task with the same name."
    )
    match: dict[str, list[str]] = Field(
        default={},
        description="Task to its teachers as FOLDER:TASK; [] for no teacher. Default: all teachers "
        "that have a task with the same name.",
    )
    text: list[FilePath] = Field(
        default=[],
        description="Files of unlabelled text for the teachers: text, CoNLL, JSONL, CSV or TSV.",
    )
    training_text: bool = Field(
        default=True, description="Whether the teachers also label the training text of the run."
    )
    augmentation: Augmentation | None = Field(
        default=None, description="Augmented copies of the sentences for the teachers; null: none."
    )
    sentences: Literal["kl", "logits", "hard"] = Field(
        default="kl",
        description="Loss of classifiers: the divergence from the teacher, the squared distance of "
        "logits, or the loss for the most probable label.",
    )
    tokens: Literal["marginals", "paths", "hard"] = Field(
        default="marginals",
        description="Loss of taggers: for the probabilities of the labels of each token, for the "
        "most probable label sequences, or for the most probable label of each token.",
    )
    temperature: PositiveFloat | None = Field(
        default=None,
        description="Temperature of `kl`, and of `marginals` for heads other than CRFs; null: 2.",
    )
    paths: PositiveInt | None = Field(
        default=None, description="Number of label sequences for `paths`; null: 4."
    )
    threshold: Probability = Field(
        default=0.0,
        description="Least confidence of a teacher with the loss `hard`: a sentence with a lower "
        "probability of its label, or of the label of one of its tokens, has no teacher.",
    )
    top: PositiveInt = Field(
        default=8,
        description="Number of labels per token or sentence whose probabilities are stored; the "
        "others share the rest equally.",
    )
    hidden: StateImitation | None = Field(
        default=None,
        description="Imitation of the hidden states of the teachers, beside their labels; null: "
        "none.",
    )
    gold: Literal["anneal"] | Fraction = Field(
        default="anneal",
        description="Weight λ of the gold labels in λ · gold + (1 − λ) · teacher, for sentences "
        "with gold labels; anneal: from 0 to 1 during training (Clark et al. 2019).",
    )

    @model_validator(mode="after")
    def _options_fit(self) -> Distillation:
        if not self.teachers:
            raise Misfit("teachers", "expected at least one folder of a finished run")
        if not (self.text or self.training_text):
            raise Misfit("training_text", "the teachers have no text; set this, or `text`")
        if self.paths is not None and self.tokens != "paths":
            raise Misfit("paths", "has no effect unless `tokens` is paths")
        if self.threshold and "hard" not in (self.sentences, self.tokens):
            raise Misfit("threshold", "has no effect unless `sentences` or `tokens` is hard")
        if self.temperature is not None and self.sentences != "kl" and self.tokens != "marginals":
            raise Misfit("temperature", "has no effect without `kl` and `marginals`")
        return self
