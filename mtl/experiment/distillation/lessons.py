"""The outputs of the teachers of a task as tensors of a batch.

Letters: B pieces of sentences, T tokens, N tokens or sentences, K labels, P paths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl.experiment.distillation.alignment import LabelAlignment
from mtl.experiment.distillation.outputs import Arrays, expand
from mtl.targets import Target
from mtl.targets.teacher import SoftTargets, TeacherOutput, WeightedLabels


@dataclass(frozen=True)
class StoredProbabilities:
    """The probabilities of one teacher for a split.

    Args:
        arrays: The result of `compress`.
        size: The number of its labels.
        align: Turns them into probabilities of the labels of the head.
    """

    arrays: Arrays
    size: int
    align: LabelAlignment

    def log_probs(self, rows: NDArray[np.int64], last: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the log-probabilities of the labels of the head in some rows, `[N, K]`."""
        own = {name: array[rows] for name, array in self.arrays.items()}
        return self.align(expand(own, self.size), last)


class ProbabilityLesson:
    """The mean probabilities of some teachers.

    Args:
        sources: The teachers, at least one.
        lengths: The number of tokens of each sentence; None for one output per sentence.
        make: Makes the output of a batch of log-probabilities `[B, K]`, or `[B, T, K]` with the
            tokens of each piece.
    """

    def __init__(
        self,
        sources: Sequence[StoredProbabilities],
        lengths: NDArray[np.int32] | None,
        make: Callable[[Tensor, Sequence[int]], TeacherOutput],
    ) -> None:
        self.sources = sources
        self.make = make
        self._ends = None if lengths is None else np.cumsum(lengths, dtype=np.int64)

    def outputs(self, pieces: NDArray[np.int64], tokens: int) -> TeacherOutput:
        """Return the outputs for the pieces of a batch; see `Lesson`."""
        sentences, starts, ends = pieces.T
        if self._ends is None:
            means = self._mean(sentences, np.ones(len(sentences), dtype=bool))
            return self.make(torch.from_numpy(means), [])
        # The token after a piece has a say in what a span tag becomes, so it is read too.
        stops = self._ends[sentences]
        begins = np.where(sentences > 0, self._ends[sentences - 1], 0)
        lengths = ends - starts
        read = np.minimum(lengths + 1, stops - begins - starts)
        rows = np.concatenate(
            [np.arange(n) + b + s for n, b, s in zip(read, begins, starts, strict=True)]
        )
        means = self._mean(rows, np.isin(rows, stops - 1))
        inside = np.concatenate([np.arange(n) < m for n, m in zip(read, lengths, strict=True)])
        padded = np.zeros((len(pieces), tokens, means.shape[1]), dtype=np.float32)
        padded[np.arange(tokens) < lengths[:, None]] = means[inside]
        return self.make(torch.from_numpy(padded), lengths.tolist())

    def _mean(self, rows: NDArray[np.int64], last: NDArray[np.bool_]) -> NDArray[np.float32]:
        parts = [source.log_probs(rows, last) for source in self.sources]
        mean = np.logaddexp.reduce(parts, axis=0) - np.float32(np.log(len(parts)))
        return np.asarray(mean, dtype=np.float32)


@dataclass(frozen=True)
class SoftOutputs:
    """Makes soft targets of log-probabilities.

    Args:
        temperature: The temperature of the loss.
    """

    temperature: float

    def __call__(self, log_probs: Tensor, lengths: Sequence[int]) -> TeacherOutput:
        """Return soft targets."""
        return SoftTargets(log_probs, self.temperature)


@dataclass(frozen=True)
class HardOutputs:
    """Makes labels of log-probabilities: the most probable ones.

    Args:
        target: The target of the task. It repairs span tags that break their scheme, by the rules
            of conlleval.
        threshold: The least confidence. A sentence is left out if the most probable label, of the
            sentence or of one of its tokens, has a lower probability.
    """

    target: Target
    threshold: float = 0.0

    def __call__(self, log_probs: Tensor, lengths: Sequence[int]) -> TeacherOutput:
        """Return one label, or one label sequence, of weight one; of weight zero if left out."""
        best, labels = log_probs.max(-1)
        # Padding has a log-probability of 0, so it is never the least confident token.
        sure = (best.exp() >= self.threshold).view(len(best), -1).all(1)
        if lengths:
            names = self.target.labels
            tags = [
                tuple(names[label] for label in row[:length])
                for row, length in zip(labels.tolist(), lengths, strict=True)
            ]
            labels = self.target.tensor(tags, labels.shape[1])
        return WeightedLabels(labels.unsqueeze(1), sure.float().unsqueeze(1))


class PathLesson:
    """The most probable label sequences of some teachers, which count equally.

    Args:
        sources: The labels of each teacher and its output; see `BestPaths`.
        lengths: The number of tokens of each sentence.
        target: The target of the task, which converts span tags to the scheme of the head.
    """

    def __init__(
        self,
        sources: Sequence[tuple[Sequence[str], Arrays]],
        lengths: NDArray[np.int32],
        target: Target,
    ) -> None:
        self._ends = np.cumsum(lengths, dtype=np.int64)
        self._starts = self._ends - lengths
        self._paths = np.concatenate(
            [self._converted(labels, arrays["paths"], target) for labels, arrays in sources], axis=1
        )
        scores = [np.asarray(arrays["log_probs"], dtype=np.float32) for _, arrays in sources]
        self._weights = _normal(np.concatenate([_normal(np.exp(own)) for own in scores], axis=1))

    def _converted(
        self, labels: Sequence[str], paths: NDArray[np.generic], target: Target
    ) -> NDArray[np.int16]:
        """Return paths with label ids of the head, `[N, P]`."""
        names = np.array(labels, dtype=object)
        converted = np.zeros(paths.shape, dtype=np.int16)
        for start, end in zip(self._starts.tolist(), self._ends.tolist(), strict=True):
            tags = [tuple(names[path]) for path in paths[start:end].T]
            converted[start:end] = target.tensor(tags, end - start).T.numpy()
        return converted

    def outputs(self, pieces: NDArray[np.int64], tokens: int) -> TeacherOutput:
        """Return the outputs for the pieces of a batch; see `Lesson`."""
        sentences, starts, ends = pieces.T
        labels = np.zeros((len(pieces), self._paths.shape[1], tokens), dtype=np.int64)
        firsts = self._starts[sentences] + starts
        for row, (first, length) in enumerate(zip(firsts, ends - starts, strict=True)):
            labels[row, :, :length] = self._paths[first : first + length].T
        weights = torch.from_numpy(self._weights[sentences])
        return WeightedLabels(torch.from_numpy(labels), weights)


def _normal(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return weights `[N, P]` whose rows sum to one, or to zero if all of a row are zero."""
    total = weights.sum(1, keepdims=True)
    return np.asarray(weights / np.where(total > 0, total, 1), dtype=np.float32)
