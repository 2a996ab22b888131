"""Ctrl-C between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupt:
    """Takes the first Ctrl-C as a wish to stop, so that no step and no file is cut short.

    A second one stops at once, as usual. In threads other than the main one, where Ctrl-C never
    arrives, nothing happens.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._before: Any = signal.default_int_handler
        self._main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._note) or self._before
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        self._restore()

    def _restore(self) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._before)
