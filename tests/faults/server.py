"""Commands in processes of their own, which start at once: copies of one that has imported torch.

A process may be killed, limited or starved of its disk, and does no harm to the tests. Each one
records the files that it opens for writing, makes, renames or removes.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple

MODULES = [
    *("pytest", "mtl.api", "mtl.cli.app", "mtl.cli.train", "mtl.export.bundle", "mtl.inference"),
    *("mtl.training.board", "tensorboard.summary.writer.record_writer"),
    *("torch.utils.tensorboard.summary", "torch._dynamo", "torch.onnx", "pandas", "yaml"),
    *("tests.faults.server", "tests.faults.mutations"),
]
CPU_SECONDS = 10
"""The processor time of a single command on a tiny model, beyond which it counts as a hang."""
SECONDS = 120
"""The time of the clock for the same, on a busy machine."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod")


class Result(NamedTuple):
    """The end of a process.

    Args:
        code: The exit code; minus the number of a signal that has ended the process.
        out: Its standard output.
        err: Its standard error.
        touched: The paths outside of the allowed folders that it has changed.
    """

    code: int
    out: str
    err: str
    touched: Sequence[str]

    @property
    def traceback(self) -> bool:
        """Whether it printed a traceback, or crashed."""
        crashed = -self.code in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE)
        return "Traceback" in self.err or crashed

    @property
    def hung(self) -> bool:
        """Whether it needed too much time."""
        return -self.code == signal.SIGXCPU or "timed out" in self.err


@dataclass
class Running:
    """A process that was started.

    Args:
        process: The process.
        log: The folder of its output.
    """

    process: ForkServerProcess
    log: tempfile.TemporaryDirectory[str]

    def wait_for_handlers(self) -> None:
        """Wait until it handles SIGTERM, which is the first that a command does."""
        status = Path(f"/proc/{self.process.pid}/status")
        while self.process.is_alive() and status.exists():
            lines = status.read_text().splitlines()
            caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
            if caught >> (signal.SIGTERM - 1) & 1:
                return
            time.sleep(0.005)

    def send(self, number: int) -> None:
        """Send a signal to it, if it still runs."""
        if self.process.is_alive() and self.process.pid:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def wait(self, seconds: float = SECONDS) -> Result:
        """Wait for its end; kill it when the time is over."""
        self.process.join(seconds)
        late = self.process.is_alive()
        if late:
            self.process.kill()
            self.process.join()
        folder = Path(self.log.name)
        texts = [
            path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
            for path in (folder / name for name in ("out", "err", "touched"))
        ]
        self.log.cleanup()
        err = texts[1] + "timed out\n" * late
        return Result(self.process.exitcode or 0, texts[0], err, texts[2].splitlines())


class Server:
    """Starts processes. The first one takes seconds, all others milliseconds."""

    def __init__(self) -> None:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(MODULES)

    def start(
        self,
        *arguments: str,
        folder: Path,
        stdin: bytes = b"",
        largest_file: int | None = None,
        allowed: Sequence[Path] = (),
        cpu: int | None = None,
    ) -> Running:
        """Start the command `mtl` with some arguments.

        Args:
            arguments: The arguments.
            folder: The current folder of the command.
            stdin: Its standard input.
            largest_file: The number of bytes after which a write to a file fails; None: no limit.
            allowed: Further folders that the command may write to, beside `runs` and the cache.
            cpu: The processor time in seconds after which it is killed; None: no limit.
        """
        command = (_command, arguments, stdin)
        return self._start(command, folder, largest_file, allowed, cpu)

    def run(self, *arguments: str, folder: Path, **options: Any) -> Result:
        """Run a command until its end; arguments as `start`."""
        return self.start(*arguments, folder=folder, **{"cpu": CPU_SECONDS, **options}).wait()

    def call(self, function: Callable[..., None], *arguments: Any, folder: Path) -> Result:
        """Call a function of a module in a process; its output is what it prints."""
        return self._start((function, *arguments), folder, None, (), None).wait()

    def _start(
        self,
        call: tuple[Any, ...],
        folder: Path,
        largest_file: int | None,
        allowed: Sequence[Path],
        cpu: int | None,
    ) -> Running:
        log = tempfile.TemporaryDirectory()
        cache = Path(os.environ["MTL_CACHE"])
        places = [folder / "runs", cache, Path(log.name), *allowed]
        process = self._context.Process(
            target=_main,
            args=(call, folder, log.name, largest_file, places, cpu, dict(os.environ)),
        )
        process.start()
        return Running(process, log)


def _main(
    call: tuple[Any, ...],
    folder: Path,
    log: str,
    largest_file: int | None,
    places: Sequence[Path],
    cpu: int | None,
    environment: dict[str, str],
) -> None:
    """Do the work of a process."""
    os.environ.update(environment)
    os.chdir(folder)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(log, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)
    _watch_writes(Path(log, "touched"), [os.fsencode(os.path.realpath(p)) for p in places])
    if cpu:
        used = int(time.process_time()) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (used + cpu, resource.RLIM_INFINITY))
    if largest_file is not None:
        # The limit comes after the files of the output, which are tiny.
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    function, *arguments = call
    function(*arguments)


def _command(arguments: Sequence[str], stdin: bytes) -> None:
    from mtl.cli.main import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    file = os.memfd_create("stdin") if hasattr(os, "memfd_create") else os.open("/dev/null", 0)
    os.write(file, stdin)
    os.lseek(file, 0, os.SEEK_SET)
    os.dup2(file, 0)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.argv = ["mtl", *arguments]
    main()


def _watch_writes(report: Path, places: Sequence[bytes]) -> None:
    """Write the paths outside of some places that this process changes to a file."""
    file = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    temporary = os.fsencode(tempfile.gettempdir())
    # PyTorch makes an empty folder of this name when it is imported.
    free = (*places, b"/dev/", temporary + b"/tmp", temporary + b"/torchinductor")

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not (flags or 0) & _WRITES:
                return
            paths: tuple[Any, ...] = (path,)
        elif event in _CHANGES:
            paths = arguments[:2] if event in ("os.rename", "os.link") else arguments[:1]
        else:
            return
        if event in ("os.remove", "os.rmdir") and arguments[1] >= 0:  # in an open folder
            paths = (os.path.join(os.readlink(f"/proc/self/fd/{arguments[1]}"), paths[0]),)
        for path in paths:
            if isinstance(path, (str, bytes, os.PathLike)):
                place = os.path.abspath(os.fsencode(path))
                if not place.startswith(free) and not _is_compiled(place):
                    os.write(file, event.encode() + b" " + place + b"\n")

    sys.addaudithook(check)


def _is_compiled(place: bytes) -> bool:
    """Return whether Python writes a file as it imports a module."""
    return b"/__pycache__" in place
