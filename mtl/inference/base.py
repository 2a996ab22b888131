"""Label a stream of sentences; each sentence yields one prediction.

Letters: B windows, T tokens, H width of the hidden states.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from mtl.data.windows import Window
from mtl.errors import MtlError
from mtl.heads import Head
from mtl.inference import process
from mtl.inference.attention import merge_attention
from mtl.inference.cutting import CHUNK, Cutter, Piece, bounded
from mtl.inference.given import allowed_labels
from mtl.inference.inputs import Sentence
from mtl.inference.merging import merge_windows
from mtl.inference.prediction import Prediction
from mtl.inference.readouts import read_head
from mtl.inference.task_prediction import Readout, TaskPrediction
from mtl.inference.temperature import NEUTRAL, Temperatures
from mtl.targets import Target
from mtl.text.example import Example, Labels
from mtl.text.spans import Scheme

CHUNK_OF_MATRICES = 16
"""Sentences per chunk with attention matrices, whose memory grows with the square of the length."""
LONGEST = 2048
"""The most tokens of a sentence whose attention matrix can be requested."""


class EncodedBatch(NamedTuple):
    """A batch of windows, encoded.

    Args:
        indices: The indices of the B windows in `pieces`.
        pieces: All windows of the pass.
        hidden: Task to the input of its head, `[B, T, H]`; for pairs `[2 B, T, H]`.
        mask: `[B, T]` bool, True on real tokens, which come first; for pairs `[2 B, T]`.
    """

    indices: Sequence[int]
    pieces: Sequence[Piece]
    hidden: Mapping[str, Tensor]
    mask: Tensor

    @property
    def windows(self) -> list[Window]:
        """The B windows."""
        return [self.pieces[index].window for index in self.indices]


Encode: TypeAlias = Callable[[Sequence[Piece], Sequence[str]], tuple[Mapping[str, Tensor], Tensor]]
"""Encodes windows for some tasks; returns `hidden` and `mask` of `EncodedBatch`."""


class BasePredictor(ABC):
    """Labels sentences: all tasks in one pass, sentences of similar length in one batch.

    Args:
        targets: Task to its target.
        schemes: Task to the output scheme of its span tags; None leaves tags as learned.
        max_length: Longer sentences are read in windows of this many tokens.
        overlap: The number of tokens that neighbouring windows share.
        max_tokens: The most tokens per batch, padding included.
    """

    def __init__(
        self,
        targets: Mapping[str, Target],
        *,
        schemes: Mapping[str, Scheme | None],
        max_length: int,
        overlap: int,
        max_tokens: int = 1024,
    ) -> None:
        self.targets = targets
        self.schemes = dict(schemes)
        self.max_length = max_length
        self.overlap = overlap
        self.max_tokens = max_tokens
        self._cutter = Cutter(max_length, overlap, max_tokens)
        self.temperatures: Mapping[str, Temperatures] = {}
        """Task to the temperature of its probabilities; tasks without one have 1."""

    def temperature(self, task: str) -> Temperatures:
        """Return the temperature of the probabilities of a task."""
        return self.temperatures.get(task, NEUTRAL)

    # ---- the model

    def positions(self, example: Example, window: Window) -> int:
        """Return the number of positions of a window in a batch."""
        return window.end - window.start

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """The device of the model."""

    @abstractmethod
    def head(self, task: str) -> Head:
        """Return the head of a task."""

    @abstractmethod
    def padding(self, task: str) -> Tensor:
        """Return the input of the head of a task for a sentence without tokens; see `hidden`."""

    @abstractmethod
    def evaluating(self) -> AbstractContextManager[None]:
        """Put the model into evaluation mode, and afterwards back into its former mode."""

    @abstractmethod
    def encoder(self, examples: Sequence[Example], tasks: Sequence[str]) -> Encode:
        """Return a function that encodes windows of these sentences for some of these tasks.

        Vectors that do not depend on the context are computed here, once per distinct word.
        """

    def attention(self, task: str) -> Literal["weights", "matrix"] | None:
        """Return the kind of attention that the head of a task has.

        Returns:
            "weights" of tokens; "matrix" if tokens attend to tokens; None without attention.
        """
        return None

    # ---- the stream

    def run(
        self,
        sentences: Iterable[Sentence],
        tasks: Sequence[str],
        *,
        confidence: bool = False,
        attention: Collection[str] = (),
        logits: bool = False,
        by_sentence: Collection[str] = (),
        chunk_size: int | None = None,
        n_best: int = 0,
    ) -> Iterator[Prediction]:
        """Yield one prediction per item, in order.

        The stream may be endless: items are read and labelled chunk by chunk. Logits of a
        document that is longer than `max_length` are averaged over its windows. The weights of the
        model must not change while the stream is read.

        Args:
            sentences: The items, each a sentence, a text of several sentences, or a pair.
            tasks: The tasks.
            confidence: Whether to compute the probabilities of labels.
            attention: The tasks whose attention weights are computed.
            logits: Whether to return the logits of tasks with one label per sentence.
            by_sentence: The tasks that read each sentence of a text by itself. Their logits are
                averaged over the sentences. The other tasks read a text as a whole.
            chunk_size: The number of items per chunk; None: `CHUNK`, or
                `CHUNK_OF_MATRICES` where attention matrices are requested.
            n_best: The number of label sequences per sentence, for tasks with a label per token.

        Raises:
            MtlError: A sentence is too long for an attention matrix.
        """
        if chunk_size is None:
            matrices = any(self.attention(task) == "matrix" for task in attention)
            chunk_size = CHUNK_OF_MATRICES if matrices else CHUNK
        for chunk in bounded(sentences, chunk_size):
            with process.without_collection():
                found = self._predict(
                    chunk, tasks, confidence, attention, logits, by_sentence, n_best
                )
            yield from found

    def predict(self, examples: Iterable[Example], tasks: Sequence[str]) -> list[dict[str, Labels]]:
        """Return task to labels for each sentence; see `run`."""
        return [
            {task: answer.labels for task, answer in prediction.by_task.items()}
            for prediction in self.run(map(Sentence, examples), tasks)
        ]

    def encoded(
        self, sentences: Sequence[Sentence], tasks: Sequence[str], by_sentence: Collection[str] = ()
    ) -> Iterator[EncodedBatch]:
        """Yield the windows of a chunk of items in batches; arguments as for `run`.

        The caller has called `evaluating`.
        """
        encode = self.encoder([sentence.example for sentence in sentences], tasks)
        for together, pieces in self._cutter.passes(sentences, tasks, by_sentence):
            lengths = [self.positions(sentences[row].example, window) for row, window in pieces]
            for indices in self._cutter.batches(lengths):
                hidden, mask = encode([pieces[i] for i in indices], together)
                yield EncodedBatch(indices, pieces, hidden, mask)

    # Not a generator: the model must not stay in evaluation mode while a caller holds the stream.
    @torch.inference_mode()
    def _predict(
        self,
        sentences: Sequence[Sentence],
        tasks: Sequence[str],
        confidence: bool,
        attention: Collection[str],
        logits: bool,
        by_sentence: Collection[str],
        n_best: int,
    ) -> list[Prediction]:
        """Return the predictions for one chunk."""
        process.check(self.device)
        examples = [sentence.example for sentence in sentences]
        for task in attention:
            self._check_lengths(task, examples)
        by_task: list[dict[str, TaskPrediction]] = [{} for _ in examples]
        with self.evaluating():
            readouts = self._read(sentences, tasks, confidence, attention, by_sentence, n_best)
            for task in tasks:
                predictions: Iterable[TaskPrediction] = merge_windows(
                    self.head(task),
                    self.targets[task],
                    readouts[task],
                    self.padding(task),
                    scheme=self.schemes.get(task),
                    confidence=confidence,
                    logits=logits,
                    temperature=self.temperature(task).labels,
                )
                if task in attention:
                    whole = task not in by_sentence
                    parts = (self._cutter.windows(sentence, whole) for sentence in sentences)
                    sides = (len(example.texts) for example in examples)
                    predictions = map(_with_attention, predictions, readouts[task], parts, sides)
                for answers, prediction in zip(by_task, predictions, strict=True):
                    answers[task] = prediction
        return [
            Prediction(sentence, answers, self.targets, self.schemes)
            for sentence, answers in zip(sentences, by_task, strict=True)
        ]

    def _check_lengths(self, task: str, examples: Sequence[Example]) -> None:
        longest = max(map(len, examples))
        if longest > LONGEST and self.attention(task) == "matrix":
            raise MtlError(
                f"task {task!r}: a sentence of {longest:,} words is too long for an attention "
                f"matrix; expected at most {LONGEST:,} words"
            )

    def _read(
        self,
        sentences: Sequence[Sentence],
        tasks: Sequence[str],
        confidence: bool,
        attention: Collection[str],
        by_sentence: Collection[str],
        n_best: int,
    ) -> dict[str, list[list[Readout]]]:
        """Return, per task, the outputs of its head for the windows of each item."""
        found: dict[str, list[dict[int, Readout]]] = {
            task: [{} for _ in sentences] for task in tasks
        }
        for batch in self.encoded(sentences, tasks, by_sentence):
            windows = batch.windows
            pieces = [batch.pieces[index] for index in batch.indices]
            for task, states in batch.hidden.items():
                head, scheme = self.head(task), self.schemes.get(task)
                outputs = read_head(
                    head,
                    self.targets[task],
                    states,
                    batch.mask,
                    windows,
                    confidence=confidence,
                    scheme=scheme,
                    attention=task in attention,
                    temperature=self.temperature(task),
                    n_best=n_best,
                    allowed=allowed_labels(task, head, scheme, sentences, pieces, batch.mask),
                )
                for index, readout in zip(batch.indices, outputs, strict=True):
                    found[task][batch.pieces[index].row][index] = readout
        # The windows of an item were read in any order, and have their order in `pieces` again.
        return {
            task: [[row[index] for index in sorted(row)] for row in rows]
            for task, rows in found.items()
        }


def _with_attention(
    prediction: TaskPrediction, readouts: Sequence[Readout], parts: Sequence[Window], sides: int
) -> TaskPrediction:
    attention = merge_attention(readouts, parts, sides)
    second = attention[1] if len(attention) == 2 else None
    return prediction._replace(attention=attention[0], attention_b=second)
