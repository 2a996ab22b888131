"""Data that a caller passes as Python objects: lists, frames and data sets of `datasets`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mtl.data.readers.hub import named_rows
from mtl.errors import DataError, MtlError

_SPLITS = {"validation": "dev"}
"""Names of splits in `datasets` to their names here."""


@dataclass(frozen=True)
class GivenSplit:
    """The rows of one split.

    Args:
        place: The expression that a caller would write for the rows, for messages.
        source: The rows, which can be read several times.
    """

    place: str
    source: Iterable[Any]

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows, made of JSON types."""
        # A data set yields rows with ids in place of names, and does not hold them in memory.
        rows = named_rows(self.source) if _is_dataset(self.source) else self.source
        for number, row in enumerate(rows):
            try:
                yield plain(row)
            except RecursionError:
                raise MtlError(f"{self.place}[{number}]: nested too deeply") from None

    def digest(self) -> str:
        """Return a hash of the rows.

        Raises:
            MtlError: The data are empty, or a row has an incomplete character.
        """
        digest = hashlib.blake2b(digest_size=16)
        number = -1
        for number, row in enumerate(self):
            try:
                digest.update(f"{json.dumps(row, ensure_ascii=False)}\n".encode())
            except UnicodeEncodeError:
                message = "a text has an incomplete character"
                raise MtlError(f"{self.place}[{number}]: {message}") from None
        if number < 0:
            raise MtlError(f"{self.place}: expected at least one sentence, found none")
        return digest.hexdigest()


@dataclass(frozen=True)
class GivenCorpus:
    """The data of one corpus.

    Args:
        splits: Split to the digest of its rows.
        by_digest: Digest to rows; empty if the data was passed to an earlier process.
        label: The column of the second item of rows that are pairs; None: such rows are errors.
    """

    splits: Mapping[str, str] = field(default_factory=dict)
    by_digest: Mapping[str, GivenSplit] = field(default_factory=dict)
    label: str | None = None

    @classmethod
    def of(cls, splits: Mapping[str, GivenSplit]) -> GivenCorpus:
        """Return the corpus with some splits."""
        digests = {split: rows.digest() for split, rows in splits.items()}
        return cls(digests, {digests[split]: rows for split, rows in splits.items()})

    def rows(self, digest: str) -> Iterator[Any] | None:
        """Return the rows with a digest, made of JSON types; None if there are none."""
        rows = self.by_digest.get(digest)
        return None if rows is None else iter(rows)

    def located(self, error: DataError) -> MtlError:
        """Return an error about the digest of some rows as an error about their place."""
        rows = self.by_digest.get(error.path)
        if rows is None:
            return error
        place = f"{rows.place}[{error.line - 1}]" if error.line else rows.place
        return MtlError(f"{place}: {error.message}")

    def to_json(self) -> str | None:
        """Return the column of labels; the rows themselves are known by their digest."""
        return self.label


def located(error: DataError, given: Mapping[str, GivenCorpus]) -> MtlError:
    """Return an error about the digest of some rows as an error about their place."""
    every = (corpus.located(error) for corpus in given.values())
    return next((found for found in every if found is not error), error)


def read_given(data: Any) -> dict[str, GivenCorpus]:
    """Return data by corpus, as a caller passes it.

    Args:
        data: Corpus to split to rows, or to the rows of its training split.

    Raises:
        MtlError: The data has another form.
    """
    if not isinstance(data, Mapping):
        expected = "a dict of corpus to its data, such as {'mine': {'train': rows}}"
        raise MtlError(f"data: expected {expected}, got {type(data).__name__}")
    return {name: _corpus(name, value) for name, value in data.items()}


def _corpus(name: str, value: Any) -> GivenCorpus:
    place = f"data[{name!r}]"
    if not isinstance(value, Mapping):
        return GivenCorpus.of({"train": given_split(value, place)})
    splits: dict[str, GivenSplit] = {}
    for key, rows in value.items():
        split = str(_SPLITS.get(key, key))
        if split in splits:
            first = next(own for own in value if _SPLITS.get(own, own) == split)
            raise MtlError(f"{place}: has both {first!r} and {key!r}, which are one split")
        if rows is not None:
            splits[split] = given_split(rows, f"{place}[{key!r}]")
    if "train" not in splits:
        raise MtlError(f"{place}: expected a split 'train', got: {', '.join(map(str, value))}")
    return GivenCorpus.of(splits)


def given_split(value: Any, place: str) -> GivenSplit:
    """Return the rows of a split.

    Args:
        value: A list of rows, a frame of pandas or polars, an Arrow table, or a data set of
            `datasets`. A `GivenSplit` is returned as it is.
        place: The expression that a caller would write for it, for messages.

    Raises:
        MtlError: It has another form.
    """
    if isinstance(value, GivenSplit):
        return value
    if _is_dataset(value):
        return GivenSplit(place, value)
    if hasattr(value, "notna") and hasattr(value, "columns"):  # pandas: NaN is a missing value
        return GivenSplit(place, value.astype(object).where(value.notna(), None).to_dict("records"))
    if hasattr(value, "__arrow_c_stream__"):  # polars, pyarrow and others
        import pyarrow as pa

        return GivenSplit(place, pa.table(value).to_pylist())
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        expected = "a list of rows, a frame or a data set"
        raise MtlError(f"{place}: expected {expected}, got {type(value).__name__}")
    return GivenSplit(place, value if isinstance(value, Sequence) else list(value))


def _is_dataset(value: Any) -> bool:
    return hasattr(value, "features") and hasattr(value, "select_columns")


def plain(value: Any) -> Any:
    """Return a value made of JSON types.

    Arrays and tuples become lists, sets become sorted lists, and other objects become strings. NaN
    becomes None: it is a missing value, as in frames of pandas.
    """
    if type(value) is float and math.isnan(value):
        return None
    if value is None or type(value) in (str, bool, int, float):
        return value
    if hasattr(value, "tolist"):  # numpy, and series of pandas
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(plain, value), key=str)
    for kind in (str, bool, int, float):
        if isinstance(value, kind):
            return plain(kind(value))
    return str(value)
