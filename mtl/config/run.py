"""The model of a run file: tasks, embedding, trunk, sharing, weighting and training."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_serializer, model_validator

from mtl.config.corpus import CorpusConfig, SourceConfig
from mtl.config.distillation import Distillation
from mtl.config.parts import Expected, Kind, Misfit, Part, Settings
from mtl.options import (
    Bounds,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from mtl.text.spans import Scheme

SLOTS = {
    "words": "words",
    "characters": "cnn",
    "ngrams": "ngrams",
    "affixes": "affixes",
    "subwords": "subwords",
    "gazetteers": "gazetteers",
}
"""Feature that can be embedded, to its default type of embedding."""

LENGTH = "length"
"""The difficulty of a curriculum that needs no task."""

TrackerName: TypeAlias = Literal["mlflow", "wandb"]
"""The name of an experiment tracker, of its package, and of the extra that installs it."""

FIELDS = frozenset(
    {"text", "text_b", "tokens", "tokens_b", "offsets", "spans", "confidence", "explanation"}
    | {"attention", "attention_b", "paths"}
)
"""The fields of predictions as JSON beside the tasks; no task can have such a name."""


def _check_device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]+)?", device):
        raise ValueError("unknown device")
    return device


Device = Annotated[
    str, AfterValidator(_check_device), Expected("auto, cpu, cuda, cuda:0 (or higher) or mps")
]


class BatchConfig(Settings):
    """The size of a batch: exactly one of `max_tokens`, `sentences` and `streams`."""

    alternatives: ClassVar[tuple[str, ...]] = ("max_tokens", "sentences", "streams")
    belonging: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "streams": ("bptt", "random_bptt", "growing_bptt", "overlap")
    }

    max_tokens: PositiveInt | None = Field(
        default=None,
        description="Maximum number of tokens per batch, including padding. The tokens of a "
        "pretrained transformer are its subwords.",
    )
    sentences: PositiveInt | None = Field(
        default=None, description="Maximum number of sentences per batch."
    )
    streams: PositiveInt | None = Field(
        default=None,
        description="For language models: number of parallel streams that the text is split "
        "into. A batch is one chunk of each stream, and the state is carried to the next chunk.",
    )
    bptt: PositiveInt = Field(default=70, description="Mean number of words per chunk of a stream.")
    random_bptt: bool = Field(
        default=True,
        description="Whether the length of chunks varies around `bptt`; the learning rate of a "
        "step is scaled with it (Merity et al. 2017).",
    )
    growing_bptt: Annotated[float, Bounds(ge=0, le=1000)] = Field(
        default=0.0,
        description="Number of passes over which chunks grow linearly to `bptt`, counted in "
        "batches of a full-length pass; 0: chunks do not grow.",
    )

    overlap: NonNegativeInt = Field(
        default=0,
        description="Number of words of a chunk that the next chunk reads again without a loss, so "
        "that gradients reach at least this far back (Sutskever 2013); below `bptt`.",
    )

    @model_validator(mode="after")
    def _chunks_advance(self) -> BatchConfig:
        for name in self.belonging["streams"] if self.streams is None else ():
            if getattr(self, name) != type(self).model_fields[name].default:
                raise Misfit(name, "has no effect without `streams`; leave it out")
        if self.overlap >= self.bptt:
            raise Misfit("overlap", f"expected less than bptt ({self.bptt}), got {self.overlap}")
        return self

    @model_serializer
    def _relevant(self) -> dict[str, int | float | bool | None]:
        # Other batches have no chunks, and run.yaml contains no options without effect.
        names = [name for name in self.alternatives if getattr(self, name) is not None]
        if self.streams is not None:
            names += self.belonging["streams"]
        return {name: getattr(self, name) for name in names}


class FineTuning(Settings):
    """Fine-tuning of pretrained layers: everything below the heads."""

    lr_ratio: Annotated[float, Bounds(ge=1)] = Field(
        default=1.0,
        description="Ratio of the learning rates of adjacent layers. Each layer, from the last "
        "one below the heads down to the embedding, learns with the rate of the layer above "
        "divided by this (Howard & Ruder 2018: 2.6).",
    )
    gradual: bool = Field(
        default=False,
        description="Gradual unfreezing (Howard & Ruder 2018): only the heads train in the first "
        "epoch, and each following epoch adds one layer, from the last layer to the embedding.",
    )
    head_lr: PositiveFloat | None = Field(
        default=None,
        description="Learning rate of the heads without `lr`, and of characters, affixes and words "
        "beside the subwords of a pretrained trunk; null: the learning rate of the optimizer.",
    )
    frozen: list[Literal["embedding", "trunk"]] = Field(
        default=[], description="Parts whose weights are not trained."
    )


class Curriculum(Settings):
    """Easy sentences first: the order of difficulty, and how fast the rest is added.

    All batches have a number of `sentences`. Running text has an order of its own, and does not
    change.
    """

    difficulty: str = Field(
        default=LENGTH,
        description="Difficulty of a sentence: length, the number of its tokens; or the name of a "
        "task of the run with a number per sentence, for the corpus of this task alone.",
    )
    passes: PositiveInt = Field(
        default=3, description="Number of passes over a corpus before all sentences are drawn."
    )
    start: Annotated[float, Bounds(gt=0, lt=1)] = Field(
        default=0.3,
        description="Share of the sentences in the first pass, the easiest ones; it grows linearly "
        "(Bengio et al. 2009).",
    )
    mixed: Annotated[float, Bounds(ge=0, lt=1)] = Field(
        default=0.0,
        description="Share of each pass that is drawn from all sentences, so that hard ones are "
        "seen early too (Zaremba & Sutskever 2014).",
    )


class Consolidation(Settings):
    """Elastic weight consolidation (Kirkpatrick et al. 2017), for a run with `trunk.init_heads`.

    The loss of each batch contains λ/2 · Σ F_i (θ_i − θ*_i)² over the weights of embedding and
    trunk. θ* are their initial values, from the run of `trunk.init`.
    """

    weight: PositiveFloat = Field(default=100.0, description="The factor λ.")
    sentences: PositiveInt = Field(
        default=500,
        description="Number of training sentences per corpus from which the Fisher information F "
        "is computed: the mean squared gradient of the log-probability of labels that the initial "
        "model draws, for the tasks that start from `trunk.init`. Sentences of more than "
        "`training.max_length` tokens are left out.",
    )


class ProfessorConfig(Settings):
    """Professor forcing (Lamb et al. 2016), for tasks that predict the next word of streams.

    In each step, the model draws a chunk of text. A discriminator of hidden states learns to
    distinguish drawn words from given words, and the trunk learns to deceive it.
    """

    weight: PositiveFloat = Field(
        default=1.0, description="Weight of the loss of the trunk, −ln D of the drawn words."
    )
    hidden_size: PositiveInt = Field(default=100, description="Width of the discriminator.")


class Checkpoint(Settings):
    """When the state of training is saved, apart from the end of each epoch and a stop."""

    minutes: PositiveFloat | None = Field(
        default=10.0,
        description="Save the state within epochs too, when this many minutes have passed since "
        "the last time; null: only at the end of each epoch, and when Ctrl-C or SIGTERM ends "
        "training.",
    )


class Training(Settings):
    """Settings of training."""

    epochs: PositiveInt = Field(default=20, description="Maximum number of epochs.")
    epoch_steps: PositiveInt | None = Field(
        default=None,
        description="Number of steps per epoch; the model is evaluated and saved after each epoch, "
        "and the next epoch continues at the same position in the data. null: one pass over the "
        "data.",
    )
    batch: BatchConfig | None = Field(
        default=None,
        description="Batch size of tasks without `batch`; null: 8 to 32 sentences, so that a pass "
        "over a small corpus has about 150 batches.",
    )
    curriculum: Curriculum | None = Field(
        default=None,
        description="Easy sentences first; null: each sentence once in a pass, in random order.",
    )
    mixing: Annotated[Part, Kind("mixing", "proportional")] = Field(
        description="Mixing of the corpora: which corpus each batch comes from."
    )
    optimizer: Annotated[Part, Kind("optimizer", "adam")] = Field(description="The optimizer.")
    decay_biases: bool = Field(
        default=True,
        description="Whether `weight_decay` of the optimizer applies to biases, to the scales of "
        "normalisations and to other vectors too, and not only to matrices.",
    )
    schedule: Annotated[Part, Kind("schedule", "constant")] = Field(
        description="Schedule of the learning rate."
    )
    clip_norm: PositiveFloat | None = Field(
        default=5.0, description="Maximum norm of the gradients of a step; null: no clipping."
    )
    clip_value: PositiveFloat | None = Field(
        default=None,
        description="Maximum absolute value of a single gradient, applied after `clip_norm` "
        "(Mikolov 2012); null: no limit.",
    )
    label_prior: bool = Field(
        default=True,
        description="Whether heads start so that their predictions are the frequencies of the "
        "labels, and of neighbouring labels under a CRF, counted in at most 2,000 training "
        "sentences; otherwise they start at random.",
    )
    gradient_noise: NonNegativeFloat = Field(
        default=0.0,
        description="Variance of Gaussian noise on the gradients of the first step; it falls with "
        "the step t as 1 / (1 + t)^0.55 (Neelakantan et al. 2015); 0: no noise.",
    )
    accumulate: Annotated[int, Bounds(ge=1, le=10**6)] = Field(
        default=1,
        description="Number of consecutive batches of a corpus per step. The step equals one with "
        "a batch of all their sentences, but needs the memory of one of them.",
    )
    loss_unit: Literal["token", "sentence", "max_length"] = Field(
        default="token",
        description="Unit over which the loss of a step is averaged: the labelled tokens; the "
        "sentences, so that the loss of a tagger grows with their lengths; or, with max_length, "
        "as many tokens per sentence as the longest one has. Classifiers have a loss per sentence.",
    )
    processes: Annotated[int, Bounds(ge=1, le=10**6)] | None = Field(
        default=None,
        description="Number of processes for which the batch sizes are meant: a step has this "
        "number times `batch` sentences, tokens or streams, divided among the processes that "
        "train. null: the number of processes that start the run.",
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32",
        description="Type of the embedding and the trunks in training: bf16 needs less time and "
        "memory on hardware that supports it, fp16 the same on CUDA only. Heads, losses, "
        "evaluation and saved weights are float32.",
    )
    metric: str = Field(
        default="mean",
        description="Dev score that selects the best epoch: TASK.SCORE; TASK.loss for the loss of "
        "a task on its dev set; or mean for the mean over the tasks without adversaries.",
    )
    patience: PositiveInt | None = Field(
        default=None,
        description="Number of epochs without improvement after which training stops; null: never.",
    )
    average: Annotated[Part, Kind("average", "exponential", number="decay")] | None = Field(
        default=None,
        description="Averaging of the weights; a number is the decay of an exponential moving "
        "average; null: none.",
    )
    fine_tuning: FineTuning | None = Field(
        default=None,
        description="Fine-tuning of pretrained weights; null: they train like all other weights.",
    )
    ewc: Consolidation | None = Field(
        default=None,
        description="Elastic weight consolidation: weights that matter for the tasks of the run "
        "of `trunk.init` stay near their initial values; null: they may change freely.",
    )
    professor_forcing: ProfessorConfig | None = Field(
        default=None,
        description="Professor forcing of language models: a discriminator makes the hidden "
        "states of drawn words and of given words alike; null: given words alone.",
    )
    checkpoint: Checkpoint = Field(
        default=Checkpoint(), description="When the state is saved, from which a run continues."
    )
    log_gradients: PositiveInt = Field(
        default=100,
        description="Every Nth step logs the gradient norms of the tasks and the cosines between "
        "them, which costs a backward pass per task.",
    )
    track: list[TrackerName] = Field(
        default=[],
        description="Experiment trackers that get the configuration, losses, weights, learning "
        "rates and scores: mlflow, wandb (Weights & Biases). Their environment variables select "
        "the server and the project.",
    )
    max_length: PositiveInt = Field(
        default=512,
        description="Maximum length of a sentence in tokens; longer sentences are split into "
        "windows of this length.",
    )
    overlap: NonNegativeInt = Field(
        default=64, description="Minimum number of tokens that adjacent windows share."
    )
    device: Device = Field(
        default="auto", description="Device to compute on; auto uses a GPU if there is one."
    )
    threads: Annotated[int, Bounds(ge=1, le=1024)] | None = Field(
        default=None, description="Number of CPU threads in training; null: the default of torch."
    )

    @model_validator(mode="after")
    def _windows_advance(self) -> Training:
        # Each window must contain new tokens.
        if self.overlap >= self.max_length:
            message = f"expected less than max_length ({self.max_length}), got {self.overlap}"
            raise Misfit("overlap", message)
        return self


class Task(Settings):
    """A task of a run: the task of a corpus, and the settings of the run for it."""

    use: str = Field(description="CORPUS/TASK: the task of a corpus file.")
    head: Annotated[Part | str, Kind("head")] = Field(
        description="Options that override the default head of the corpus, another head, or the "
        "name of another task of the run whose head is shared."
    )
    layer: int | Literal["mix", "mix_all"] = Field(
        default=-1,
        description="Index of the layer that the head reads; mix: a learned weighted mean of all "
        "layers; mix_all: of all layers and the embedding, as in ELMo (Peters et al. 2018).",
    )
    weight: NonNegativeFloat = Field(default=1.0, description="Factor of the loss.")
    lr: PositiveFloat | None = Field(
        default=None,
        description="Learning rate of the head; null: the learning rate of the optimizer.",
    )
    metric: Annotated[Part, Kind("metric")] = Field(description="Metric of the task.")
    patience: PositiveInt | None = Field(
        default=None,
        description="Number of epochs without improvement after which the task is stopped; null: "
        "never.",
    )
    batch: BatchConfig | None = Field(
        default=None,
        description="Batch size of the corpus of this task; null: the batch size of training.",
    )
    sampling: Annotated[float, Bounds(ge=1e-6, le=1e6)] = Field(
        default=1.0, description="Factor by which the corpus is drawn more often."
    )
    class_balance: Annotated[float, Bounds(ge=0, le=1)] = Field(
        default=0.0,
        description="For one label per sentence: how far the labels are balanced by drawing "
        "sentences of rare labels more often, and others less often. 0: as in the data; 1: equally "
        "many of each label; between them, n sentences with a label count like n^(1 - x).",
    )
    target: PositiveFloat | None = Field(
        default=None,
        description="Dev score at which the task counts as solved, for the mixing 'progress'; "
        "scores such as F1 and accuracy are fractions, not percentages; null: 1.",
    )
    where: dict[str, dict[str, list[str]]] = Field(
        default={},
        description="Split to a filter of the labels, by another task of the corpus with one "
        "label per sentence: {train: {genre: [news, blog]}}. Other sentences count as unlabelled "
        "for this task.",
    )

    corpus: str = Field(exclude=True, description="The name of the corpus.")
    source: SourceConfig = Field(exclude=True, description="Source of the labels.")
    scheme: Scheme | None = Field(
        exclude=True, description="Tag scheme of span labels in the files."
    )
    criteria: dict[str, SourceConfig] = Field(
        default={}, exclude=True, description="Label sources of the tasks in `where`, by name."
    )


class Run(Settings):
    """A complete run: it depends on no other file of the configuration."""

    seed: Annotated[int, Bounds(ge=0, lt=2**63)] = Field(
        default=1, description="Seed of all random numbers."
    )
    seeds: PositiveInt = Field(
        default=1,
        description="Number of trainings with consecutive seeds, starting at `seed`; each has its "
        "own run folder.",
    )
    embedding: dict[str, Annotated[Part, Kind("embedding")]] = Field(
        description=f"Embeddings of the tokens, which are concatenated: {', '.join(SLOTS)}."
    )
    trunk: Annotated[Part, Kind("trunk", "none", bare=True)] = Field(
        description="The layers below the heads; none: heads read the embedding."
    )
    sharing: Annotated[Part, Kind("sharing", "hard")] = Field(
        description="Sharing of the trunk between tasks."
    )
    weighting: Annotated[Part, Kind("weighting", "static")] = Field(
        description="Weighting of the losses of the tasks."
    )
    tasks: dict[str, Task] = Field(description="The tasks by name.")
    corpora: dict[str, CorpusConfig] = Field(
        default={},
        description="Corpora defined in this run, or changes to corpus files.",
    )
    distillation: Distillation | None = Field(
        default=None,
        description="Distillation: trained models whose outputs the tasks learn too; null: none.",
    )
    training: Training = Field(description="Settings of training.")
