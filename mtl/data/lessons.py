"""Batches with the outputs of teachers beside the gold labels. Letters: B sentences, T tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mtl.data.loader import Loader

if TYPE_CHECKING:
    from torch import Tensor

    from mtl.data.batch import Batch
    from mtl.data.encoding import Batcher
    from mtl.targets.teacher import TeacherOutput


class Lesson(Protocol):
    """The outputs of the teachers of one task, for all sentences of a split."""

    def outputs(self, pieces: NDArray[np.int64], tokens: int) -> TeacherOutput:
        """Return the outputs for the pieces of a batch.

        Args:
            pieces: Row in the split, first token and the token after the last one, `[B, 3]`.
            tokens: T, the number of tokens of the batch.
        """


class StateLesson(Protocol):
    """The hidden states of the teachers, for all sentences of a split."""

    def states(self, pieces: NDArray[np.int64], tokens: int) -> Tensor:
        """Return the states of the pieces of a batch, `[B, T, D]`; see `Lesson.outputs`."""


class TaughtLoader:
    """A loader whose batches have the outputs of teachers.

    Args:
        loader: The loader.
        lessons: Task to the outputs of its teachers.
        states: The hidden states of the teachers; None if they are not imitated.
    """

    def __init__(
        self, loader: Loader, lessons: Mapping[str, Lesson], states: StateLesson | None = None
    ) -> None:
        self.loader = loader
        self.lessons = dict(lessons)
        self.states = states
        self.size = loader.size
        self.windowed = loader.windowed
        self.longest = loader.longest

    def batch(self, batcher: Batcher, epoch: int, index: int, tasks: Sequence[str]) -> Batch:
        """Return one batch of one pass, both counted from 0, for some tasks."""
        batch = self.loader.batch(batcher, epoch, index, tasks)
        if not len(batch.mask):
            return batch
        pieces, tokens = self.loader.pieces(epoch, index), batch.mask.shape[1]
        taught = [task for task in tasks if task in self.lessons]
        outputs = {task: self.lessons[task].outputs(pieces, tokens) for task in taught}
        # Without any label, a loss would have no gradient.
        known = {task: output for task, output in outputs.items() if output.known.any()}
        states = self.states.states(pieces, tokens) if self.states else None
        return replace(batch, teacher=known, states=states)
