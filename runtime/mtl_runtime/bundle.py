"""The file of a model: arrays, metadata and two programs, in the format of safetensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any, NamedTuple

import numpy as np

from mtl_runtime.graph import GraphError, Program
from mtl_runtime.rounding import Rounded

VERSIONS = (1, 2)
"""The versions of the format that this runtime reads."""
_TYPES = {
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "I8": np.int8,
    "I64": np.int64,
    "BOOL": np.bool_,
}
_CHECKSUM = b'"sha256":"'
_MOST_HEADER = 1 << 30


class BundleError(ValueError):
    """A file that is not a whole bundle, or one that this version cannot read."""


class Bundle(NamedTuple):
    """A model.

    Args:
        meta: Vocabularies, tasks and settings; see `mtl.export.bundle`.
        tensors: Name to array, or to a weight in fewer bits.
        words: The program from the features of words to the rows of tables.
        sentences: The program from rows to the scores of tasks.
    """

    meta: Mapping[str, Any]
    tensors: Mapping[str, Any]
    words: Program
    sentences: Program


def read(path: str | PathLike[str]) -> Bundle:
    """Read a bundle.

    Raises:
        BundleError: The file cannot be read, has changed since it was written, or has a format
            that this version does not know.
    """
    name = fspath(path)
    try:
        with open(name, "rb") as file:
            content = file.read()
    except OSError as error:
        raise BundleError(f"cannot read {name}: {error.strerror}") from None
    try:
        meta, tensors = _parsed(content)
        words = Program(meta["words"], tensors)
        sentences = Program(meta["sentences"], tensors)
    except (BundleError, GraphError) as error:
        raise BundleError(f"{name}: {error}") from None
    except Exception as error:  # whatever its numbers lead to
        raise BundleError(f"{name}: damaged: {type(error).__name__}: {error}") from None
    return Bundle(meta, tensors, words, sentences)


def _parsed(content: bytes) -> tuple[Any, dict[str, Any]]:
    """Return metadata and arrays after the checks of the file."""
    expected = "expected a bundle, as `mtl export RUN --to bundle` writes it"
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= length <= min(len(content) - 8, _MOST_HEADER):
        raise BundleError(expected)
    # The checksum covers every byte, with 64 zeros in its own place.
    at = content.find(_CHECKSUM, 8, 8 + length)
    if at < 0:
        raise BundleError(expected)
    at += len(_CHECKSUM)
    digest = hashlib.sha256(content[:at])
    digest.update(b"0" * 64)
    digest.update(memoryview(content)[at + 64 :])
    if content[at : at + 64] != digest.hexdigest().encode():
        raise BundleError("damaged: the checksum does not fit; export the model again")
    header = json.loads(content[8 : 8 + length])
    meta = json.loads(header.pop("__metadata__")["mtl"])
    if meta["format"] != "mtl-bundle" or meta["version"] not in VERSIONS:
        raise BundleError(
            f"has version {meta['version']}, but this mtl-runtime reads "
            f"{', '.join(map(str, VERSIONS))}; install a newer one"
        )
    start = 8 + length
    tensors: dict[str, Any] = {}
    for name, entry in header.items():
        kind = np.dtype(_TYPES[entry["dtype"]])
        first, last = entry["data_offsets"]
        count = (last - first) // kind.itemsize
        # Not copied: all arrays read the memory of the file, and nobody writes to them.
        array = np.frombuffer(content, kind, count, start + first)
        array = array.reshape(entry["shape"])
        tensors[name] = Rounded(array) if kind == np.float16 else array
    for name, scales in meta.get("scales", {}).items():
        tensors[name] = Rounded(tensors[name], tensors[scales])
    return meta, tensors
