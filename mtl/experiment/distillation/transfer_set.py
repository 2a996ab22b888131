"""The teachers of a run and the text that they label, found before the student is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mtl.config.run import Run
from mtl.data.corpus import Corpus
from mtl.data.writer import ReadingProgress
from mtl.errors import ConfigError
from mtl.experiment.corpora import reads_pairs
from mtl.experiment.distillation.teachers import (
    TaskTeacher,
    Teacher,
    find_teachers,
    teaching_notes,
)
from mtl.experiment.distillation.text import TRANSFER, load_text, with_copies


@dataclass(frozen=True)
class TransferSet:
    """The teachers of each task, and unlabelled text.

    Args:
        teachers: Task to its teachers.
        text: The unlabelled text; None without any.
        corpus: The text with the augmented copies of all sentences that the teachers label.
        notes: Notes for the plan.
    """

    teachers: Mapping[str, Sequence[TaskTeacher]] = field(default_factory=dict)
    text: Corpus | None = None
    corpus: Corpus | None = None
    notes: Sequence[str] = ()

    @property
    def texts(self) -> dict[str, Corpus]:
        """The unlabelled text by its name; empty without any."""
        return {TRANSFER: self.text} if self.text else {}

    @property
    def labels(self) -> dict[str, list[str]]:
        """Task to the labels of its teachers, which the student learns too."""
        return {
            task: [label for teacher in own for label in teacher.labels]
            for task, own in self.teachers.items()
        }

    @property
    def fingerprints(self) -> dict[str, str]:
        """Folder of a teacher to a hash of its files."""
        every = [teacher for own in self.teachers.values() for teacher in own]
        return {str(own.model.folder.absolute()): own.fingerprint for own in every}


def find_transfer_set(
    run: Run,
    corpora: Mapping[str, Corpus],
    teachers: Sequence[Teacher],
    progress: ReadingProgress | None = None,
) -> TransferSet:
    """Match the teachers with the tasks of a run, and read its unlabelled text.

    Args:
        run: The run, which has teachers.
        corpora: Its corpora by name.
        teachers: The loaded teachers, in the order of the run.
        progress: Displays the progress of reading files that are not in the cache.

    Raises:
        MtlError: The teachers do not fit the tasks, or a file cannot be read.
    """
    assert run.distillation
    found = find_teachers(run, teachers)
    single = [task for task in found if not reads_pairs(run, task)]
    if run.distillation.text and not single:
        raise ConfigError(
            "distillation.text: all tasks with a teacher compare two sentences, and learn from the "
            "pairs of their own corpora; leave it out"
        )
    text = load_text(run, single, progress)
    corpus = with_copies(run, corpora, text)
    notes = teaching_notes(run, found, run.distillation)
    if text:
        notes.append(f"{TRANSFER}: {len(text.splits['train']):,} sentences without labels")
    if corpus:
        notes += [f"{TRANSFER}: {note}" for note in corpus.notes]
    return TransferSet(found, text, corpus, notes)
