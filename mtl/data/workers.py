"""Work on chunks in several processes; the results keep the order of the chunks."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from mtl.errors import MtlError

if TYPE_CHECKING:
    from concurrent.futures import Future

_WorkItem = TypeVar("_WorkItem")
_Result = TypeVar("_Result")

_AHEAD = 2
"""Chunks per worker that are in work or wait: while one is labelled, the next one is read."""


def cores() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class Workers(Generic[_WorkItem, _Result]):
    """Processes that apply one function to many items. Each uses one thread.

    They are started afresh (`spawn`), and each unpickles the function once. They end with the
    block, however it ends, and if this process is killed.

    Args:
        work: The function. It is pickled.
        count: The number of processes.
        advice: The remedy in the error for a process that was killed.
    """

    def __init__(
        self,
        work: Callable[[_WorkItem], _Result],
        count: int,
        advice: str = "if memory is short, use fewer workers",
    ) -> None:
        # Here, as most programs import this module without starting processes.
        from concurrent.futures import ProcessPoolExecutor

        self._advice = advice
        self._context = _Context()
        self._executor = ProcessPoolExecutor(
            count, self._context, initializer=_begin, initargs=(pickle.dumps(work),)
        )
        self._count = count

    def __enter__(self) -> Self:
        for _ in range(self._count):  # each starts a process
            self._executor.submit(_start)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            for process in self._context.started:
                process.kill()
        self._executor.shutdown(cancel_futures=True)

    def map(self, items: Iterable[_WorkItem]) -> Iterator[_Result]:
        """Yield the result of each item, in order; items are read a few ahead.

        Raises:
            MtlError: A process has ended, or has raised such an error. Errors of `items` come after
                the results of the items before.
        """
        waiting: deque[Future[_Result]] = deque()
        failed: MtlError | None = None
        rest = iter(items)
        while True:
            while failed is None and len(waiting) < _AHEAD * self._count:
                try:
                    item = next(rest)
                except StopIteration:
                    break
                except MtlError as error:
                    failed = error
                else:
                    with self._one_error():
                        waiting.append(self._executor.submit(_run, item))
            if not waiting:
                break
            with self._one_error():
                result = waiting.popleft().result()
            yield result
        if failed:
            raise failed

    @contextmanager
    def _one_error(self) -> Iterator[None]:
        from concurrent.futures.process import BrokenProcessPool

        try:
            yield
        except BrokenProcessPool:
            self._executor.shutdown()  # waits until the exit codes are known
            codes = [process.exitcode or 0 for process in self._context.started]
            # The others are ended by SIGTERM when one has ended.
            code = next((code for code in codes if code not in (0, -signal.SIGTERM)), 0)
            how = f" by signal {-code}" if code < 0 else f" with exit code {code}" * (code > 0)
            raise MtlError(f"a worker process has ended{how}; {self._advice}") from None


class _WorkerProcess(SpawnProcess):
    """A process that Ctrl-C does not interrupt: its parent ends it."""

    def start(self) -> None:
        with _no_interrupt(), _no_main():
            super().start()


class _Context(SpawnContext):
    """Starts such processes, and knows them."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[_WorkerProcess] = []

    def Process(self, *arguments: Any, **options: Any) -> _WorkerProcess:  # type: ignore[override]
        process = _WorkerProcess(*arguments, **options)
        self.started.append(process)
        return process


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Block Ctrl-C for a moment; a process that is started meanwhile blocks it for ever."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _no_main() -> Iterator[None]:
    """Hide the main module, which a process that is started meanwhile would import.

    A script without `if __name__ == "__main__":` would otherwise run again in each process.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class _Worker:
    """The state of a worker process."""

    pickled = b""
    work: Callable[[Any], Any] | None = None


def _begin(pickled: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")  # the first process shows them
    _Worker.pickled = pickled


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _load() -> Callable[[Any], Any]:
    if _Worker.work is None:
        import torch

        torch.set_num_threads(1)
        _Worker.work = pickle.loads(_Worker.pickled)
    return _Worker.work


def _start() -> None:
    """Load the function; the first item raises the error if that fails."""
    with suppress(MtlError):
        _load()


def _run(item: Any) -> Any:
    try:
        return _load()(item)
    except MtlError as error:
        # Its subclasses may have constructors that unpickling cannot call.
        raise MtlError(str(error)) from None
