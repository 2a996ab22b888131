"""The output of `mtl predict`: predictions of one process or of several, and notes on them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from mtl.errors import MtlError

if TYPE_CHECKING:
    from mtl.cli.formats import LineWriter, TableWriter
    from mtl.display.labelling import LabellingProgress
    from mtl.experiment.task_selection import TextUnit
    from mtl.inference.inputs import Sentence
    from mtl.inference.prediction import Prediction
    from mtl.trained_model import TrainedModel


@dataclass(frozen=True)
class Labeller:
    """Labels sentences by a model, with the options of the command.

    It is pickled for other processes.

    Args:
        model: The model.
        task: The tasks that were named.
        confidence: Whether to write the probabilities of labels.
        explain: Whether to write attention weights.
        unit: The unit of text that the tasks label.
        abstain: The least confidence of an answer; None: any.
        n_best: The number of label sequences.
    """

    model: TrainedModel
    task: list[str] | None
    confidence: bool
    explain: bool
    unit: TextUnit | None
    abstain: float | None = None
    n_best: int = 0

    def predictions(
        self, sentences: Iterable[Sentence], chunk_size: int | None = None
    ) -> Iterator[Prediction]:
        """Return the predictions for a stream of sentences."""
        return self.model.annotate(
            sentences,
            self.task,
            confidence=self.confidence,
            attention=self.explain,
            unit=self.unit,
            chunk_size=chunk_size,
            abstain=self.abstain,
            n_best=self.n_best,
        )

    def __call__(self, part: _Part) -> _Rows:
        """Return the output for a chunk."""
        found = list(self.predictions(part.chunk))
        text, notes = "".join(map(part.writer.row, found)), _Notes()
        for prediction in found:
            notes.add(prediction)
        return _Rows(text, len(found), _count(part.chunk), part.position, notes)


class _Notes:
    """Counts predictions for the notes after the last one."""

    def __init__(self) -> None:
        from mtl.inference.abstention import Coverage

        self._blank = 0
        self._coverage = Coverage()

    def add(self, prediction: Prediction) -> None:
        """Count a prediction."""
        self._blank += prediction.is_blank and any(map(prediction.lacks_label, prediction.by_task))
        self._coverage.add(prediction)

    def merge(self, other: _Notes) -> None:
        """Add the counts of other predictions."""
        self._blank += other._blank
        self._coverage.merge(other._coverage)

    def show(self) -> None:
        """Print the notes on standard error."""
        if self._blank:
            subject = "text has" if self._blank == 1 else "texts have"
            print(f"note: {self._blank:,} {subject} no words, and so no label", file=sys.stderr)
        for line in self._coverage.lines():
            print(line, file=sys.stderr)


class _Part(NamedTuple):
    """A chunk of sentences, and the position of the input at which it ends."""

    writer: LineWriter | TableWriter
    chunk: list[Sentence]
    position: int | None


class _Rows(NamedTuple):
    """The output for a chunk."""

    text: str
    sentences: int
    tokens: int
    position: int | None
    notes: _Notes


def print_shaded(label: Labeller, sentences: Iterable[Sentence]) -> None:
    """Print the labels of sentences, with words shaded by their attention weights."""
    from mtl.cli.shading import write_text

    notes = _Notes()
    for prediction in label.predictions(sentences):
        sys.stdout.write(write_text(prediction))
        notes.add(prediction)
    notes.show()


def write_predictions(
    label: Labeller,
    writer: LineWriter | TableWriter,
    sentences: Iterator[Sentence],
    progress: LabellingProgress,
    output: Path | None,
    *,
    interactive: bool,
    workers: int,
    size: int,
) -> None:
    """Label sentences, and write them to a file or to standard output.

    Args:
        label: Labels them.
        writer: Writes them in a format.
        sentences: The sentences.
        progress: Counts them.
        output: The file; None: standard output.
        interactive: Whether each line of a terminal is answered at once.
        workers: The number of processes.
        size: The number of sentences that a process labels at once.
    """
    with progress, _opened(output) as out:
        if interactive or workers == 1:
            chunk_size = 1 if interactive else None
            notes = _write(label, writer, sentences, progress, out, chunk_size)
        else:
            notes = _write_parallel(label, writer, sentences, progress, out, workers, size)
    notes.show()


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[str]]:
    """Open the output."""
    if output is None:
        yield sys.stdout
        return
    from mtl.files import atomic_text

    with atomic_text(output) as out:
        yield out


def _count(sentences: Iterable[Sentence]) -> int:
    return sum(len(sentence.example) for sentence in sentences)


def _write(
    label: Labeller,
    writer: LineWriter | TableWriter,
    sentences: Iterator[Sentence],
    progress: LabellingProgress,
    out: IO[str],
    chunk_size: int | None = None,
) -> _Notes:
    """Label sentences in this process, write them, and return their notes."""
    from mtl.cli.formats import show_names
    from mtl.inference.cutting import CHUNK, first_chunk

    predictions = label.predictions(sentences, chunk_size)
    # The names of the output follow from the fields of the first records.
    head = first_chunk(predictions, chunk_size or CHUNK)
    out.write(writer.begin(head))
    show_names(writer)
    notes = _Notes()
    for number, prediction in enumerate(chain(head, predictions), 1):
        out.write(writer.row(prediction))
        notes.add(prediction)
        progress.add(1, len(prediction.sentence.example), progress.position)
        # A file is read when it is complete; to flush a compressed one would change its bytes.
        if out is sys.stdout and (chunk_size == 1 or number % CHUNK == 0):
            out.flush()
    return notes


def _write_parallel(
    label: Labeller,
    writer: LineWriter | TableWriter,
    sentences: Iterator[Sentence],
    progress: LabellingProgress,
    out: IO[str],
    count: int,
    size: int,
) -> _Notes:
    """Label sentences in several processes; write and return the same as `_write`.

    This process labels the first chunk while the others start; for one chunk they do not start.
    """
    from mtl.cli.formats import show_names
    from mtl.data.workers import Workers
    from mtl.inference.cutting import CHUNK, bounded

    def parts() -> Iterator[_Part]:
        # The names of the output follow from the fields of the first records.
        first = next(bounded(sentences, CHUNK), [])
        yield _Part(writer, first, progress.position)
        for chunk in bounded(sentences, size):
            yield _Part(writer, chunk, progress.position)

    rest = parts()
    first = next(rest)
    failed, second = None, None
    try:
        second = next(rest, None)
    except MtlError as error:
        failed = error
    with ExitStack() as stack:
        pool = stack.enter_context(Workers(label, count)) if second else None
        head = list(label.predictions(first.chunk))
        out.write(writer.begin(head))
        show_names(writer)
        out.writelines(map(writer.row, head))
        progress.add(len(head), _count(first.chunk), first.position)
        notes = _Notes()
        for prediction in head:
            notes.add(prediction)
        if pool and second:
            for rows in pool.map(chain([second], rest)):
                out.write(rows.text)
                if out is sys.stdout:
                    out.flush()
                progress.add(rows.sentences, rows.tokens, rows.position)
                notes.merge(rows.notes)
    if failed:
        raise failed
    return notes
