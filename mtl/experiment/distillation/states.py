"""The hidden states of teachers, for a student that imitates them.

Letters: N tokens, B pieces of sentences, T tokens of a piece, H width of a teacher, D components.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl.config.run import Run
from mtl.data.corpus import Split
from mtl.errors import ConfigError
from mtl.experiment.corpora import reads_pairs
from mtl.experiment.distillation.outputs import (
    Arrays,
    LabellingBar,
    OutputForm,
    label_examples,
    label_split,
    of_corpus,
)
from mtl.experiment.distillation.teachers import TaskTeacher, fingerprint
from mtl.inference.inputs import Sentence, Sentences
from mtl.runs.checksums import tensors_checksum

_SAMPLE = 512
"""The most sentences that the components are fitted on."""


@runtime_checkable
class StateTeacher(Protocol):
    """A teacher that gives hidden states, or an ensemble of such teachers."""

    @property
    def members(self) -> Sequence[Any]:
        """The members of an ensemble; empty for one model."""

    def hidden_states(self, sentences: Sentences, task: str) -> list[NDArray[np.float32]]:
        """Return the hidden states of each sentence, `[T, H]`; see `TrainedModel`."""


def state_teachers(run: Run, teachers: Mapping[str, Sequence[TaskTeacher]]) -> list[TaskTeacher]:
    """Return each teacher once, with the first task that it teaches; ensembles by their members.

    Args:
        run: The student. Tasks that compare sentences are left out.
        teachers: Task to its teachers.
    """
    found: dict[int, TaskTeacher] = {}
    for task, own in teachers.items():
        for each in own if not reads_pairs(run, task) else ():
            assert isinstance(each.model, StateTeacher)
            for model in each.model.members or [each.model]:
                if each.task in model.tasks and id(model) not in found:
                    single = model is each.model
                    digest = each.fingerprint if single else fingerprint(model.folder)
                    found[id(model)] = TaskTeacher(model, each.task, (), digest)
    return list(found.values())


def _encode(teacher: TaskTeacher, sentences: Sequence[Sentence]) -> NDArray[np.float32]:
    """Return the hidden states of all tokens, `[N, H]`."""
    assert isinstance(teacher.model, StateTeacher)
    # Sentences of similar length together have the least padding.
    order = sorted(range(len(sentences)), key=lambda row: len(sentences[row].example))
    found = teacher.model.hidden_states([sentences[row] for row in order], teacher.task)
    rows = dict(zip(order, found, strict=True))
    return np.concatenate([rows[row] for row in range(len(sentences))])


class Components(OutputForm):
    """The principal components of the states of a teacher (Pearson 1901).

    Args:
        dim: The most components; None: all.
    """

    name = "components"
    verb = "encodes a sample of"

    def __init__(self, dim: int | None) -> None:
        self.dim = dim

    @property
    def options(self) -> list[int | str]:
        """The most components; 0: all."""
        return [self.dim or 0]

    def label(self, teacher: TaskTeacher, sentences: Sequence[Sentence]) -> Arrays:
        """Return `mean [H]`, `matrix [H, D]` and `variance [1]`, the kept share."""
        return components(_encode(teacher, sentences), self.dim)


def components(rows: NDArray[np.float32], dim: int | None) -> Arrays:
    """Fit a map (h − mean) · matrix to components whose squared norm is 1 on average.

    Thus a student that always predicts the mean has a squared distance of 1, and one distance is
    the share of the variance that the student does not explain.

    Args:
        rows: The states, `[N, H]`.
        dim: The most components; None: all.

    Returns:
        `mean [H]` and `matrix [H, D]`, float32, and `variance [1]`: the share of the variance that
        the components keep.
    """
    wide = rows.astype(np.float64)
    mean = wide.mean(0)
    centred = wide - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
    kept = values[::-1][:dim].clip(min=0).sum()
    matrix = vectors[:, ::-1][:, :dim]
    largest = np.abs(matrix).argmax(0)
    matrix = matrix * np.sign(matrix[largest, np.arange(matrix.shape[1])])
    smallest = np.finfo(np.float32).tiny
    return {
        "mean": mean.astype(np.float32),
        "matrix": (matrix / np.sqrt(max(kept, smallest))).astype(np.float32),
        "variance": np.array([kept / max(values.sum(), smallest)], dtype=np.float32),
    }


class HiddenStates(OutputForm):
    """The components of the hidden states of each token.

    Args:
        basis: The result of `components`.
    """

    name = "states"
    verb = "encodes"

    def __init__(self, basis: Arrays) -> None:
        self.basis = basis
        tensors = {name: torch.from_numpy(value) for name, value in basis.items()}
        self._digest = tensors_checksum(tensors)

    @property
    def options(self) -> list[int | str]:
        """A checksum of the components."""
        return [self._digest]

    def label(self, teacher: TaskTeacher, sentences: Sequence[Sentence]) -> Arrays:
        """Return `states`, float16 `[N, D]`."""
        mean, matrix = (self.basis[name].astype(np.float32) for name in ("mean", "matrix"))
        rows = (_encode(teacher, sentences) - mean) @ matrix
        largest = np.finfo(np.float16).max
        return {"states": rows.clip(-largest, largest).astype(np.float16)}


class StoredStates:
    """The states of some teachers for a split, side by side, with a squared norm of 1 on average.

    Args:
        sources: The stored states of each teacher, `[N, D]`.
        lengths: The number of tokens of each sentence.
    """

    def __init__(self, sources: Sequence[NDArray[np.generic]], lengths: NDArray[np.int32]) -> None:
        self.sources = sources
        self._starts = np.cumsum(lengths, dtype=np.int64) - lengths

    def states(self, pieces: NDArray[np.int64], tokens: int) -> Tensor:
        """Return the states of the pieces of a batch, `[B, T, D]`; see `StateLesson`."""
        sentences, starts, ends = pieces.T
        lengths = ends - starts
        firsts = self._starts[sentences] + starts
        rows = np.concatenate([np.arange(n) + f for n, f in zip(lengths, firsts, strict=True)])
        found = np.concatenate([own[rows].astype(np.float32) for own in self.sources], axis=1)
        padded = np.zeros((len(pieces), tokens, found.shape[1]), dtype=np.float32)
        padded[np.arange(tokens) < lengths[:, None]] = found / np.sqrt(len(self.sources))
        return torch.from_numpy(padded)


@dataclass(frozen=True)
class StateLessons:
    """The hidden states of the teachers of a run.

    Args:
        lessons: Corpus to the states of its training text.
        width: The number of components D of all teachers.
        weight: The factor of the squared distance.
        notes: Notes for the plan.
    """

    lessons: Mapping[str, StoredStates]
    width: int
    weight: float
    notes: Sequence[str]


def store_states(
    run: Run,
    teachers: Mapping[str, Sequence[TaskTeacher]],
    splits: Mapping[str, Split],
    progress: LabellingBar,
) -> StateLessons | None:
    """Let the teachers encode text, or read their hidden states from the cache.

    Args:
        run: The student.
        teachers: Task to its teachers.
        splits: Corpus to its training text, of single sentences.
        progress: Displays the progress.

    Returns:
        The states; None if the run does not imitate them.

    Raises:
        MtlError: The teachers read no single sentences, or the cache cannot be written.
    """
    assert run.distillation
    options = run.distillation.hidden
    if options is None:
        return None
    if not splits:
        raise ConfigError(
            "distillation.hidden: the teachers read no text of single sentences; add files to "
            "`distillation.text`, or leave it out"
        )
    found: dict[str, list[NDArray[np.generic]]] = {name: [] for name in splits}
    notes, width = [], 0
    first, split = next(iter(splits.items()))
    sample = split[:_SAMPLE]
    for teacher in state_teachers(run, teachers):
        form = Components(options.dim)
        basis = label_examples(teacher, [sample], form, of_corpus(progress, first), len(sample))
        for name, split in splits.items():
            stored = label_split(teacher, split, HiddenStates(basis), of_corpus(progress, name))
            found[name].append(stored["states"])
        own = [sources[-1] for sources in found.values()]
        width += own[0].shape[1]
        notes.append(_note(teacher, basis, own))
    lessons = {name: StoredStates(own, splits[name].lengths) for name, own in found.items()}
    return StateLessons(lessons, width, options.weight, notes)


def _note(teacher: TaskTeacher, basis: Arrays, stored: Iterable[NDArray[np.generic]]) -> str:
    width, dim = basis["matrix"].shape
    share = float(basis["variance"][0])
    size = sum(array.nbytes for array in stored) / 2**20
    return (
        f"hidden states: the trunk imitates {teacher}: {dim:,} of {width:,} components with "
        f"{100 * share:.1f} % of the variance, {2 * dim:,} bytes per token in the cache, "
        f"{size:,.1f} MiB in all"
    )
