"""The cache of read sentences: memory-mapped Arrow files, named after a hash of their content."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mtl.data.hints import LabelSource
from mtl.data.readers.base import Reader, Record
from mtl.data.sources import Source
from mtl.data.splits import sentence_hash
from mtl.errors import DataError, MtlError
from mtl.files import atomic_write
from mtl.targets import target_by_name
from mtl.text.running import whole_words

if TYPE_CHECKING:
    import pyarrow as pa

_FORMAT = 7
"""The version of the cache format. Increase it when older entries can no longer be used."""

_BATCH = 1000
"""The number of sentences per record batch."""

_HINT = "set MTL_CACHE to a folder with room for the cache"


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


class SentenceTable:
    """Sentences in the columns of an Arrow table, such as a file that is mapped into memory.

    Args:
        table: The table.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self._batches = table.to_batches()
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])

    @classmethod
    def from_file(cls, path: Path) -> SentenceTable:
        """Map an Arrow stream into memory."""
        import pyarrow as pa

        return cls(pa.ipc.open_stream(pa.memory_map(str(path))).read_all())

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.table.schema.names)

    @cached_property
    def hashes(self) -> np.ndarray:
        """The hash of each sentence, `[sentences]` int64."""
        return np.asarray(self.table.column("hash"))

    def fetch(self, rows: np.ndarray, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Return the values of some columns in some rows, in the order of the rows.

        Args:
            rows: The rows, `[N]` int.
            columns: The names of the columns.
        """
        import pyarrow as pa

        # `Table.take` is slower: it works on whole batches. Neighbouring rows are one slice.
        batches = np.searchsorted(self._starts, rows, side="right") - 1
        breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(batches) != 0)) + 1
        starts = np.concatenate([[0], breaks]) if len(rows) else breaks
        lengths = np.diff(starts, append=len(rows))
        places = rows[starts] - self._starts[batches[starts]]
        slices = [
            self._batches[batch].slice(place, length)
            for batch, place, length in zip(
                batches[starts].tolist(), places.tolist(), lengths.tolist(), strict=True
            )
        ]
        table = pa.Table.from_batches(slices, self.table.schema).select(columns)
        values: dict[str, list[Any]] = table.to_pydict()
        return values


def label_column(task: str) -> str:
    """Return the name of the Arrow column with the labels of a task."""
    return f"labels:{task}"


def weight_column(task: str) -> str:
    """Return the name of the Arrow column with the weights of a task's sentences."""
    return f"weight:{task}"


def default_cache() -> Path:
    """Return the folder `$MTL_CACHE`, or `~/.cache/mtl`."""
    return Path(os.environ.get("MTL_CACHE") or Path.home() / ".cache" / "mtl")


def stored(
    reader: Reader,
    paths: list[Path],
    sources: Mapping[str, LabelSource],
    cache: Path,
    progress: ReadingProgress | None = None,
) -> tuple[SentenceTable, Summary]:
    """Return the sentences of some files; the files are parsed only the first time.

    Args:
        reader: Reads the files.
        paths: The files, in order.
        sources: Task to the source of its labels.
        cache: The folder of the cache.
        progress: Displays the progress of reading files that are not in the cache.

    Raises:
        DataError: The files cannot be read or contain no sentence.
        MtlError: The cache cannot be written.
    """
    entry = _Entry(cache / "corpora", _key(reader, paths, sources))
    content = entry.open()
    if content is None:
        entry.build(reader, paths, sources, progress)
        content = entry.open()
    if content is None:
        raise MtlError(f"{entry.data}: the new file cannot be read back; check the disk")
    return content


def _key(reader: Reader, paths: list[Path], sources: Mapping[str, LabelSource]) -> str:
    """Return a hash of everything that the stored sentences depend on."""
    kind = type(reader)
    # A subclass may read other records than the class above, so only its own version counts.
    code = vars(kind).get("version")
    if code is None:
        try:
            code = Path(inspect.getfile(kind)).read_text("utf-8", "replace")
        except (OSError, TypeError):  # a class that was defined at a prompt has no file
            code = ""
    parts = [
        _FORMAT,
        f"{kind.__module__}:{kind.__qualname__}",
        code,
        vars(reader),
        {task: asdict(source) for task, source in sources.items()},
        # Contents instead of times of change: a copy of a corpus reuses the cache.
        [reader.digest(path) for path in paths],
    ]
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    return vars(value) if hasattr(value, "__dict__") else repr(value)


class _Entry:
    """One file with sentences, and one with their summary, which is written last.

    Several processes may build the same entry at once. Each replaces whole files atomically, and
    all write the same content, so the files match in every order of writing.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.data = folder / f"{key}.arrow"
        self.summary = folder / f"{key}.json"

    def open(self) -> tuple[SentenceTable, Summary] | None:
        """Return the sentences and their summary, or None if the entry is missing or damaged."""
        try:
            summary = json.loads(self.summary.read_text("utf-8"))
            # Arrow may read a damaged file without an error; the digest detects the damage.
            if summary.pop("digest") != _digest(self.data):
                return None
            return SentenceTable.from_file(self.data), Summary(**summary)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def build(
        self,
        reader: Reader,
        paths: list[Path],
        sources: Mapping[str, LabelSource],
        progress: ReadingProgress | None,
    ) -> None:
        """Write the entry; a damaged one is replaced."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise MtlError(f"cannot make the folder {self.folder}: {reason}; {_HINT}") from error
        writer = _Writer(reader, sources)
        with atomic_write(self.data, "wb", hint=_HINT) as file:
            writer.write(paths, file, progress or _no_progress)
        summary = {**asdict(writer.summary()), "digest": _digest(self.data)}
        with atomic_write(self.summary, hint=_HINT) as file:
            json.dump(summary, file)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


class _Writer:
    """Writes records into an Arrow file and counts them."""

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

    def write(self, paths: list[Path], target: IO[bytes], progress: ReadingProgress) -> None:
        """Write the sentences of some files in batches, to bound the memory."""
        import pyarrow as pa

        strings = pa.list_(pa.string())
        fields = {"tokens": strings, "second": pa.int64(), "line": pa.int64(), "hash": pa.int64()}
        fields |= {label_column(task): strings for task in self.sources}
        weighted = [task for task, source in self.sources.items() if source.weight is not None]
        schema = pa.schema(fields | {weight_column(task): pa.float64() for task in weighted})
        with pa.ipc.new_stream(target, schema) as writer:
            for self.file, path in enumerate(paths):
                rows = self._rows(path)
                with progress(path) as at:
                    while batch := list(islice(rows, _BATCH)):
                        writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
                        at(batch[-1]["line"])

    def _rows(self, path: Path) -> Iterator[dict[str, Any]]:
        before = self.sentences
        for record in self.reader.read(path):
            if not record.tokens or record.pair == []:
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
        if self.sentences == before:
            raise DataError("expected at least one sentence, found none", path)

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
