"""Writing the sentences of files into an Arrow stream, by one process or several."""

from __future__ import annotations

import io
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import parent_process
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeAlias

from mtl.data.hints import LabelSource
from mtl.data.readers.base import Reader, Record
from mtl.data.readers.parts import FilePart, divided
from mtl.data.sources import Source
from mtl.data.splits import sentence_hash
from mtl.data.workers import Workers, cores
from mtl.errors import DataError, MtlError
from mtl.targets import target_by_name
from mtl.text.running import whole_words

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 1000
"""The number of sentences per record batch."""

_LARGE = 48 << 20
"""The number of bytes of text from which several processes are faster: each needs some seconds to
start."""

_MOST = 8
"""The largest default number of processes: one process writes the records of all of them."""


ReadingProgress: TypeAlias = Callable[[Path], AbstractContextManager[Callable[[int], object]]]
"""Maps a file to a context manager; its value is called with the number of the last line read."""


@contextmanager
def _no_progress(path: Path) -> Iterator[Callable[[int], object]]:
    yield lambda line: None


@dataclass(frozen=True, slots=True)
class Summary:
    """The counts of a cache entry, available without opening its sentences.

    Args:
        sentences: The number of sentences.
        empty: The number of rows without words, which were left out.
        labelled: Task to the number of sentences that have labels other than "_".
        targets: Task to the name of its target.
        unweighted: Task to the line of the first labelled sentence without a weight, for tasks
            with a column of weights.
        oddities: Each oddity of the sentences, with the number of sentences, and the index of the
            file and the line of the first one.
    """

    sentences: int
    empty: int
    labelled: dict[str, int]
    targets: dict[str, str]
    unweighted: dict[str, int]
    oddities: dict[str, list[int]]


def label_column(task: str) -> str:
    """Return the name of the Arrow column with the labels of a task."""
    return f"labels:{task}"


def weight_column(task: str) -> str:
    """Return the name of the Arrow column with the weights of a task's sentences."""
    return f"weight:{task}"


def reading_processes() -> int:
    """Return the number of processes that read a large corpus: `$MTL_READERS`, or one per core.

    One in a process that another one has started, such as a trial of a search or a process of
    torchrun other than the first of its machine.

    Raises:
        MtlError: `MTL_READERS` is not a number of at least 1.
    """
    written = os.environ.get("MTL_READERS", "")
    if written and not (written.isascii() and written.isdecimal() and int(written)):
        raise MtlError(
            f"the environment variable MTL_READERS is {written!r}; expected the number of "
            "processes that read a corpus, such as 4"
        )
    if parent_process() is not None or os.environ.get("LOCAL_RANK", "0") != "0":
        return 1
    if written:
        return int(written)
    return min(cores(), _MOST)


class _Piece(NamedTuple):
    """A part of one of the files."""

    file: int
    path: Path
    part: FilePart | None


class _Read(NamedTuple):
    """The sentences of a piece as an Arrow stream, their counts, and their last line."""

    stream: bytes
    summary: Summary
    by_offsets: dict[str, bool]
    line: int


class _PieceReader:
    """Reads pieces in another process; returns None for a piece with a mistake."""

    def __init__(self, reader: Reader, sources: Mapping[str, LabelSource]) -> None:
        self.reader = reader
        self.sources = dict(sources)

    def __call__(self, piece: _Piece) -> _Read | None:
        import pyarrow as pa

        writer, content, line = Writer(self.reader, self.sources), io.BytesIO(), 0
        try:
            with pa.ipc.new_stream(content, writer.schema()) as stream:
                for batch, last in writer.batches(piece):
                    stream.write_batch(batch)
                    line = last
        except MtlError:
            return None
        return _Read(content.getvalue(), writer.summary(), writer.by_offsets, line)


class Writer:
    """Writes records into an Arrow stream and counts them.

    Args:
        reader: Reads the files.
        sources: Task to the source of its labels.
    """

    def __init__(self, reader: Reader, sources: Mapping[str, LabelSource]) -> None:
        self.reader = reader
        self.sources = sources
        self.file = 0  # the index of the file
        self.sentences = 0
        self.empty = 0
        self.labelled = dict.fromkeys(sources, 0)
        self.targets: dict[str, str] = {}
        self.by_offsets: dict[str, bool] = {}
        self.unweighted: dict[str, int] = {}
        self.oddities: dict[str, list[int]] = {}

    def schema(self) -> pa.Schema:
        """Return the columns of the stream."""
        import pyarrow as pa

        strings = pa.list_(pa.string())
        fields = {"tokens": strings, "second": pa.int64(), "line": pa.int64(), "hash": pa.int64()}
        fields |= {label_column(task): strings for task in self.sources}
        weighted = [task for task, source in self.sources.items() if source.weight is not None]
        return pa.schema(fields | {weight_column(task): pa.float64() for task in weighted})

    def write(
        self, paths: list[Path], target: IO[bytes], progress: ReadingProgress | None = None
    ) -> None:
        """Write the sentences of some files in batches, to bound the memory.

        Files that the reader can divide are read part by part. If they are large, several
        processes do it; the bytes, the counts and the errors are the same.

        Raises:
            DataError: A file cannot be read, or has no sentence.
        """
        import pyarrow as pa

        ends = self._ends()
        count = reading_processes() if ends and _size(paths) > _LARGE else 1
        with ExitStack() as stack:
            stream = stack.enter_context(pa.ipc.new_stream(target, self.schema()))
            workers = None
            if count > 1:
                work = _PieceReader(self.reader, self.sources)
                advice = "if memory is short, set the environment variable MTL_READERS=1"
                workers = stack.enter_context(Workers(work, count, advice))
            for file, path in enumerate(paths):
                before = self.sentences
                parts = divided(path, ends) if ends else [None]
                pieces = (_Piece(file, path, part) for part in parts)
                batches = self._together(workers, pieces) if workers else self._alone(pieces)
                with (progress or _no_progress)(path) as at:
                    for batch, line in batches:
                        stream.write_batch(batch)
                        at(line)
                if self.sentences == before:
                    raise DataError("expected at least one sentence, found none", path)

    def _ends(self) -> re.Pattern[bytes] | None:
        """Return the text after which files may be divided; None if they are read whole."""
        # A subclass with another `read` may read other sentences than the method for parts.
        owner = next(cls for cls in type(self.reader).__mro__ if "read" in vars(cls))
        own = "read_part" in vars(owner) and type(self.reader).__module__.startswith("mtl.")
        return self.reader.ends() if own else None

    def _alone(self, pieces: Iterable[_Piece]) -> Iterator[tuple[pa.RecordBatch, int]]:
        return chain.from_iterable(map(self.batches, pieces))

    def _together(
        self, workers: Workers[_Piece, _Read | None], pieces: Iterable[_Piece]
    ) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Yield the same as `_alone`, read by several processes."""
        import pyarrow as pa

        begun: deque[_Piece] = deque()

        def noted() -> Iterator[_Piece]:
            for piece in pieces:
                begun.append(piece)
                yield piece

        for read in workers.map(noted()):
            piece = begun.popleft()
            if read is None or not self._add(read):
                # With the counts of the pieces before, it raises the error of one process.
                yield from self.batches(piece)
            else:
                for batch in pa.ipc.open_stream(read.stream):
                    yield batch, read.line

    def _add(self, read: _Read) -> bool:
        """Add the counts of the next piece; return False if its labels have other forms."""
        found = read.summary
        for known, own in ((self.targets, found.targets), (self.by_offsets, read.by_offsets)):
            if any(known.get(task, form) != form for task, form in own.items()):
                return False
        self.sentences += found.sentences
        self.empty += found.empty
        for task, number in found.labelled.items():
            self.labelled[task] += number
        self.targets |= found.targets
        self.by_offsets |= read.by_offsets
        self.unweighted = {**found.unweighted, **self.unweighted}
        for oddity, (number, file, line) in found.oddities.items():
            self.oddities.setdefault(oddity, [0, file, line])[0] += number
        return True

    def batches(self, piece: _Piece) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Yield the sentences of a piece in batches, each with its last line; count them."""
        import pyarrow as pa

        self.file, schema = piece.file, self.schema()
        rows = self._rows(piece)
        while batch := list(islice(rows, _BATCH)):
            yield pa.RecordBatch.from_pylist(batch, schema), batch[-1]["line"]

    def _rows(self, piece: _Piece) -> Iterator[dict[str, Any]]:
        _, path, part = piece
        records = self.reader.read_part(path, part) if part else self.reader.read(path)
        for record in records:
            if record.empty:
                self.empty += 1
                continue
            self.sentences += 1
            self._count(record.oddity, record.line)
            tokens = record.tokens + (record.pair or [])
            row: dict[str, Any] = {
                "tokens": tokens,
                # Both sentences of a pair share one list; this is the start of the second one.
                "second": None if record.pair is None else len(record.tokens),
                "line": record.line,
                # Splits depend on the hash of whole words, so they do not change with subwords.
                "hash": sentence_hash(whole_words(tokens)),
            }
            for task, source in self.sources.items():
                row[label_column(task)] = self._labels(task, source, record, path)
                if source.weight is not None:
                    weight = self._weight(task, source, record, path)
                    row[weight_column(task)] = weight
                    if weight is None and row[label_column(task)] is not None:
                        self.unweighted.setdefault(task, record.line)
            yield row

    def _count(self, oddity: str, line: int) -> None:
        if oddity:
            self.oddities.setdefault(oddity, [0, self.file, line])[0] += 1

    def _labels(
        self, task: str, source: LabelSource, record: Record, path: Path
    ) -> list[str] | None:
        """Return the labels of a task as strings, checked against the sentence."""
        try:
            reading = source.read(record)
        except ValueError as error:
            raise DataError(f"task {task!r}: {error}", path, record.line) from error
        if isinstance(source, Source) and source.has_blanks(record):
            self._count(f"blanks around labels of {task} removed", record.line)
        if reading is None:
            return None
        target, gold = reading
        known = self.targets.setdefault(task, target.name)
        if known != target.name:
            forms = (
                f"one value per {target.level} here, one per {target_by_name(known).level} before"
            )
            raise DataError(f"task {task!r}: {forms}; make them alike", path, record.line)
        # An empty list means no spans among spans, and a mistake among lists of labels.
        by_offsets = isinstance(source, Source) and source.by_offsets(record)
        if by_offsets != self.by_offsets.setdefault(task, by_offsets):
            message = f"task {task!r}: some sentences have spans by offsets, others have tags"
            raise DataError(f"{message}; make them alike", path, record.line)
        if isinstance(gold, tuple) and len(gold) != len(record.tokens):
            counts = f"task {task!r}: {len(gold)} labels for {len(record.tokens)} words"
            hint = "; set `form: set` if they are labels of the sentence" * target.plain_labels
            raise DataError(f"{counts}; expected one per word{hint}", path, record.line)
        self.labelled[task] += target.informative(gold)
        return target.pack(gold)

    def _weight(self, task: str, source: LabelSource, record: Record, path: Path) -> float | None:
        try:
            return source.read_weight(record)
        except ValueError as error:
            raise DataError(f"task {task!r}: {error}", path, record.line) from error

    def summary(self) -> Summary:
        """Return the counts of the written sentences."""
        return Summary(
            self.sentences,
            self.empty,
            self.labelled,
            self.targets,
            self.unweighted,
            self.oddities,
        )


def _size(paths: Iterable[Path]) -> int:
    """Return the bytes of the files that can be divided."""
    return sum(path.stat().st_size for path in paths if path.suffix != ".gz" and path.is_file())
