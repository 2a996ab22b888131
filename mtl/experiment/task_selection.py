"""The selection of tasks of a trained model by name and by ability."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, get_args

from mtl.config.run import Run
from mtl.data.readers import READERS, Reader
from mtl.errors import MtlError, did_you_mean
from mtl.experiment.corpora import check_words, labels_sentences, reads_pairs, unit_of
from mtl.experiment.kinds import build
from mtl.experiment.loaders import batch_limits
from mtl.inference.attention import heads_with_attention
from mtl.inference.base import BasePredictor

if TYPE_CHECKING:
    from mtl.export.bundle import TaskForm

TextUnit: TypeAlias = Literal["sentence", "record"]
"""The unit of text that a task labels: a sentence, or a whole line, row or object."""
_Reader = TypeVar("_Reader", bound=Reader)


class TaskSelection:
    """Selects tasks of a model by name and by ability.

    Every method takes the names that a user passed, or None, and returns names in the order of
    the run. Each raises `MtlError` if the model has no such task.

    Args:
        folder: The run folder, for messages.
        run: The run of the model.
        predictor: The predictor of the model.
    """

    def __init__(self, folder: Path, run: Run, predictor: BasePredictor) -> None:
        self._folder = folder
        self._run = run
        self._predictor = predictor

    def named(self, tasks: Sequence[str] | None = None) -> list[str]:
        """Return the named tasks, by default all."""
        known = list(self._run.tasks)
        if isinstance(tasks, str):
            raise MtlError(f"expected a list of tasks, got {tasks!r}; put it into a list")
        for task in tasks or ():
            if task not in known:
                raise MtlError(f"the model has no task {task!r}{did_you_mean(task, known)}")
        return [task for task in known if not tasks or task in tasks]

    def labelling(
        self, tasks: Sequence[str] | None = None, *, characters: bool = False
    ) -> list[str]:
        """Return the named tasks, by default all whose labels are not derived from the text.

        If the labels of all tasks are derived from the text, the default is all tasks.

        Args:
            tasks: The names.
            characters: Whether classifiers may read characters.

        Raises:
            MtlError: A task reads parts of words, so it cannot label words.
        """
        named = self.named(tasks)
        informative = [task for task in named if not self._run.tasks[task].source.derived]
        selected = named if tasks else informative or named
        if not (characters and self.read_characters(selected)):
            check_words(self._run, selected)
        return selected

    def read_characters(self, tasks: Sequence[str]) -> bool:
        """Return whether all tasks are classifiers that read characters."""
        return all(
            unit_of(self._run.corpora[self._run.tasks[task].corpus]) == "characters"
            and self._predictor.targets[task].level == "sentence"
            for task in tasks
        )

    def check_unit(self, tasks: Sequence[str], unit: TextUnit | None, *, split: bool) -> None:
        """Check the unit of text of a prediction.

        Args:
            tasks: The tasks to predict.
            unit: The unit that a user has asked for, if any.
            split: Whether each sentence of a text is predicted by itself.

        Raises:
            MtlError: The tasks cannot read this unit.
        """
        if self.compare_pairs(tasks) and (split or unit == "sentence"):
            raise MtlError("pairs are not split into sentences; leave out split_sentences and unit")
        if split and unit == "record":
            raise MtlError("split_sentences=True and unit='record' exclude each other")
        if self.read_characters(tasks) and unit == "sentence":
            raise MtlError("the tasks read the characters of whole texts; leave out unit")

    def only(self, task: str | None) -> str:
        """Return the named task, by default the only one of `labelling`.

        Raises:
            MtlError: There are several tasks, and none is named.
        """
        selected = self.labelling([task] if task else None)
        if len(selected) > 1:
            raise MtlError(f"expected the name of a task, one of: {', '.join(selected)}")
        return selected[0]

    def attending(self, tasks: Sequence[str] | None = None) -> list[str]:
        """Return the named tasks, by default all whose heads have attention.

        Raises:
            MtlError: The head of a named task has no attention, or no head of the model has.
        """
        selected = self.labelling(tasks)
        attending = [task for task in selected if self._predictor.attention(task)]
        if (tasks and len(attending) < len(selected)) or not attending:
            names = ", ".join(task for task in selected if task not in attending)
            raise MtlError(f"{names}: the head has no attention; {heads_with_attention()}")
        return attending

    def readers(self, tasks: Sequence[str], kind: type[_Reader]) -> list[_Reader]:
        """Return the readers of one kind that read the corpora of the tasks, each setting once."""
        corpora = dict.fromkeys(self._run.tasks[task].corpus for task in tasks)
        parts = (self._run.corpora[corpus].reader for corpus in corpora)
        found: list[_Reader] = []
        for part in parts:
            if issubclass(READERS.find(part.type), kind):
                reader = build("reader", part)
                if not any(vars(reader) == vars(other) for other in found):
                    found.append(reader)
        return found

    def compare_pairs(self, tasks: Sequence[str]) -> bool:
        """Return whether the tasks compare two sentences.

        Raises:
            MtlError: Some tasks compare two sentences, others read one.
        """
        pairs = [task for task in tasks if reads_pairs(self._run, task)]
        if pairs and len(pairs) < len(tasks):
            raise MtlError(
                f"{', '.join(pairs)}: reads pairs, other tasks read single sentences; select tasks "
                "of one kind"
            )
        return bool(pairs)

    def forms(self, tasks: Sequence[str] | None) -> dict[str, TaskForm]:
        """Return task of `labelling` to the form in which a bundle reads and writes it."""
        from mtl.export.bundle import TaskForm

        selected = self.labelling(tasks)
        by_sentence = self.by_sentence(selected)
        return {
            task: TaskForm(
                "sentence" if task in by_sentence else "record",
                reads_pairs(self._run, task),
                self._run.tasks[task].source.derived,
            )
            for task in selected
        }

    def by_sentence(self, tasks: Sequence[str], unit: TextUnit | None = None) -> list[str]:
        """Return the tasks that read each sentence of a text by itself.

        Args:
            tasks: Names of tasks.
            unit: The unit of text for all of them; None: as each was trained.

        Raises:
            MtlError: `unit` has another value.
        """
        if unit not in (None, *get_args(TextUnit)):
            raise MtlError(f"unit: expected 'sentence', 'record' or None, got {unit!r}")
        targets = self._predictor.targets
        return [
            task
            for task in tasks
            if unit == "sentence"
            or (unit is None and labels_sentences(self._run, task, targets[task].level))
        ]

    def language_models(
        self, tasks: Sequence[str] | None = None, *, streams: bool = False
    ) -> list[str]:
        """Return the named tasks, by default all that predict the next word.

        Args:
            tasks: Names of tasks; None: all.
            streams: Whether the tasks must have been trained on running text.

        Raises:
            MtlError: A named task does not predict the next word, or no task of the model does.
        """
        able = [
            name
            for name, task in self._run.tasks.items()
            if task.source.text == "next"
            and (batch_limits(self._run, task.corpus).streams or not streams)
        ]
        expected = "predicts the next word" + " of running text" * streams
        for task in self.named(tasks) if tasks else ():
            if task not in able:
                raise MtlError(f"task {task!r} is not a language model that {expected}")
        if not able:
            raise MtlError(f"{self._folder}: the model has no task that {expected}")
        return [task for task in able if not tasks or task in tasks]
