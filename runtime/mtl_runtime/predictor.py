"""Applies a network to a stream of sentences; each sentence yields one prediction.

Letters: B windows, T tokens, S logits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mtl_runtime._mtl.errors import MtlError
from mtl_runtime._mtl.inference import process
from mtl_runtime._mtl.inference.cutting import CHUNK, Cutter, Piece, bounded
from mtl_runtime._mtl.inference.inputs import Sentence
from mtl_runtime._mtl.inference.prediction import Prediction
from mtl_runtime._mtl.inference.task_prediction import Readout, TaskPrediction
from mtl_runtime._mtl.inference.token_merging import merge_tokens
from mtl_runtime.bundle import BundleError
from mtl_runtime.decoding import Decoder
from mtl_runtime.words import Encoder, Program, WordTables


class Network(Protocol):
    """The parts of a model, as a file holds them."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """Its description: vocabularies, tasks, limits."""

    @property
    def tensors(self) -> Mapping[str, NDArray[Any]]:
        """Name to tensor."""

    @property
    def words(self) -> Program:
        """The program that returns the rows of words in the tables."""

    @property
    def sentences(self) -> Program:
        """The program that returns the scores of tasks, from the rows of words."""


MOST_TOKENS = 1 << 16
"""The most tokens per batch that a description may ask for."""


@contextmanager
def running() -> Iterator[None]:
    """Turn errors of a program, or of the code that reads its scores, into a `BundleError`.

    Raises:
        BundleError: The network does not fit its description, or needs too much memory.
    """
    try:
        yield
    except MtlError:
        raise
    except Exception as error:
        kind = type(error).__name__
        raise BundleError(
            f"the model cannot be run ({kind}: {error}); was its file damaged?"
        ) from error


class Predictor:
    """Labels sentences: all tasks in one pass, sentences of similar length in one batch.

    Args:
        network: The network.

    Raises:
        ValueError: Its description is damaged.
    """

    def __init__(self, network: Network) -> None:
        meta = network.meta
        names = ("max_length", "overlap", "max_tokens", "min_tokens")
        limits = [meta[name] for name in names]
        max_length, overlap, max_tokens, min_tokens = limits
        if any(type(number) is not int for number in limits) or not (
            0 <= overlap < max_length and 1 <= max_tokens <= MOST_TOKENS and 1 <= min_tokens <= 64
        ):
            raise ValueError(f"unknown limits {limits}")
        self.cutter = Cutter(max_length, overlap, max_tokens)
        self.min_tokens: int = min_tokens
        self.decoders = {task: Decoder(own, network.tensors) for task, own in meta["tasks"].items()}
        encoder = Encoder(meta["features"], meta["vocabularies"])
        self.words = WordTables(network.words, meta["tables"], encoder, together=max_tokens)
        self.program = network.sentences
        self._forms: Mapping[str, Any] = {t: own.form for t, own in self.decoders.items()}
        self._schemes = {task: own.scheme for task, own in self.decoders.items()}

    def run(
        self,
        sentences: Iterable[Sentence],
        tasks: Sequence[str],
        *,
        confidence: bool = False,
        logits: bool = False,
        by_sentence: Collection[str] = (),
        chunk_size: int | None = None,
    ) -> Iterator[Prediction]:
        """Yield one prediction per item, in order; items are read chunk by chunk.

        Args:
            sentences: The items, each a sentence, a text of several sentences, or a pair.
            tasks: The tasks.
            confidence: Whether to compute the probabilities of labels.
            logits: Whether to return the scores of tasks with one value per text.
            by_sentence: The tasks that read each sentence of a text by itself.
            chunk_size: The number of items per chunk.
        """
        for chunk in bounded(sentences, chunk_size or CHUNK):
            with process.without_collection(), running():
                found = self._predict(chunk, tasks, confidence, logits, by_sentence)
            yield from found

    def _predict(
        self,
        sentences: Sequence[Sentence],
        tasks: Sequence[str],
        confidence: bool,
        with_logits: bool,
        by_sentence: Collection[str],
    ) -> list[Prediction]:
        """Return the predictions for one chunk."""
        results = {task: _Results(self.decoders[task], len(sentences)) for task in tasks}
        batches = Batches(self, sentences)
        for together, pieces in self.cutter.passes(sentences, tasks, by_sentence):
            # With one window per sentence there is nothing to merge.
            single = len({row for row, _ in pieces}) == len(pieces)
            logits: dict[str, list[NDArray[Any]]] = {}
            order: list[int] = []
            readouts: dict[str, list[Readout]] = {}
            for indices, mask, scores in batches.of(pieces, together):
                order += indices
                for task in together:
                    result, own = results[task], scores[task]
                    if result.decoder.form.level == "sentence":
                        logits.setdefault(task, []).append(own)
                    elif confidence or not single or not result.take(own, mask, pieces, indices):
                        windows = [pieces[i].window for i in indices]
                        outputs = result.decoder.read(own, mask, windows, confidence=confidence)
                        readouts.setdefault(task, []).extend(outputs)
            for task, parts in logits.items():
                results[task].add_logits(parts, order, pieces)
            for task, outputs in readouts.items():
                results[task].add_readouts(outputs, order, pieces)
        found = [result.predictions(confidence, with_logits) for result in results.values()]
        forms, schemes = self._forms, self._schemes
        return [
            Prediction(sentence, dict(zip(tasks, answers, strict=True)), forms, schemes)
            for sentence, *answers in zip(sentences, *found, strict=True)
        ]

    def logits(self, sentences: Sequence[Sentence], task: str) -> NDArray[Any]:
        """Return the mean logits of each sentence over its windows, `[N, S]`."""
        with running():
            return self._mean_logits(sentences, task)

    def _mean_logits(self, sentences: Sequence[Sentence], task: str) -> NDArray[Any]:
        result = _Results(self.decoders[task], len(sentences))
        batches = Batches(self, sentences)
        for _, pieces in self.cutter.passes(sentences, [task], ()):
            order: list[int] = []
            parts = []
            for indices, _, scores in batches.of(pieces, [task]):
                order += indices
                parts.append(scores[task])
            result.add_logits(parts, order, pieces)
        return result.mean_logits()

    def token_probabilities(
        self, sentences: Sequence[Sentence], task: str
    ) -> list[NDArray[np.float64]]:
        """Return the probabilities of the output labels of a task, `[T, K]` per sentence."""
        with running():
            return self._token_probabilities(sentences, task)

    def _token_probabilities(
        self, sentences: Sequence[Sentence], task: str
    ) -> list[NDArray[np.float64]]:
        decoder = self.decoders[task]
        found = [np.zeros((len(s.example), len(decoder.outputs))) for s in sentences]
        batches = Batches(self, sentences)
        for _, pieces in self.cutter.passes(sentences, [task], ()):
            for indices, mask, scores in batches.of(pieces, [task]):
                probabilities = decoder.probabilities(scores[task], mask)
                for own, index in zip(probabilities, indices, strict=True):
                    row, window = pieces[index]
                    found[row][window.kept] = own[window.kept_inside]
        return found


class Batches:
    """The sentences of a chunk as batches of rows of tables, and the scores of the network.

    Args:
        predictor: The predictor.
        sentences: The sentences.
    """

    def __init__(self, predictor: Predictor, sentences: Sequence[Sentence]) -> None:
        self._predictor = predictor
        texts = [sentence.example.tokens for sentence in sentences]
        words = texts[0] if len(texts) == 1 else [word for text in texts for word in text]
        if words:
            self._ids, self._tables = predictor.words.find(words)
        self._seconds = [sentence.example.second for sentence in sentences]
        self._starts = [0]
        for text in texts:
            self._starts.append(self._starts[-1] + len(text))

    def of(
        self, pieces: Sequence[Piece], tasks: Sequence[str]
    ) -> Iterator[tuple[list[int], NDArray[np.bool_], dict[str, NDArray[Any]]]]:
        """Yield, per batch, the indices of its windows, their mask, and the scores of tasks."""
        lengths = [window.end - window.start for _, window in pieces]
        batches = [[0]] if len(pieces) == 1 else self._predictor.cutter.batches(lengths)
        program, least = self._predictor.program, self._predictor.min_tokens
        for indices in batches:
            row, window = pieces[indices[0]]
            whole = self._seconds[row] is None
            if len(indices) == 1 and whole and window.end - window.start >= least:
                start = self._starts[row]
                ids = self._ids[None, start + window.start : start + window.end]
                mask = np.ones(ids.shape, dtype=np.bool_)
            else:
                ids, mask = self._padded([pieces[i] for i in indices])
            scores = program.run({"ids": ids, "mask": mask, **self._tables}, tasks)
            yield indices, mask, scores

    def _padded(self, pieces: Sequence[Piece]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return rows of ids, padded on the right, and their mask.

        For pairs, the rows of all first sentences precede the rows of all second ones.
        """
        starts, seconds = self._starts, self._seconds
        parts = [(starts[row] + w.start, w.end - w.start) for row, w in pieces]
        if seconds[pieces[0].row] is not None:
            cuts = [seconds[row] or 0 for row, _ in pieces]
            firsts = [(start, cut) for (start, _), cut in zip(parts, cuts, strict=True)]
            parts = firsts + [
                (start + cut, length - cut)
                for (start, length), cut in zip(parts, cuts, strict=True)
            ]
        begins, lengths = np.array(parts).T
        positions = np.arange(max(self._predictor.min_tokens, int(lengths.max())))
        mask = positions < lengths[:, None]
        places = begins[:, None] + positions
        ids = self._ids.take(places, mode="clip")
        ids *= mask
        return ids, mask


class _Results:
    """The outputs for one task, of the N sentences of a chunk."""

    def __init__(self, decoder: Decoder, count: int) -> None:
        self.decoder = decoder
        self._count = count
        self._whole: dict[int, TaskPrediction] = {}
        self._readouts: dict[int, list[Readout]] = {}
        self._logits: list[NDArray[Any]] = []
        self._owners: list[int] = []

    def take(
        self,
        scores: NDArray[Any],
        mask: NDArray[np.bool_],
        pieces: Sequence[Piece],
        indices: Sequence[int],
    ) -> bool:
        """Decode the tags of whole sentences, if that is possible for all of them at once."""
        if not self.decoder.tags:
            return False
        tags = self.decoder.whole_tags(self.decoder.paths(scores, mask))
        if tags is None:
            return False
        whole = self._whole
        for row, index in zip(tags, indices, strict=True):
            piece = pieces[index]
            whole[piece.row] = TaskPrediction(tuple(row[: piece.window.end]))
        return True

    def add_readouts(
        self, outputs: Sequence[Readout], order: Sequence[int], pieces: Sequence[Piece]
    ) -> None:
        """Add the values of windows, which come in the order of the batches."""
        for index, readout in sorted(zip(order, outputs, strict=True), key=lambda pair: pair[0]):
            self._readouts.setdefault(pieces[index].row, []).append(readout)

    def add_logits(
        self, parts: Sequence[NDArray[Any]], order: Sequence[int], pieces: Sequence[Piece]
    ) -> None:
        """Add the logits of windows, which come in the order of the batches."""
        found = parts[0]
        if len(order) > 1:
            found = np.empty((len(order), parts[0].shape[1]), parts[0].dtype)
            found[order] = np.concatenate(parts)
        self._logits.append(found)
        self._owners += [row for row, _ in pieces]

    def mean_logits(self) -> NDArray[Any]:
        """Return the mean logits over windows, `[N, S]`; the logits of padding without windows."""
        padding = self.decoder.padding
        assert padding is not None
        if len(self._logits) == 1 and self._owners == list(range(self._count)):
            return self._logits[0]
        sums = np.zeros((self._count, len(padding)), np.float32)
        if self._logits:
            np.add.at(sums, self._owners, np.concatenate(self._logits))
        counts = np.bincount(self._owners, minlength=self._count)[:, None]
        means = sums / np.maximum(counts, 1).astype(np.float32)
        return np.where(counts > 0, means, padding)

    def predictions(self, confidence: bool, with_logits: bool) -> list[TaskPrediction]:
        """Return the prediction for each sentence."""
        decoder = self.decoder
        if decoder.form.level == "sentence":
            logits = self.mean_logits()
            values, certain = decoder.conclude(logits, confidence=confidence)
            found = list(map(TaskPrediction, values, certain))
            if with_logits:  # an array, where mtl has a tensor
                rows: Iterable[Any] = logits
                found = [own._replace(logits=row) for own, row in zip(found, rows, strict=True)]
            return found
        whole, scheme, spans = self._whole, decoder.scheme, decoder.has_spans
        if len(whole) == self._count:
            return [whole[row] for row in range(self._count)]
        return [
            whole.get(row)
            or merge_tokens(self._readouts.get(row, ()), scheme, confidence=confidence, spans=spans)
            for row in range(self._count)
        ]
