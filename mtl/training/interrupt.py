"""Stopping a run by Ctrl-C between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupt:
    """Context that records the first Ctrl-C, so that the current step and file are completed.

    A second Ctrl-C raises KeyboardInterrupt as usual. In threads other than the main one the
    context does nothing.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._previous: Any = signal.default_int_handler
        # Python allows signal handlers in the main thread only.
        self._main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self._main:
            self._previous = signal.signal(signal.SIGINT, self._record) or self._previous
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _record(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        self._restore()  # so that a second Ctrl-C stops at once

    def _restore(self) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._previous)
