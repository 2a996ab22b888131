"""The cache of read sentences: memory-mapped Arrow files, named after a hash of their content."""

from __future__ import annotations

import hashlib
import inspect
import json
import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mtl.data.hints import LabelSource
from mtl.data.memo import LARGE, stored_digest, stored_result
from mtl.data.readers.base import Reader
from mtl.data.writer import ReadingProgress, Summary, Writer
from mtl.errors import MtlError
from mtl.files import atomic_write, remove_stale
from mtl.version import __version__

if TYPE_CHECKING:
    import pyarrow as pa

_FORMAT = 7
"""The version of the cache format. Increase it when older entries can no longer be used."""

_RESULTS = "results"
"""The folder of the cache for results that take long to compute for a large file."""

_TOUCHED = 1000
"""The pages of a large file are given back after this number of sentences. To read one column of
one sentence, the system maps about 64 KB."""

_HINT = "set MTL_CACHE to a folder with room for the cache"


class SentenceTable:
    """Sentences in the columns of an Arrow table, such as a file that is mapped into memory.

    Args:
        table: The table.
        mapped: The file of the table, mapped into memory; None for a table in memory.
        results: The folder of stored results, and the digest of the file; None without a file.
    """

    def __init__(
        self,
        table: pa.Table,
        mapped: mmap.mmap | None = None,
        results: tuple[Path, str] | None = None,
    ) -> None:
        self.table = table
        self._results = results
        # Only Linux and macOS can give pages back.
        large = mapped is not None and len(mapped) >= LARGE and hasattr(mapped, "madvise")
        self._mapped = mapped if large else None
        self._touched = 0
        self._batches = table.to_batches()
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])
        self.touched(len(self))  # the heads of the batches lie in the whole file

    @classmethod
    def from_file(cls, path: Path, results: tuple[Path, str] | None = None) -> SentenceTable:
        """Map an Arrow stream into memory; see the arguments of the class."""
        import pyarrow as pa

        with open(path, "rb") as file:
            # Not `pa.memory_map`, whose pages cannot be given back.
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return cls(pa.ipc.open_stream(pa.py_buffer(mapped)).read_all(), mapped, results)

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.table.schema.names)

    def result(self, key: object, compute: Callable[[], Any]) -> Any:
        """Return a result of the sentences, made of JSON types; stored for a large file.

        Args:
            key: The name of the result and its arguments.
            compute: Computes the result.
        """
        if self._mapped is None or self._results is None:
            return compute()
        folder, digest = self._results
        return stored_result(folder, (__version__, digest, key), compute)

    def touched(self, sentences: int) -> None:
        """Note that some sentences were read; give the pages of a large file back now and then.

        The file stays in the page cache of the system, from which it is mapped again when needed.
        Otherwise, resident memory would grow to the size of the file.

        Args:
            sentences: The number of sentences.
        """
        self._touched += sentences
        if self._mapped is not None and self._touched >= _TOUCHED:
            self._mapped.madvise(mmap.MADV_DONTNEED)
            self._touched = 0

    @cached_property
    def hashes(self) -> np.ndarray:
        """The hash of each sentence, `[sentences]` int64."""
        hashes = np.asarray(self.table.column("hash"))
        self.touched(len(self))
        return hashes

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
        self.touched(len(rows))
        return values


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
    entry = _Entry(cache / "corpora", _key(reader, paths, sources, cache / _RESULTS))
    content = entry.open()
    if content is None:
        entry.build(reader, paths, sources, progress)
        content = entry.open()
    if content is None:
        raise MtlError(f"{entry.data}: the new file cannot be read back; check the disk")
    return content


def _key(
    reader: Reader, paths: list[Path], sources: Mapping[str, LabelSource], results: Path
) -> str:
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
        [_content(reader, path, results) for path in paths],
    ]
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _content(reader: Reader, path: Path, results: Path) -> str:
    """Return the fingerprint of the content of a file."""
    compute = partial(reader.digest, path)
    # Only for a hash of the bytes is the time of change enough.
    if type(reader).digest is not Reader.digest or not path.is_file():
        return compute()
    return stored_digest(path, results, compute)


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
        self.results = folder.parent / _RESULTS
        self.data = folder / f"{key}.arrow"
        self.summary = folder / f"{key}.json"

    def open(self) -> tuple[SentenceTable, Summary] | None:
        """Return the sentences and their summary, or None if the entry is missing or damaged."""
        try:
            summary = json.loads(self.summary.read_text("utf-8"))
            # Arrow may read a damaged file without an error; the digest detects the damage.
            digest = summary.pop("digest")
            if digest != stored_digest(self.data, self.results, partial(_digest, self.data)):
                return None
            table = SentenceTable.from_file(self.data, (self.results, digest))
            return table, Summary(**summary)
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
        remove_stale(self.folder)
        writer = Writer(reader, sources)
        with atomic_write(self.data, "wb", hint=_HINT) as file:
            writer.write(paths, file, progress)
        summary = {**asdict(writer.summary()), "digest": _digest(self.data)}
        with atomic_write(self.summary, hint=_HINT) as file:
            json.dump(summary, file)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
