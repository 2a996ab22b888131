"""Outputs of teachers, computed once and stored in the cache, a shard of sentences per file.

The name of a file is a hash of everything that its content depends on: the files of the teacher,
the task and the words. A stopped run therefore continues after its last whole shard, and another
student of the same teacher finds all shards. Letters: N rows, K labels, P paths.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from mtl.data.corpus import Split
from mtl.data.store import default_cache
from mtl.errors import CheckpointError, ConfigError
from mtl.experiment.distillation.teachers import TaskTeacher
from mtl.inference.inputs import Sentence, Sentences
from mtl.runs.checkpoint import load_tensors, save_tensors
from mtl.text.example import Example

Arrays: TypeAlias = "dict[str, NDArray[np.generic]]"
LabellingBar: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]
"""Maps a teacher with its work and a number of sentences to a context manager; its value is called
with the number of sentences that are done."""

_FORMAT = 1
"""The version of the files. Increase it when older ones can no longer be used."""
_SHARD = 512
"""The most sentences per file."""
_SMALLEST = -30.0
"""The smallest stored log-probability; smaller ones are stored as this one."""


class OutputForm(ABC):
    """The form of stored outputs, such as probabilities or label sequences."""

    name: ClassVar[str]
    verb: ClassVar[str] = "labels"
    """The work of the teacher, for the user."""

    @property
    @abstractmethod
    def options(self) -> list[int | str]:
        """The values that the content depends on."""

    @abstractmethod
    def label(self, teacher: TaskTeacher, sentences: Sequence[Sentence]) -> Arrays:
        """Return the outputs of a teacher for some sentences; the first axis is concatenated."""


class Probabilities(OutputForm):
    """The log-probabilities of the most probable labels, and of all others together.

    Args:
        top: The number of labels.
    """

    name = "probabilities"

    def __init__(self, top: int) -> None:
        self.top = top

    @property
    def options(self) -> list[int | str]:
        """The number of labels."""
        return [self.top]

    def label(self, teacher: TaskTeacher, sentences: Sequence[Sentence]) -> Arrays:
        """Return the arrays of `compress`; a row is a token, or a sentence for classifiers."""
        # Sentences of similar length together have the least padding.
        order = sorted(range(len(sentences)), key=lambda row: len(sentences[row].example))
        _, found = teacher.model.probabilities([sentences[row] for row in order], teacher.task)
        rows = dict(zip(order, found, strict=True))
        every = [np.atleast_2d(rows[row]) for row in range(len(sentences))]
        return compress(np.concatenate(every), self.top)


def compress(probabilities: NDArray[np.float64], top: int) -> Arrays:
    """Return probabilities in few bytes, for `expand`.

    Args:
        probabilities: `[N, K]`.
        top: The number of labels that keep their own probability; all if K ≤ top + 1.

    Returns:
        `log_probs`, float16 `[N, K]`; or `[N, top + 1]`, the last one of all other labels
        together, with `labels`, the ids of the others, int16 `[N, top]`.
    """
    if probabilities.shape[1] <= top + 1:
        return {"log_probs": _logarithm(probabilities)}
    ids = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    best = np.take_along_axis(probabilities, ids, axis=1)
    rest = np.clip(1 - best.sum(1, keepdims=True), 0, 1)
    both = np.concatenate([best, rest], axis=1)
    return {"log_probs": _logarithm(both), "labels": ids.astype(np.int16)}


def _logarithm(probabilities: NDArray[np.float64]) -> NDArray[np.float16]:
    return np.log(np.maximum(probabilities, np.exp(_SMALLEST))).astype(np.float16)


def expand(arrays: Mapping[str, NDArray[np.generic]], size: int) -> NDArray[np.float32]:
    """Return the log-probabilities of all K labels, `[N, K]`; each row sums to one.

    Labels without a probability of their own share the rest equally.

    Args:
        arrays: The result of `compress`.
        size: K.
    """
    log_probs = arrays["log_probs"].astype(np.float32)
    if "labels" in arrays:
        ids = arrays["labels"].astype(np.int64)
        rest = log_probs[:, -1:] - np.float32(np.log(size - ids.shape[1]))
        full = np.repeat(rest, size, axis=1)
        np.put_along_axis(full, ids, log_probs[:, :-1], axis=1)
        log_probs = full
    total = np.logaddexp.reduce(log_probs, axis=1, keepdims=True)
    normal: NDArray[np.float32] = log_probs - total
    return normal


@runtime_checkable
class PathTeacher(Protocol):
    """A teacher that gives label sequences."""

    def best_paths(
        self, sentences: Sentences, task: str, number: int
    ) -> tuple[list[str], list[tuple[NDArray[np.int64], NDArray[np.float64]]]]:
        """Return labels, and per sentence the best paths with their log-probabilities."""


class BestPaths(OutputForm):
    """The most probable label sequences.

    Args:
        number: P.
    """

    name = "paths"

    def __init__(self, number: int) -> None:
        self.number = number

    @property
    def options(self) -> list[int | str]:
        """The number of sequences."""
        return [self.number]

    def label(self, teacher: TaskTeacher, sentences: Sequence[Sentence]) -> Arrays:
        """Return `paths`, int16 `[tokens, P]`, and `log_probs`, float16 `[sentences, P]`."""
        assert isinstance(teacher.model, PathTeacher)
        _, found = teacher.model.best_paths(sentences, teacher.task, self.number)
        return {
            "paths": np.concatenate([paths.T for paths, _ in found]).astype(np.int16),
            "log_probs": np.stack([scores for _, scores in found]).astype(np.float16),
        }


def path_labels(teacher: TaskTeacher) -> list[str]:
    """Return the labels of the sequences of a teacher, in the order of their ids.

    Raises:
        ConfigError: It gives no sequences.
    """
    if not isinstance(teacher.model, PathTeacher):
        raise ConfigError(
            f"distillation.tokens: {teacher} is not a single run, so it has no label sequences; "
            "use marginals"
        )
    return teacher.model.best_paths([], teacher.task, 1)[0]


def of_corpus(progress: LabellingBar, corpus: str) -> LabellingBar:
    """Return a display of the progress that names a corpus too."""
    return lambda work, sentences: progress(f"{corpus}: {work}", sentences)


def label_split(
    teacher: TaskTeacher, split: Split, form: OutputForm, progress: LabellingBar
) -> Arrays:
    """Return the outputs of a teacher for all sentences of a split, from the cache if it has them.

    Raises:
        MtlError: The cache cannot be written.
    """
    shards = (split[first : first + _SHARD] for first in range(0, len(split), _SHARD))
    return label_examples(teacher, shards, form, progress, len(split))


def label_examples(
    teacher: TaskTeacher,
    parts: Iterable[Sequence[Example]],
    form: OutputForm,
    progress: LabellingBar,
    total: int,
) -> Arrays:
    """Return the outputs of a teacher for some sentences, from the cache if it has them.

    Args:
        teacher: The teacher.
        parts: The sentences, in one part per file of the cache.
        form: The form of the outputs.
        progress: Displays the progress.
        total: The number of sentences.

    Raises:
        MtlError: The cache cannot be written.
    """
    folder = default_cache() / "teachers"
    folder.mkdir(parents=True, exist_ok=True)
    start = json.dumps([_FORMAT, teacher.fingerprint, teacher.task, form.name, *form.options])
    shards, count = [], 0
    with progress(f"{teacher} {form.verb}", total) as done:
        for examples in parts:
            shards.append(_shard(folder, start, examples, teacher, form))
            count += len(examples)
            done(count)
    return {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}


def _shard(
    folder: Path, start: str, examples: Sequence[Example], teacher: TaskTeacher, form: OutputForm
) -> Arrays:
    digest = hashlib.blake2b(start.encode(), digest_size=16)
    for example in examples:
        digest.update(json.dumps([example.second, *example.tokens]).encode())
    path = folder / f"{digest.hexdigest()}.safetensors"
    if path.is_file():
        try:
            return {name: value.numpy() for name, value in load_tensors(path).items()}
        except CheckpointError:  # damaged: it is computed again
            pass
    arrays = form.label(teacher, [Sentence(example) for example in examples])
    save_tensors(path, {name: torch.from_numpy(value) for name, value in arrays.items()})
    return arrays
