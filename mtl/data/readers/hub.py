"""Data sets of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mtl.data.readers.base import Reader, Record
from mtl.data.readers.jsonl import Jsonl
from mtl.errors import DataError, MtlError, not_installed
from mtl.files import exists
from mtl.text.transformers_hub import unreachable

if TYPE_CHECKING:
    import datasets


class Hub(Reader):
    """Any data set that `datasets.load_dataset` can load; `files:` names its splits.

    Class ids become class names. Otherwise fields are read as by the reader `jsonl`. Needs `pip
    install 'mtl[hub]'`.

    Args:
        name: The data set, such as `conll2003`, or a local folder of data files.
        config: The configuration of the data set, if it has several.
        revision: A commit or tag of its repository; by default the newest.
        data_files: Split name to a file of the folder, or to a pattern of files.
        tokens: Field of the words.
        text: Field of the text, for rows without a field of words.
        pair: Field of the words or text of the second sentence, for sentence pairs.
        tokenize: Whether text is split into words by rule; if not, it is split at blanks.
        columns: The fields to read as columns; by default all.
    """

    version = 1
    reads_files: ClassVar[bool] = False

    def __init__(
        self,
        *,
        name: str,
        config: str | None = None,
        revision: str | None = None,
        data_files: dict[str, str] | None = None,
        tokens: str = "tokens",
        text: str = "text",
        pair: str | None = None,
        tokenize: bool = True,
        columns: list[str] | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.revision = revision
        self.data_files = data_files
        self.fields = Jsonl(tokens=tokens, text=text, pair=pair, tokenize=tokenize, columns=columns)

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences of the split called `path`; `Record.line` is the row, from 1.

        Raises:
            DataError: The data set cannot be loaded, or has no such split.
        """
        dataset = self._load(path)
        for number, fields in enumerate(named_rows(dataset), 1):
            yield self.fields.record(fields, Path(self.name) / path, number)

    def digest(self, path: Path) -> str:
        """Return the fingerprint that `datasets` computes for the split."""
        return str(self._load(path)._fingerprint)

    def _load(self, path: Path) -> datasets.Dataset:
        try:
            import datasets  # slow to import
        except ImportError as error:
            raise MtlError(not_installed("the reader 'hub'", "hub", error)) from error
        datasets.disable_progress_bars()
        absent = None if exists(Path(self.name)) else unreachable()
        try:
            with _offline() if absent else nullcontext():
                return datasets.load_dataset(
                    self.name,
                    self.config,
                    split=str(path),
                    revision=self.revision,
                    data_files=self.data_files,
                )
        # load_dataset passes on the exceptions of the network, of parsers and of builders.
        except Exception as error:
            reason = f"{absent}, and" if absent else ""
            reason = " ".join(f"{reason} {error}".split())
            hint = "check the name, the split and the network"
            message = f"cannot load split {str(path)!r}: {reason}; {hint}"
            raise DataError(message, f"hub:{self.name}") from error


def named_rows(dataset: datasets.Dataset) -> Iterator[dict[str, Any]]:
    """Yield the rows of a data set, with class names instead of class ids."""
    names = {name: _class_names(feature) for name, feature in (dataset.features or {}).items()}
    for row in dataset:
        yield {name: _named(value, names.get(name)) for name, value in row.items()}


@contextmanager
def _offline() -> Iterator[None]:
    """Make `datasets` read from its cache alone; it tries the network for half a minute."""
    import datasets
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def _class_names(feature: Any) -> list[str] | None:
    """Return the class names of a ClassLabel feature or of nested lists of them, else None."""
    while hasattr(feature, "feature"):
        feature = feature.feature
    return getattr(feature, "names", None)


def _named(value: Any, names: list[str] | None) -> Any:
    """Return class ids as names; in `datasets`, the id -1 is a missing label."""
    if names is None or value is None:
        return value
    if isinstance(value, list):
        # Each token needs a value; "_" is the value of a missing label.
        return [
            _named(item, names) if isinstance(item, list) else names[item] if item >= 0 else "_"
            for item in value
        ]
    return names[value] if value >= 0 else None
