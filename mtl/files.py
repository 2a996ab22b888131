"""Reading text files of users, and writing files atomically."""

from __future__ import annotations

import gzip
import io
import os
import re
import secrets
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from mtl.errors import DataError, MtlError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PEEK = 1 << 16
"""Number of bytes at the start of a file that are searched for binary content."""


@contextmanager
def atomic_write(
    path: str | Path, mode: Literal["w", "wb"] = "w", hint: str = ""
) -> Iterator[IO[Any]]:
    """Open a file that replaces `path` when the block ends without an error.

    A reader finds the old file or the complete new file, never a part. Text is UTF-8.

    Args:
        path: The file to write. Its folder must exist.
        mode: "w" for text, "wb" for bytes.
        hint: Remedy to add to the error message if the file cannot be written.

    Raises:
        MtlError: The file cannot be written: disk full, no permission, no such folder.
    """
    path = Path(path)
    # In the same folder, because `os.replace` is only atomic within a file system.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    encoding, newline = (None, None) if mode == "wb" else ("utf-8", "\n")
    try:
        with open(temporary, mode, encoding=encoding, newline=newline) as file:
            yield file
            # Without fsync, a crash of the machine could leave the new name with empty content.
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        reason = "; ".join(filter(None, [_reason(error, path), hint]))
        raise MtlError(f"cannot write {path}: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Write a folder to the disk, so that a new name in it outlives a crash of the machine."""
    if os.name == "nt":  # which has no such call
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems refuse it; they write names on their own.
        with suppress(OSError):
            os.fsync(file)
    finally:
        os.close(file)


def is_temporary(name: str) -> bool:
    """Return whether `atomic_write` makes files of this name before it renames them."""
    return re.fullmatch(r"\..+\.[0-9a-f]{8}\.tmp", name) is not None


def _reason(error: OSError, path: Path) -> str:
    if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
        return f"the folder {path.parent} does not exist"
    return error.strerror or str(error)


@contextmanager
def open_text(path: str | Path) -> Iterator[IO[str]]:
    """Open a plain or `.gz` file as UTF-8 text, without byte order mark and carriage returns.

    Raises:
        DataError: While opening or inside the block: no such file, a folder, binary content,
            another encoding, or a gzip file that is cut or damaged. Names the line.
    """
    path = Path(path)
    try:
        with _open_bytes(path) as file:
            _refuse_binary(file.peek(_PEEK)[:_PEEK], path)
            with io.TextIOWrapper(file, encoding="utf-8-sig") as text:
                yield text
    except FileNotFoundError as error:
        raise DataError("there is no such file", error.filename or path) from error
    except IsADirectoryError as error:
        raise DataError("this is a folder; expected a file", path) from error
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _locate(path, error) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path) from error


def _open_bytes(path: Path) -> Any:
    """Open a plain or gzip file as bytes; both kinds offer `peek`."""
    return gzip.open(path) if path.suffix == ".gz" else open(path, "rb")


def _refuse_binary(start: bytes, path: Path) -> None:
    if b"\0" in start:
        line = start[: start.index(b"\0")].count(b"\n") + 1
        message = "binary content (or UTF-16); expected text in UTF-8"
        raise DataError(f"{message}; name a text file, or convert it to UTF-8", path, line)


def _locate(path: Path, error: Exception) -> DataError:
    """Find the line of a decoding error, by reading the file again line by line."""
    # The text reader decodes in blocks, so its error does not know the line.
    line = 0
    try:
        with _open_bytes(path) as file:
            for raw in file:
                line += 1
                raw.decode("utf-8")
    except UnicodeDecodeError as bad:
        byte = f"byte 0x{bad.object[bad.start]:02x} at position {bad.start} of the line"
        hint = f"convert the file, as in: iconv -f WINDOWS-1252 -t UTF-8 {path.name}"
        return DataError(f"{byte} is not UTF-8; {hint}", path, line)
    except (EOFError, OSError, zlib.error) as bad:
        if line == 0 and isinstance(bad, gzip.BadGzipFile):
            return DataError("not a gzip file, although its name ends in .gz; rename it", path)
        message = "the gzip data is truncated or damaged; download the file again"
        return DataError(message, path, line + 1)
    return DataError(f"cannot be read: {error}", path)
