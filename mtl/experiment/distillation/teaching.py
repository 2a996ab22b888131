"""The outputs of teachers in the batches and in the loss of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from mtl.config.distillation import Distillation
from mtl.data.corpus import Corpus, Split
from mtl.data.lessons import Lesson, TaughtLoader
from mtl.data.loader import Loader
from mtl.data.streams import Streams
from mtl.experiment.corpora import reads_pairs
from mtl.experiment.distillation.alignment import LabelAlignment
from mtl.experiment.distillation.lessons import (
    HardOutputs,
    PathLesson,
    ProbabilityLesson,
    SoftOutputs,
    StoredProbabilities,
)
from mtl.experiment.distillation.outputs import (
    BestPaths,
    LabellingBar,
    OutputForm,
    Probabilities,
    label_split,
    of_corpus,
    path_labels,
)
from mtl.experiment.distillation.states import StateLessons, store_states
from mtl.experiment.distillation.text import TRANSFER, read_by_teachers
from mtl.experiment.distillation.transfer_set import TransferSet
from mtl.experiment.experiment import Experiment
from mtl.experiment.loaders import make_loader
from mtl.inference.readouts import label_probabilities

_TEMPERATURE = 2.0
_PATHS = 4
_TOGETHER = 1000
"""The number of sentences whose outputs are read at once."""


@dataclass(frozen=True)
class Teaching:
    """The outputs of all teachers, ready for training.

    Args:
        text: The unlabelled text, with augmented copies of sentences; None without any.
        lessons: Corpus to task to the outputs of its teachers.
        gold: Share of gold labels where there are both, or "anneal".
        states: The hidden states of the teachers; None if they are not imitated.
        notes: Notes for the plan.
    """

    text: Corpus | None = None
    lessons: Mapping[str, Mapping[str, Lesson]] = field(default_factory=dict)
    gold: float | str = 1.0
    states: StateLessons | None = None
    notes: Sequence[str] = ()

    def loaders(
        self,
        experiment: Experiment,
        loaders: Mapping[str, Loader | Streams],
        part: tuple[int, int],
    ) -> dict[str, Loader | TaughtLoader | Streams]:
        """Return the batches of each corpus with the outputs of the teachers, text included.

        Args:
            experiment: The student.
            loaders: The batches of its corpora.
            part: The part of each batch, from 0, and the number of parts: one per process.
        """
        every: dict[str, Loader | Streams] = dict(loaders)
        if self.text:
            tasks = list(self.lessons[TRANSFER])
            every[TRANSFER] = make_loader(
                experiment.run, self.text, "train", tasks, batcher=experiment.batcher, part=part
            )
        states = self.states.lessons if self.states else {}
        return {
            name: TaughtLoader(loader, self.lessons[name], states.get(name))
            if name in self.lessons and isinstance(loader, Loader)
            else loader
            for name, loader in every.items()
        }

    def tasks(self, tasks: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Return the tasks that learn from each corpus, from gold labels or from teachers."""
        return {
            name: list(dict.fromkeys([*tasks.get(name, ()), *self.lessons.get(name, ())]))
            for name in {**tasks, **self.lessons}
        }

    def gold_share(self, steps: int) -> Callable[[int], float]:
        """Return the share of gold labels by step; it grows from 0 to 1 if it is annealed.

        Args:
            steps: The number of steps of the run.
        """
        constant = self.gold
        if isinstance(constant, str):
            return lambda step: min(1.0, step / max(1, steps - 1))
        return lambda step: float(constant)


def teach(
    experiment: Experiment,
    corpora: Mapping[str, Corpus],
    transfer: TransferSet,
    progress: LabellingBar,
) -> Teaching:
    """Let the teachers label the text, or read their outputs from the cache.

    Args:
        experiment: The student.
        corpora: Its corpora by name.
        transfer: Its teachers and the unlabelled text.
        progress: Displays the progress of labelling.

    Raises:
        MtlError: The labels of a teacher and of the student differ, or the cache cannot be written.
    """
    run = experiment.run
    options = run.distillation
    assert options
    makers = {
        task: _LessonMaker(experiment, transfer, options, task, progress)
        for task in transfer.teachers
    }
    lessons: dict[str, dict[str, Lesson]] = {}
    single: dict[str, Split] = {}
    devices = [experiment.device] if experiment.device.type == "cuda" else []
    # Labelling draws no random numbers; if a part of a user does, the run is still the same.
    with torch.random.fork_rng(devices):
        for name, pairs in read_by_teachers(run).items():
            split = corpora[name].splits["train"]
            single |= {} if pairs else {name: split}
            lessons[name] = {
                task: make(name, split)
                for task, make in makers.items()
                if reads_pairs(run, task) == pairs
            }
        if transfer.corpus:
            split = single[TRANSFER] = transfer.corpus.splits["train"]
            lessons[TRANSFER] = {
                task: make(TRANSFER, split)
                for task, make in makers.items()
                if not reads_pairs(run, task)
            }
        states = store_states(run, transfer.teachers, single, progress)
    lessons = {name: own for name, own in lessons.items() if own}
    notes = [*(states.notes if states else ())]
    if options.threshold:
        texts = {**corpora, **({TRANSFER: transfer.corpus} if transfer.corpus else {})}
        for name, own in lessons.items():
            notes += _confident(name, own, texts[name].splits["train"])
    return Teaching(transfer.corpus, lessons, options.gold, states, notes)


def _confident(corpus: str, lessons: Mapping[str, Lesson], split: Split) -> Iterator[str]:
    """Yield, for each task with sentences whose teacher is not confident, a note on them."""
    rows = np.arange(len(split))
    pieces = np.stack([rows, np.zeros_like(rows), split.lengths.astype(rows.dtype)], axis=1)
    for task, lesson in lessons.items():
        known = 0
        for first in range(0, len(rows), _TOGETHER):
            own = pieces[first : first + _TOGETHER]
            known += int(lesson.outputs(own, int(own[:, 2].max())).known.sum())
        if known < len(rows):
            yield (
                f"task {task}: the teacher is confident of {known:,} of {len(rows):,} sentences of "
                f"{corpus}"
            )


class _LessonMaker:
    """Makes the lessons of one task."""

    def __init__(
        self,
        experiment: Experiment,
        transfer: TransferSet,
        options: Distillation,
        task: str,
        progress: LabellingBar,
    ) -> None:
        self.head = experiment.model.head(task)
        self.target = experiment.batcher.targets[task]
        self.teachers = transfer.teachers[task]
        self.options = options
        self.progress = progress
        scheme = experiment.run.tasks[task].scheme
        own, _ = label_probabilities(self.head, torch.empty(0, 0, len(self.head.labels)), scheme)
        # Before anything is labelled, which takes long.
        self.alignments = [
            LabelAlignment(task, str(teacher), teacher.labels, own, self.head.labels)
            for teacher in self.teachers
        ]
        self.reads_paths = self.target.level == "token" and options.tokens == "paths"
        self.path_labels = [path_labels(own) for own in self.teachers] if self.reads_paths else []

    def __call__(self, corpus: str, split: Split) -> Lesson:
        """Return the outputs of the teachers for the training text of a corpus."""
        progress = of_corpus(self.progress, corpus)
        if self.reads_paths:
            form: OutputForm = BestPaths(self.options.paths or _PATHS)
            found = [label_split(own, split, form, progress) for own in self.teachers]
            sources = list(zip(self.path_labels, found, strict=True))
            return PathLesson(sources, split.lengths, self.target)
        form = Probabilities(self.options.top)
        stored = [
            StoredProbabilities(
                label_split(teacher, split, form, progress), len(teacher.labels), align
            )
            for teacher, align in zip(self.teachers, self.alignments, strict=True)
        ]
        lengths = split.lengths if self.target.level == "token" else None
        return ProbabilityLesson(stored, lengths, self._make())

    def _make(self) -> SoftOutputs | HardOutputs:
        """Return the function that makes the output of a batch from probabilities."""
        of_tokens = self.target.level == "token"
        loss = self.options.tokens if of_tokens else self.options.sentences
        if loss == "hard":
            return HardOutputs(self.target, self.options.threshold)
        return SoftOutputs(
            math.inf if loss == "logits" else self.options.temperature or _TEMPERATURE
        )
