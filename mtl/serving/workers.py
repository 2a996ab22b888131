"""Several processes that serve one model at the same address."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Thread
from typing import TYPE_CHECKING, Any

from mtl.errors import MtlError

if TYPE_CHECKING:
    from mtl.serving.settings import ServerSettings

# Not "fork": threads of torch would be missing in the child.
_CONTEXT = multiprocessing.get_context("spawn")


@dataclass
class _Child:
    """A process of the server.

    Args:
        process: The process.
        pipe: Receives an empty text when it is ready, or its error. It is open as long as this
            process lives.
    """

    process: SpawnProcess
    pipe: Connection
    is_ready: bool = False


def run_workers(
    settings: ServerSettings, listener: socket.socket, started: Callable[[], None]
) -> None:
    """Serve with several processes until Ctrl-C or SIGTERM; replace those that die.

    Args:
        settings: The settings.
        listener: A bound socket, which they share.
        started: Called when all of them are ready.

    Raises:
        MtlError: A process cannot start.
    """
    with NamedTemporaryFile(prefix="mtl-serve-") as counters, _signals() as stopped:
        shared = Path(counters.name)
        workers = [_start(settings, listener, shared, row) for row in range(settings.workers)]
        try:
            _watch(workers, stopped, started, lambda row: _start(settings, listener, shared, row))
        finally:
            for worker in workers:
                worker.process.terminate()  # SIGTERM: they answer their requests first
            for worker in workers:
                worker.process.join()


def _watch(
    workers: list[_Child],
    stopped: int,
    started: Callable[[], None],
    start: Callable[[int], _Child],
) -> None:
    """Return after a signal; start workers that have died again."""
    told = False
    while True:
        pipes: list[Any] = [worker.pipe for worker in workers if not worker.is_ready]
        found = wait([stopped, *pipes, *(worker.process.sentinel for worker in workers)])
        if stopped in found:
            return
        for row, worker in enumerate(workers):
            if worker.pipe in found:
                _receive(worker)
            elif worker.process.sentinel in found:
                worker.process.join()
                if not worker.is_ready:
                    raise _ended(worker)
                print(f"warning: {_ended(worker)}; it is started again", file=sys.stderr)
                workers[row] = start(row)
        if not told and all(worker.is_ready for worker in workers):
            told = True
            started()


def _receive(worker: _Child) -> None:
    """Read the message of a process that has started, or could not."""
    try:
        error = worker.pipe.recv()
    except EOFError:
        worker.process.join()
        raise _ended(worker) from None
    if error:
        raise MtlError(error)
    worker.is_ready = True


def _ended(worker: _Child) -> MtlError:
    return MtlError(f"a process of the server ended with code {worker.process.exitcode}")


def _start(settings: ServerSettings, listener: socket.socket, counters: Path, row: int) -> _Child:
    own, other = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_serve, args=(settings, listener, counters, row, other))
    process.start()
    other.close()
    return _Child(process, own)


def _serve(
    settings: ServerSettings, listener: socket.socket, counters: Path, row: int, pipe: Connection
) -> None:
    """Serve in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the first process sends SIGTERM
    from mtl.serving.application import Application
    from mtl.serving.counters import Counters
    from mtl.serving.running import RunningServer

    try:
        model = settings.open_model()
    except MtlError as error:
        pipe.send(str(error))
        return
    own = Counters(counters, row, settings.workers)
    server = RunningServer(Application(model, settings.limits, own), settings.limits)
    server.on_start = lambda: pipe.send("")

    def watch() -> None:
        try:
            pipe.recv()
        except (EOFError, OSError):  # the first process has died
            server.should_exit = True

    Thread(target=watch, daemon=True).start()
    server.run([listener])


@contextmanager
def _signals() -> Iterator[int]:
    """Yield a file descriptor that can be read after Ctrl-C or SIGTERM."""
    reading, writing = os.pipe()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {
        number: signal.signal(number, lambda *_: os.write(writing, b".")) for number in numbers
    }
    try:
        yield reading
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)
