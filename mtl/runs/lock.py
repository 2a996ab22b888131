"""A lock that keeps a second process out of a run folder."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from mtl.errors import MtlError

LOCK = ".lock"
"""The file that is locked. It names the process, and is removed when the process leaves."""

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: int) -> None:
        # The locked byte lies behind the text, so that other processes can read the text.
        os.lseek(file, 1 << 20, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
else:
    import fcntl

    def _try_lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FolderLock:
    """Context in which no other process trains into a folder.

    The folder is created if it does not exist, and removed again if it is still empty at the end.
    The operating system frees the lock when the process ends in any way.

    Args:
        folder: The folder.
        note: Receives a note if the file system has no locks; then the context protects nothing.

    Raises:
        MtlError: Another process holds the lock, or the folder cannot be created or written.
    """

    def __init__(self, folder: Path, note: Callable[[str], object]) -> None:
        self.folder = folder
        self.path = folder / LOCK
        self._note = note
        self._file: int | None = None
        self._created: list[Path] = []

    def __enter__(self) -> Self:
        self._created = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._remove_created()
            raise MtlError(f"{self.folder}: cannot be created: {error.strerror}") from error
        try:
            while not self._acquire():
                pass
        except BaseException:
            self._remove_created()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._file is not None
        if sys.platform == "win32":  # which cannot remove open files
            os.close(self._file)
            self.path.unlink(missing_ok=True)
        else:
            # Removed while it is locked, so that nobody else's file is removed.
            if self._in_place():
                self.path.unlink(missing_ok=True)
            os.close(self._file)
        self._remove_created()

    def check(self) -> None:
        """Check that the folder is still there.

        Raises:
            MtlError: It was removed or replaced.
        """
        if not self._in_place():
            raise MtlError(f"{self.folder}: the run folder was removed during training")

    def _acquire(self) -> bool:
        """Open and lock the file; return whether it is still the file of its name."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        try:
            self._file = os.open(self.path, flags, 0o666)
        except OSError as error:
            raise MtlError(f"cannot write {self.path}: {error.strerror}") from error
        try:
            _try_lock(self._file)
        except (BlockingIOError, PermissionError) as error:
            owner = os.read(self._file, 200).decode("utf-8", "replace").strip()
            os.close(self._file)
            raise MtlError(
                f"{self.folder}: another process trains into this folder ({owner or 'unknown'}); "
                "wait until it ends, or choose another folder with --output"
            ) from error
        except OSError as error:
            self._note(f"note: {self.folder}: the file system has no locks ({error.strerror})")
        if not self._in_place():  # its owner has removed it since it was opened
            os.close(self._file)
            return False
        os.ftruncate(self._file, 0)
        os.write(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        return True

    def _in_place(self) -> bool:
        assert self._file is not None
        try:
            return os.path.samestat(os.fstat(self._file), self.path.stat())
        except OSError:
            return False

    def _remove_created(self) -> None:
        """Remove the folders that were created, as far as they are empty."""
        for path in self._created:
            with suppress(OSError):
                path.rmdir()
