"""Reading text files of users, and writing files atomically."""

from __future__ import annotations

import gzip
import io
import os
import re
import secrets
import shutil
import stat
import time
import zlib
from contextlib import ExitStack, contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from mtl.errors import DataError, MtlError, printable, shorten

try:
    import fcntl
except ImportError:  # Windows, and browsers
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BLOCK = 1 << 16
"""Number of bytes to read at once."""

PACKAGE = Path(__file__).parent
"""The folder of the package, with configurations, corpora and pretrained models."""

_YOUNG = 5.0
"""Seconds in which a new temporary file may not have a lock yet."""

_PEEK = 1 << 16
"""Number of bytes at the start of a file that are searched for binary content."""

NO_FILE = (
    "a pipe or a device; expected an ordinary file, which can be read again; "
    "write its content to a file"
)
"""The error for a path that exists and is neither an ordinary file nor a folder."""


def run_folder(name: str) -> Path:
    """Return the folder of a run that a resolved configuration names.

    Args:
        name: An absolute path, or the name of a pretrained model of the package.
    """
    return PACKAGE / "pretrained" / name  # an absolute path replaces the folders before it


def find_shipped(path: Path, folder: str = "") -> Path:
    """Return a path or, if nothing exists there, the file or folder of the package with its name.

    Args:
        path: A file or folder of the user; relative paths start at the current folder.
        folder: The folder of the package in which names are searched.
    """
    if exists(path) or path.is_absolute() or ".." in path.parts:
        return path
    shipped = PACKAGE / folder / path
    return shipped if exists(shipped) else path


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
        MtlError: The file cannot be written: disk full, no permission, no such folder; or the path
            is a folder, a pipe or a device, such as /dev/null, which would be replaced.
    """
    path = Path(path)
    if exists(path) and not exists(path, Path.is_file):
        raise MtlError(f"cannot write {path}: a folder, a pipe or a device; expected a file")
    # In the same folder, because `os.replace` is only atomic within a file system.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    encoding, newline = (None, None) if mode == "wb" else ("utf-8", "\n")
    try:
        with open(temporary, mode, encoding=encoding, newline=newline) as file:
            _lock(file)
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


@contextmanager
def all_or_none() -> Iterator[Callable[[Path, str], None]]:
    """Write several text files; if the block fails, restore the earlier state of all of them.

    Yields a function that writes a text to a path, as `atomic_write` does.
    """
    before: dict[Path, bytes | None] = {}

    def write(path: Path, text: str) -> None:
        if path not in before:
            before[path] = path.read_bytes() if path.exists() else None
        with atomic_write(path) as file:
            file.write(text)

    try:
        yield write
    except BaseException:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                with atomic_write(path, "wb") as file:
                    file.write(content)
        raise


def check_new(path: Path) -> None:
    """Raise an error if something exists at a path."""
    if os.path.lexists(path):
        raise MtlError(f"{path}: exists already; choose another folder, or remove it")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Create a folder that gets its name when the block ends without an error.

    Yields its place until then. If the block fails, nothing is left.

    Args:
        folder: The folder.

    Raises:
        MtlError: The folder exists already, or cannot be written.
    """
    check_new(folder)
    created = [path for path in folder.parents if not path.exists()]
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        os.rename(temporary, folder)
        _sync_folder(folder.parent)
    except OSError as error:
        raise MtlError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for path in created:
            with suppress(OSError):  # it is not empty
                path.rmdir()


@contextmanager
def atomic_text(path: str | Path) -> Iterator[IO[str]]:
    """Open a text file as `atomic_write` does; it is compressed if its name ends in `.gz`.

    Equal text makes equal files: a compressed one has neither a time nor a name inside.

    Args:
        path: The file to write. Its folder must exist.

    Raises:
        MtlError: As in `atomic_write`.
    """
    path = Path(path)
    with ExitStack() as stack:
        file: Any = stack.enter_context(atomic_write(path, "wb"))
        if path.suffix == ".gz":
            file = stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0))
        text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        try:
            yield text
            text.flush()
        finally:
            text.detach()  # the file is closed after it was written to the disk


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


def remove_stale(folder: Path) -> None:
    """Remove the files of writes that were killed, from a folder into which others may write.

    Nothing is removed where the system has no locks.
    """
    for path in folder.iterdir() if fcntl else ():
        if not is_temporary(path.name):
            continue
        with suppress(OSError), open(path, "rb") as file:
            # A younger file may be one whose writer is about to lock it.
            if time.time() - os.fstat(file.fileno()).st_mtime > _YOUNG:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def _lock(file: IO[Any]) -> None:
    """Lock a temporary file until it is closed; the system frees the lock of a killed process."""
    with suppress(OSError):  # some network file systems have no locks
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _reason(error: OSError, path: Path) -> str:
    if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
        return f"the folder {path.parent} does not exist"
    return error.strerror or str(error)


def exists(path: Path, test: Callable[[Path], bool] = Path.exists) -> bool:
    """Return whether a path exists; a path that the system refuses does not.

    Args:
        path: The path; it may contain NUL or be too long.
        test: The test, such as `Path.is_file`.
    """
    try:
        return test(path)
    except (OSError, ValueError):
        return False


@contextmanager
def open_text(
    path: str | Path,
    *,
    stream: bool = False,
    lone_returns: bool = False,
    on_open: Callable[[io.BufferedReader], None] | None = None,
) -> Iterator[Iterator[str]]:
    r"""Open a plain or `.gz` file as the lines of UTF-8 text, without a byte order mark.

    Each line ends in `\\n`, also if the file has `\\r\\n`.

    Args:
        path: The file.
        stream: Whether the file may be a pipe or a device, which can be read only once.
        lone_returns: Whether lines may contain carriage returns.
        on_open: Called with the open file; its position is the number of bytes read so far.

    Raises:
        DataError: While opening or inside the block: no such file, no ordinary file, binary
            content, another encoding, a carriage return inside a line, or a gzip file that is cut
            or damaged. Names the line.
    """
    path = Path(path)
    with open_bytes(path, stream=stream) as file:
        if on_open:
            on_open(file)
        # Binary content often is not UTF-8 either, and the zero byte says more about it.
        _refuse_binary(b"" if path.suffix == ".gz" else file.peek(_PEEK)[:_PEEK], path)
        content = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
        yield text_lines(content, path, lone_returns=lone_returns)


@contextmanager
def open_part(path: Path, start: int, end: int, lines: int) -> Iterator[Iterator[str]]:
    """Open a part of a plain file as `open_text` does; errors name the lines of the file.

    Args:
        path: The file.
        start: The first byte, where a line starts.
        end: The byte after the last one.
        lines: The number of lines before the part.

    Raises:
        DataError: As in `open_text`.
    """
    with open_bytes(path) as file:
        if not start:
            _refuse_binary(file.peek(_PEEK)[:_PEEK], path)
        file.seek(start)
        yield text_lines(io.BytesIO(file.read(end - start)), path, before=lines)


def near_file(path: Path) -> str:
    """Return `; did you mean 'x'?` if the folder of a missing path has a similar name, else ""."""
    try:
        near = get_close_matches(path.name[:100], sorted(os.listdir(path.parent)), 1, 0.75)
    except (OSError, ValueError):
        return ""
    return f"; did you mean {shorten(printable(near[0]), 80)!r}?" if near else ""


@contextmanager
def open_bytes(path: str | Path, *, stream: bool = False) -> Iterator[io.BufferedReader]:
    """Open a file of a user as bytes.

    Args:
        path: The file.
        stream: Whether the file may be a pipe or a device, which can be read only once.

    Raises:
        DataError: While opening or inside the block: no such file, no ordinary file, or it cannot
            be read.
    """
    path = Path(path)
    if "\0" in str(path):
        raise DataError("no file has this name", ascii(str(path))[1:-1])
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise DataError("this is a folder; expected a file", path)
        # To open a pipe waits for its writer, and a device may never end.
        if not (stream or stat.S_ISREG(mode)):
            raise DataError(NO_FILE, path)
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError as error:
        missing = Path(error.filename or path)
        raise DataError(f"there is no such file{near_file(missing)}", missing) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path) from error


def text_lines(
    stream: io.BufferedIOBase, name: str | Path, *, lone_returns: bool = False, before: int = 0
) -> Iterator[str]:
    r"""Yield the lines of a stream of UTF-8 text as `open_text` does, as soon as they are there.

    Args:
        stream: The bytes.
        name: The name of the stream, for messages.
        lone_returns: Whether lines may contain carriage returns.
        before: The number of lines before the stream, if it is a part of a file.

    Raises:
        DataError: As in `open_text`.
    """
    encoding = "utf-8" if before else "utf-8-sig"
    number = before
    try:
        for block in _whole_lines(stream):
            # Blocks are several times faster than lines, but only lines know their number.
            plain = block.replace(b"\r\n", b"\n")
            try:
                if b"\r" in plain or b"\0" in plain:
                    raise ValueError
                text = plain.decode(encoding)
            except ValueError:
                lines = io.BytesIO(block)
                text = "".join(
                    _decoded(line, name, place, lone_returns)
                    for place, line in enumerate(lines, number + 1)
                )
                text = text.removeprefix("\ufeff") if number == 0 else text
            yield from io.StringIO(text, newline="\n")
            encoding = "utf-8"
            number += text.count("\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        if number == 0 and str(error).startswith("Not a gzipped file"):
            message = "not a gzip file, although its name ends in .gz; rename it"
            raise DataError(message, name) from error
        message = "the gzip data is truncated or damaged; download the file again"
        raise DataError(message, name, number + 1) from error


def _whole_lines(stream: io.BufferedIOBase) -> Iterator[bytes]:
    """Yield the content of a stream in blocks that end where a line ends."""
    parts: list[bytes] = []
    while block := stream.read1(_BLOCK):
        lines, end, rest = block.rpartition(b"\n")
        if end:
            yield b"".join([*parts, lines, end])
            parts = [rest]
        else:
            parts.append(block)
    if last := b"".join(parts):
        yield last


def _decoded(line: bytes, name: str | Path, number: int, lone_returns: bool) -> str:
    """Return a line as text.

    Raises:
        DataError: The line is not text; see `open_text`.
    """
    if b"\0" in line:
        raise _binary(name, number)
    if b"\r" in line:
        line = _without_return(line, name, number, lone_returns)
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02x} at position {error.start} of the line"
        file = name.name if isinstance(name, Path) else "FILE"
        hint = f"convert the file, as in: iconv -f WINDOWS-1252 -t UTF-8 {file}"
        raise DataError(f"{byte} is not UTF-8; {hint}", name, number) from error


def _without_return(line: bytes, name: str | Path, number: int, lone_returns: bool) -> bytes:
    """Return a line without the carriage return of its end."""
    text = line.removesuffix(b"\n")
    end = line[len(text) :]
    text = text.removesuffix(b"\r")
    if b"\r" not in text or lone_returns:
        return text + end
    if text.endswith(b"\r"):
        message = "the line ends in \\r\\r\\n; expected \\n or \\r\\n"
        command = "tr -d '\\r'"
    else:
        message = "a carriage return (\\r) inside the line; expected \\n or \\r\\n at its end"
        command = "tr '\\r' ' '` or, if it ends a line, `tr '\\r' '\\n'"
    raise DataError(f"{message}; correct the file, as with `{command}`", name, number)


def _refuse_binary(start: bytes, path: Path) -> None:
    if b"\0" in start:
        raise _binary(path, start[: start.index(b"\0")].count(b"\n") + 1)


def _binary(name: str | Path, line: int) -> DataError:
    message = "binary content (or UTF-16); expected text in UTF-8"
    return DataError(f"{message}; name a text file, or convert it to UTF-8", name, line)
