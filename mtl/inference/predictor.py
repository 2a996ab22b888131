"""Apply a model to a stream of sentences; each sentence yields one prediction.

Letters: B windows, T tokens, U distinct words, D width of embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from mtl.data.encoding import Batcher, pad
from mtl.data.windows import Window
from mtl.embeddings import EmbeddingOutput
from mtl.embeddings.base import of_words
from mtl.errors import MtlError
from mtl.inference import process
from mtl.inference.attention import merge_attention
from mtl.inference.cutting import CHUNK, Cutter, Piece, bounded
from mtl.inference.inputs import Sentence
from mtl.inference.merging import merge_windows, padding_states
from mtl.inference.prediction import Prediction
from mtl.inference.readouts import read_head
from mtl.inference.task_prediction import Readout, TaskPrediction
from mtl.inference.words import WordTable
from mtl.layers.lookup import look_up
from mtl.model import MultiTaskModel
from mtl.text.example import Example, Labels
from mtl.text.spans import Scheme

CHUNK_OF_MATRICES = 16
"""Sentences per chunk with attention matrices, whose memory grows with the square of the length."""
LONGEST = 2048
"""The most tokens of a sentence whose attention matrix can be requested."""


Embed = Callable[[Sequence[Piece]], tuple[EmbeddingOutput, Tensor]]
"""Embeds windows; returns the input of the trunk, and the mask of words `[B, T]`."""


class Predictor:
    """Labels sentences: all tasks in one pass, sentences of similar length in one batch.

    Args:
        model: The model.
        batcher: Maps words and labels to ids as in training.
        schemes: Task to the output scheme of its span tags; None leaves tags as learned.
        max_length: Longer sentences are read in windows of this many tokens.
        overlap: The number of tokens that neighbouring windows share.
        max_tokens: The most tokens per batch, padding included.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        batcher: Batcher,
        *,
        schemes: Mapping[str, Scheme | None],
        max_length: int,
        overlap: int,
        max_tokens: int = 1024,
    ) -> None:
        self.model = model
        self.batcher = batcher
        self.schemes = dict(schemes)
        self.max_length = max_length
        self.overlap = overlap
        self.max_tokens = max_tokens
        self._cutter = Cutter(max_length, overlap, max_tokens)
        self._parameter = next(model.parameters())
        self._words = WordTable(nn.ModuleList([model.embedding, model.sharing]))
        self._trainings = model.trainings
        self._readers = 0
        self._was_training = False

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

        Raises:
            MtlError: A sentence is too long for an attention matrix.
        """
        if chunk_size is None:
            matrices = any(self.attention(task) == "matrix" for task in attention)
            chunk_size = CHUNK_OF_MATRICES if matrices else CHUNK
        for chunk in bounded(sentences, chunk_size):
            with process.without_collection():
                found = self._predict(chunk, tasks, confidence, attention, logits, by_sentence)
            yield from found

    def predict(self, examples: Iterable[Example], tasks: Sequence[str]) -> list[dict[str, Labels]]:
        """Return task to labels for each sentence; see `run`."""
        return [
            {task: answer.labels for task, answer in prediction.by_task.items()}
            for prediction in self.run(map(Sentence, examples), tasks)
        ]

    @torch.inference_mode()
    def attention(self, task: str) -> Literal["weights", "matrix"] | None:
        """Return the kind of attention that the head of a task has.

        Returns:
            "weights" of tokens; "matrix" if tokens attend to tokens; None without attention.
        """
        head = self.model.head(task)
        states = padding_states(head, self._parameter)
        with self._evaluating():
            weights = head.attention_weights(states, states[..., 0] > 0)
        if weights is None:
            return None
        return "weights" if weights.ndim == 3 else "matrix"

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Put the model into evaluation mode, and back into its former mode.

        While several threads predict, the last one to end restores the mode.
        """
        with process.lock():
            if self._trainings != self.model.trainings:
                self._trainings = self.model.trainings
                self._words.clear()
            if not self._readers:
                self._was_training = self.model.training
                if self._was_training:
                    self.model.eval()
            self._readers += 1
        try:
            yield
        finally:
            with process.lock():
                self._readers -= 1
                if self._was_training and not self._readers:
                    self.model.train()

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
    ) -> list[Prediction]:
        """Return the predictions for one chunk."""
        process.check(self._parameter.device)
        examples = [sentence.example for sentence in sentences]
        for task in attention:
            self._check_lengths(task, examples)
        by_task: list[dict[str, TaskPrediction]] = [{} for _ in examples]
        with self._evaluating():
            readouts = self._read(sentences, tasks, confidence, attention, by_sentence)
            for task in tasks:
                head = self.model.head(task)
                predictions: Iterable[TaskPrediction] = merge_windows(
                    head,
                    self.batcher.targets[task],
                    readouts[task],
                    padding_states(head, self._parameter),
                    scheme=self.schemes.get(task),
                    confidence=confidence,
                    logits=logits,
                )
                if task in attention:
                    whole = task not in by_sentence
                    parts = (self._cutter.windows(sentence, whole) for sentence in sentences)
                    sides = (len(example.texts) for example in examples)
                    predictions = map(_with_attention, predictions, readouts[task], parts, sides)
                for answers, prediction in zip(by_task, predictions, strict=True):
                    answers[task] = prediction
        targets, schemes = self.batcher.targets, self.schemes
        return [
            Prediction(sentence, answers, targets, schemes)
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
    ) -> dict[str, list[list[Readout]]]:
        """Return, per task, the outputs of its head for the windows of each item."""
        examples = [sentence.example for sentence in sentences]
        # Vectors that do not depend on the context are computed once per distinct word.
        if self.model.embedding.contextual:
            embed = self._embed_sentences(examples)
        else:
            embed = self._embed_words(examples)
        readouts: dict[str, list[list[Readout]]] = {task: [[] for _ in examples] for task in tasks}
        for together, pieces in self._cutter.passes(sentences, tasks, by_sentence):
            found: dict[str, list[Readout]] = {task: [Readout()] * len(pieces) for task in together}
            for indices in self._cutter.batches(pieces):
                batch = [pieces[i] for i in indices]
                embedded, mask = embed(batch)
                hidden = self.model.encode_vectors(embedded, together).hidden
                for task, states in hidden.items():
                    outputs = read_head(
                        self.model.head(task),
                        self.batcher.targets[task],
                        states,
                        mask,
                        [window for _, window in batch],
                        confidence=confidence,
                        scheme=self.schemes.get(task),
                        attention=task in attention,
                    )
                    for index, readout in zip(indices, outputs, strict=True):
                        found[task][index] = readout
            for task, outputs in found.items():
                for (row, _), readout in zip(pieces, outputs, strict=True):
                    readouts[task][row].append(readout)
        return readouts

    # ---- embedding windows

    def _embed_words(self, examples: Sequence[Example]) -> Embed:
        """Embed each distinct word once; windows are then looked up."""
        ids, words = self._words.find([example.tokens for example in examples], self._word_vectors)
        device = words.vectors.device

        def embed(pieces: Sequence[Piece]) -> tuple[EmbeddingOutput, Tensor]:
            rows = [ids[row][window.start : window.end] for row, window in pieces]
            seconds = [at for row, _ in pieces if (at := examples[row].second) is not None]
            if seconds:
                # Encoders read the sentences of a pair as separate rows, as in training.
                sides = [np.split(row, [at]) for row, at in zip(rows, seconds, strict=True)]
                rows = [row for side in zip(*sides, strict=True) for row in side]
            padded, real = pad([len(row) for row in rows], np.concatenate(rows))
            mask = torch.from_numpy(real).to(device)
            return of_words(look_up(words, torch.from_numpy(padded).to(device)), mask), mask

        return embed

    def _embed_sentences(self, examples: Sequence[Example]) -> Embed:
        """Embed window by window, for embeddings whose vectors depend on the whole sentence."""

        def embed(pieces: Sequence[Piece]) -> tuple[EmbeddingOutput, Tensor]:
            texts = [
                Example(
                    examples[row].tokens[window.start : window.end], second=examples[row].second
                )
                for row, window in pieces
            ]
            batch = self.batcher.batch(texts).to(self._parameter.device)
            return self.model.embedding(batch.features, batch.mask), batch.mask

        return embed

    def _word_vectors(self, words: Sequence[str]) -> Tensor:
        """Return the vectors of words, `[U, D]`; words of similar length are embedded together."""
        vectors = self._parameter.new_zeros(len(words), self.model.embedding.size)
        order = sorted(range(len(words)), key=list(map(len, words)).__getitem__)
        for start in range(0, len(words), self.max_tokens):
            rows = order[start : start + self.max_tokens]
            batch = self.batcher.batch([Example(tuple(words[i] for i in rows))])
            batch = batch.to(vectors.device)
            embedded = self.model.embedding(batch.features, batch.mask)
            vectors[torch.tensor(rows)] = embedded.vectors[0]
        return vectors


def _with_attention(
    prediction: TaskPrediction, readouts: Sequence[Readout], parts: Sequence[Window], sides: int
) -> TaskPrediction:
    attention = merge_attention(readouts, parts, sides)
    second = attention[1] if len(attention) == 2 else None
    return prediction._replace(attention=attention[0], attention_b=second)
