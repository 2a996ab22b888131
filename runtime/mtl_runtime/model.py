"""A model that labels texts, with numpy and compiled kernels alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from mtl_runtime._mtl.errors import MtlError, did_you_mean
from mtl_runtime._mtl.inference.abstention import sure_answers
from mtl_runtime._mtl.inference.inputs import Sentences, read_sentences, split_texts
from mtl_runtime._mtl.inference.prediction import Prediction
from mtl_runtime.predictor import Network, Predictor

TextUnit: TypeAlias = Literal["sentence", "record"]
"""The unit of text that a task labels: a sentence, or a whole text."""


class Model:
    """A model, ready to use. Several threads may use it.

    Its methods return the same as the methods of `mtl.TrainedModel`.

    Args:
        network: The network.
        name: The name of its file.

    Raises:
        ValueError: The description of the network is damaged.
    """

    def __init__(self, network: Network, name: str = "") -> None:
        self.name = name
        self.predictor = Predictor(network)
        self._tasks: dict[str, Any] = network.meta["tasks"]

    def __repr__(self) -> str:
        return f"<Model {self.name!r}: {', '.join(self.tasks)}>"

    @property
    def tasks(self) -> list[str]:
        """The names of its tasks."""
        return list(self._tasks)

    def predict(
        self,
        sentences: Sentences,
        tasks: Sequence[str] | None = None,
        *,
        unit: TextUnit | None = None,
        abstain: float | None = None,
    ) -> dict[str, list[Any]]:
        """Return the labels of texts: task to one item per text.

        Args:
            sentences: Raw texts, which are cut into words, or lists of words; two of them each for
                tasks that compare sentences.
            tasks: The tasks; None: all but those whose labels are derived from the text.
            unit: The unit of text that the tasks read: "sentence" splits raw texts into sentences,
                "record" does not. None: as each task was trained. A classifier that reads sentences
                returns one label per text, from its mean scores.
            abstain: Answers whose confidence is below this probability are None.

        Returns:
            An item is a list with one label per token (taggers), or one label (classifiers). A set
            of labels is a sorted list.

        Raises:
            MtlError: `sentences` is a single string, an item is neither text nor words, or the
                model has no such task.
        """
        selected = self.select(tasks)
        labels: dict[str, list[Any]] = {task: [] for task in selected}
        for prediction in self.annotate(sentences, selected, unit=unit, abstain=abstain):
            for task, value in prediction.labels.items():
                labels[task].append(value)
        return labels

    def annotate(
        self,
        sentences: Sentences,
        tasks: Sequence[str] | None = None,
        *,
        confidence: bool = False,
        unit: TextUnit | None = None,
        split_sentences: bool = False,
        chunk_size: int | None = None,
        abstain: float | None = None,
    ) -> Iterator[Prediction]:
        """Return an iterator over predictions, one per text, in order.

        It reads and labels the texts chunk by chunk, so they may be a generator of any length.

        Args:
            sentences: As for `predict`.
            tasks: As for `predict`.
            confidence: Whether to compute the probabilities of labels.
            unit: As for `predict`.
            split_sentences: Whether to split raw texts into sentences. Then there is one prediction
                per sentence instead of one per text.
            chunk_size: The number of texts per chunk; None: a few thousand. With 1 each text is
                labelled at once.
            abstain: As for `predict`.

        Raises:
            MtlError: As for `predict`; or pairs are to be split.
        """
        selected = self.select(tasks)
        pairs = self.compare_pairs(selected)
        if pairs and (split_sentences or unit == "sentence"):
            raise MtlError("pairs are not split into sentences; leave out split_sentences and unit")
        if split_sentences and unit == "record":
            raise MtlError("split_sentences=True and unit='record' exclude each other")
        by_sentence = self.by_sentence(selected, unit)
        stream = read_sentences(sentences, pairs=pairs)
        predictions = self.predictor.run(
            split_texts(stream) if split_sentences else stream,
            selected,
            confidence=confidence or abstain is not None,
            by_sentence=by_sentence,
            chunk_size=chunk_size,
        )
        return sure_answers(predictions, abstain, confidence=confidence)

    def probabilities(
        self, sentences: Sentences, task: str | None = None
    ) -> tuple[list[str], list[NDArray[np.float64]]]:
        """Return the labels of a task, and the probability of each label.

        Args:
            sentences: As for `predict`.
            task: A task with one label per sentence or token; None: the only task.

        Returns:
            K labels, and per sentence an array `[K]` (classifiers) or `[T, K]` (taggers, T tokens).

        Raises:
            MtlError: As for `predict`; the task has no fixed list of labels; or there are several
                tasks and none is named.
        """
        selected = self.select([task] if task else None)
        if len(selected) > 1:
            raise MtlError(f"expected the name of a task, one of: {', '.join(selected)}")
        pairs = self.compare_pairs(selected)
        read = list(read_sentences(sentences, pairs=pairs))
        chosen, predictor = selected[0], self.predictor
        decoder = predictor.decoders[chosen]
        if decoder.form.kind != "label":
            raise MtlError(
                f"task {chosen!r}: has no probabilities of labels, it predicts {decoder.form.noun}"
            )
        if decoder.form.level == "token":
            return list(decoder.outputs), predictor.token_probabilities(read, chosen)
        logits = predictor.logits(read, chosen).astype(np.float64)
        return list(decoder.labels), list(decoder.label_probabilities(logits))

    # ---- tasks

    def select(self, tasks: Sequence[str] | None = None) -> list[str]:
        """Return the named tasks; by default all whose labels are not derived from the text.

        If the labels of all tasks are derived from the text, the default is all tasks.

        Raises:
            MtlError: The model has no such task.
        """
        known = self.tasks
        for task in tasks or ():
            if task not in known:
                raise MtlError(f"the model has no task {task!r}{did_you_mean(task, known)}")
        if tasks:
            return [task for task in known if task in tasks]
        return [task for task in known if not self._tasks[task]["derived"]] or known

    def compare_pairs(self, tasks: Sequence[str]) -> bool:
        """Return whether the tasks compare two sentences.

        Raises:
            MtlError: Some tasks compare two sentences, others read one.
        """
        pairs = [task for task in tasks if self._tasks[task]["pairs"]]
        if pairs and len(pairs) < len(tasks):
            raise MtlError(
                f"{', '.join(pairs)}: compares two sentences, the other tasks read one; name tasks "
                "of one kind"
            )
        return bool(pairs)

    def by_sentence(self, tasks: Sequence[str], unit: TextUnit | None = None) -> list[str]:
        """Return the tasks that read each sentence of a text by itself.

        Raises:
            MtlError: There is no such unit.
        """
        if unit not in (None, *get_args(TextUnit)):
            raise MtlError(f"unit: expected 'sentence', 'record' or None, got {unit!r}")
        return [task for task in tasks if (unit or self._tasks[task]["unit"]) == "sentence"]
