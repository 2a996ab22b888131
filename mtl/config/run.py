"""What a run file says: which tasks are learnt, on which trunk, with which sharing, trained how."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_serializer, model_validator

from mtl.config.corpus import CorpusConfig, SourceConfig
from mtl.config.parts import Expected, Kind, Misfit, Part, Settings
from mtl.options import (
    Bounds,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

SLOTS = {"words": "words", "characters": "cnn", "affixes": "affixes", "subwords": "subwords"}
"""What can be embedded, and the type of embedding it has by default."""


def _check_device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]+)?", device):
        raise ValueError("unknown device")
    return device


Device = Annotated[
    str, AfterValidator(_check_device), Expected("auto, cpu, cuda, cuda:0 (or higher) or mps")
]


class BatchConfig(Settings):
    """How large a batch is: exactly one of `max_tokens`, `sentences` and `streams`."""

    alternatives: ClassVar[tuple[str, ...]] = ("max_tokens", "sentences", "streams")

    max_tokens: PositiveInt | None = Field(
        default=None, description="The number of tokens, padding included, that a batch may have."
    )
    sentences: PositiveInt | None = Field(
        default=None, description="The number of sentences in a batch."
    )
    streams: PositiveInt | None = Field(
        default=None,
        description="For language models: the text is cut into this many streams, which are read "
        "side by side, a piece at a time; the state is carried from piece to piece.",
    )
    bptt: PositiveInt = Field(default=70, description="The number of words in a piece of a stream.")
    random_bptt: bool = Field(
        default=True,
        description="Whether the length of pieces varies about `bptt`, and the learning rate of "
        "a step with it (Merity et al. 2017).",
    )
    growing_bptt: Annotated[float, Bounds(ge=0, le=1000)] = Field(
        default=0.0,
        description="Pieces are short at first and grow to `bptt` evenly, over as many batches as "
        "this many passes have later on; 0: they are never short.",
    )

    @model_serializer
    def _given(self) -> dict[str, int | float | bool | None]:
        names = [name for name in self.alternatives if getattr(self, name) is not None]
        if self.streams is not None:
            names += ["bptt", "random_bptt", "growing_bptt"]
        return {name: getattr(self, name) for name in names}


class FineTuning(Settings):
    """How the layers of a model that starts from a trained one are treated, the heads apart."""

    lr_ratio: Annotated[float, Bounds(ge=1)] = Field(
        default=1.0,
        description="The learning rate of the last layer is that of the heads divided by this, "
        "and so on down to the embedding, which has the lowest (Howard & Ruder 2018: 2.6).",
    )
    gradual: bool = Field(
        default=False,
        description="Whether the heads train alone in the first epoch, and one more layer in each "
        "that follows, the last layer first and the embedding at the end (Howard & Ruder 2018).",
    )
    frozen: list[Literal["embedding", "trunk"]] = Field(
        default=[], description="The parts whose weights stay as they are."
    )


class Training(Settings):
    """How a run is trained."""

    epochs: PositiveInt = Field(
        default=20, description="The number of passes over the data, at most."
    )
    epoch_steps: PositiveInt | None = Field(
        default=None,
        description="The steps of an epoch, after which the model is evaluated and saved; the next "
        "one goes on in the data where it ended. null: one pass.",
    )
    batch: BatchConfig = Field(
        default=BatchConfig(sentences=32),
        description="The size of a batch, where a task has none of its own.",
    )
    mixing: Annotated[Part, Kind("mixing", "proportional")] = Field(
        description="Which corpus the next batch comes from."
    )
    optimizer: Annotated[Part, Kind("optimizer", "adam")] = Field(
        description="What changes the weights."
    )
    schedule: Annotated[Part, Kind("schedule", "constant")] = Field(
        description="How the learning rate changes."
    )
    clip_norm: PositiveFloat | None = Field(
        default=5.0, description="The global norm of the gradients is cut to this; null: never."
    )
    metric: str = Field(
        default="mean",
        description="What the best epoch is chosen by: TASK.SCORE, or the mean over the tasks, "
        "adversaries left out.",
    )
    patience: PositiveInt | None = Field(
        default=None, description="Training stops after this many epochs without a better one."
    )
    average: Annotated[Part, Kind("average", "exponential", number="decay")] | None = Field(
        default=None,
        description="What averages the weights; a number is the decay of an exponential moving "
        "average; null: none.",
    )
    fine_tuning: FineTuning | None = Field(
        default=None, description="How weights that were trained before are trained; null: as all."
    )
    max_length: PositiveInt = Field(
        default=512, description="Longer sentences are read in windows of this many tokens."
    )
    overlap: NonNegativeInt = Field(default=64, description="The tokens that two windows share.")
    device: Device = Field(
        default="auto", description="Where to compute: auto takes a GPU if there is one."
    )
    threads: Annotated[int, Bounds(ge=1, le=1024)] | None = Field(
        default=None, description="The number of CPU threads; null: as many as torch takes."
    )

    @model_validator(mode="after")
    def _windows_advance(self) -> Training:
        if self.overlap >= self.max_length:
            message = f"expected less than max_length ({self.max_length}), got {self.overlap}"
            raise Misfit("overlap", message)
        return self


class Task(Settings):
    """A task of a run: what a corpus offers, with the changes that the run makes to it."""

    use: str = Field(description="CORPUS/TASK: the task of a corpus file.")
    head: Annotated[Part | str, Kind("head")] = Field(
        description="Options over the corpus' default head, another head, or the name of another "
        "task of the run whose head is shared."
    )
    layer: int | Literal["mix"] = Field(
        default=-1,
        description="The layer that the head reads; mix: a learned mean over all of them.",
    )
    weight: NonNegativeFloat = Field(default=1.0, description="The loss is multiplied by this.")
    lr: PositiveFloat | None = Field(
        default=None, description="The learning rate of the head; null: the optimizer's."
    )
    metric: Annotated[Part, Kind("metric")] = Field(description="What measures the task.")
    patience: PositiveInt | None = Field(
        default=None, description="The task rests after this many epochs without a better score."
    )
    batch: BatchConfig | None = Field(default=None, description="The size of its corpus' batches.")
    sampling: PositiveFloat = Field(
        default=1.0, description="How often its corpus is drawn is multiplied by this."
    )
    target: PositiveFloat | None = Field(
        default=None,
        description="The score on the dev set with which the task has arrived, for the mixing "
        "'progress': a fraction, not per cent, where the score is one; null: 1.",
    )
    where: dict[str, dict[str, list[str]]] = Field(
        default={},
        description="Split to the sentences whose labels count, by the labels of another task of "
        "the corpus, one a sentence: {train: {genre: [news, blog]}}. The others take part as if "
        "they were not labelled for this one.",
    )

    corpus: str = Field(exclude=True, description="The name of its corpus.")
    source: SourceConfig = Field(exclude=True, description="Where the labels are.")
    scheme: Literal["bio", "iob1", "iobes"] | None = Field(
        exclude=True, description="How the files write spans."
    )
    criteria: dict[str, SourceConfig] = Field(
        default={}, exclude=True, description="Where the labels are that `where` goes by."
    )


class Run(Settings):
    """A run, complete: nothing in it depends on other files of the configuration."""

    seed: Annotated[int, Bounds(ge=0, lt=2**63)] = Field(
        default=1, description="Everything random follows from it."
    )
    seeds: PositiveInt = Field(
        default=1,
        description="How often the run is trained: with `seed`, the one after it, and so on, each "
        "in a folder of its own.",
    )
    embedding: dict[str, Annotated[Part, Kind("embedding")]] = Field(
        description=f"What turns tokens into vectors: any of {', '.join(SLOTS)}."
    )
    trunk: Annotated[Part, Kind("trunk")] = Field(description="The layers that the tasks share.")
    sharing: Annotated[Part, Kind("sharing", "hard")] = Field(
        description="How the tasks share trunks."
    )
    weighting: Annotated[Part, Kind("weighting", "static")] = Field(
        description="How the losses of the tasks are balanced."
    )
    tasks: dict[str, Task] = Field(description="What is learnt, by name.")
    corpora: dict[str, CorpusConfig] = Field(
        default={},
        description="Corpora of this run alone, or changes to those of corpus files.",
    )
    training: Training = Field(description="How the run is trained.")
