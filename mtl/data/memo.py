"""Results that take long to compute for a large corpus, stored beside the cache."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mtl.errors import MtlError
from mtl.files import atomic_write

LARGE = 64 << 20
"""The size in bytes from which a file is large; smaller ones are read again."""

_RECENT = 2.0
"""Within this number of seconds, a second change may leave the time stamp of a file as it is."""


def stored_result(folder: Path, key: object, compute: Callable[[], Any]) -> Any:
    """Return a result made of JSON types; it is computed only if it is not stored.

    Args:
        folder: The folder of the results.
        key: Everything that the result depends on; `repr` describes it.
        compute: Computes the result.
    """
    name = hashlib.blake2b(repr(key).encode(), digest_size=16).hexdigest()
    file = folder / f"{name}.json"
    try:
        checksum, _, text = file.read_text("utf-8").partition("\n")
        if checksum == _checksum(text):
            return json.loads(text)
    except (OSError, ValueError):
        pass
    result = compute()
    text = json.dumps(result)
    # Also a cache that cannot be written serves its corpora; the result is computed again.
    with suppress(OSError, MtlError):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as stream:
            stream.write(f"{_checksum(text)}\n{text}")
    return result


def stored_digest(path: Path, folder: Path, compute: Callable[[], str]) -> str:
    """Return the digest of a file; a large file is read again only after a change.

    A change is another inode, size, or time of change, as for Git.

    Args:
        path: The file.
        folder: The folder of the results.
        compute: Reads the file.

    Raises:
        OSError: The file does not exist.
    """
    status = path.stat()
    if status.st_size < LARGE or time.time() - status.st_mtime < _RECENT:
        return compute()
    times = status.st_mtime_ns, status.st_ctime_ns
    key = str(path.resolve()), status.st_dev, status.st_ino, status.st_size, *times
    return str(stored_result(folder, key, compute))


def _checksum(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
