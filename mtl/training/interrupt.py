"""Stopping a run between two steps, by Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and the signal with which schedulers and service managers end a process."""


class Interrupt:
    """Context that records the first Ctrl-C or SIGTERM, so that the current step is completed.

    A second signal acts as it would outside of the context. At the end of the context, the recorded
    signal is given to the handler that was set before: SIGTERM still ends a program that does not
    handle it. Only Python's own handler of Ctrl-C does not get it, so that the code after the
    context can use the results so far. In threads other than the main one the context does nothing.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._recorded: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python allows signal handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._previous[number] = signal.signal(number, self._record)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()
        if error is None and self._recorded is not None:
            previous = self._previous[self._recorded]
            if previous not in (signal.default_int_handler, None):
                signal.raise_signal(self._recorded)

    def _record(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        self._recorded = number
        self._restore()  # so that a second signal stops at once

    def _restore(self) -> None:
        for number, previous in self._previous.items():
            # None is a handler that was not set from Python; the default is the nearest to it.
            signal.signal(number, signal.SIG_DFL if previous is None else previous)
