"""The entry point of the `mtl` command: how errors and signals end it."""

from __future__ import annotations

import io
import os
import shlex
import signal
import sys
import threading
from types import FrameType
from typing import Any

from mtl.cli.worker import Worker

# Other modules are imported in `main`, after the handlers of signals are set: it takes seconds.


class _Stopped(BaseException):
    """A signal has come.

    It differs from KeyboardInterrupt, after which Python may end without the exit code.
    """


class Signals:
    """Handlers of Ctrl-C and SIGTERM for a process that runs one command.

    The first signal raises an exception, so that nothing is left half written. A second one ends
    the process at once.
    """

    def __init__(self) -> None:
        self.received = 0
        """The number of the first signal; 0 before it."""
        self.over = False
        """Whether the command has ended; later signals change nothing."""

    def install(self) -> None:
        """Set the handlers; in threads other than the main one Python does not allow it."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._handle)
            signal.signal(signal.SIGTERM, self._handle)
            sys.unraisablehook = self._report_unraisable

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.over:
            return
        if self.received:
            os._exit(128 + number)
        self.received = number
        raise _Stopped

    def _report_unraisable(self, unraisable: Any) -> None:
        # Python drops an exception that is raised in a callback or finaliser, and continues.
        if self.received and unraisable.exc_type is _Stopped:
            print(_signal_line(self), end="", file=sys.stderr, flush=True)
            os._exit(self.code)
        sys.__unraisablehook__(unraisable)

    @property
    def code(self) -> int:
        """The exit code after a signal: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.received

    @property
    def name(self) -> str:
        """The signal, for the user."""
        return "Ctrl-C" if self.received == signal.SIGINT else "SIGTERM"

    def message(self) -> str:
        """Return a line with the command that continues, for commands that can be continued."""
        name = self.name
        arguments = sys.argv[1:]
        command = next((argument for argument in arguments if not argument.startswith("-")), "")
        continues = command in ("train", "distil", "relate", "tune", "vectors", "audit")
        if not continues or arguments[:2] in (["vectors", "train"], ["vectors", "map"]):
            return f"stopped by {name}"
        # `mtl vectors TEACHER` always continues, as its result cannot differ.
        resume = [] if "--resume" in arguments or command == "vectors" else ["--resume"]
        return f"stopped by {name}; continue with: {shlex.join(['mtl', *arguments, *resume])}"


def main() -> None:
    """Run the command, and end the process with its exit code.

    A user error prints one message to standard error and exits with code 2. Ctrl-C exits with code
    130, SIGTERM with code 143. If nobody reads the output any more, as after `| head`, the command
    ends silently with code 141.
    """
    signals = Signals()
    signals.install()
    # A program may be started with closed streams; Python has None for them.
    if sys.stdout is None:
        print("error: standard output is closed", file=sys.stderr)
        sys.exit(2)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 (open until the end)
    # Output is UTF-8, whatever the encoding of the terminal: a file or pipe gets the same bytes.
    # Names of files that are not UTF-8 stay as they are.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    code: Any = 0
    message, fault_found = "", None
    worker = Worker.started()
    if worker:
        worker.silence()
        message = worker.refusal(sys.argv[1:])
    try:
        if message:
            raise SystemExit(2)
        from mtl.inference.process import without_collection

        with without_collection():
            from mtl.cli.app import app
        app(prog_name="mtl")
    except SystemExit as end:
        # Typer turns a broken pipe into the code 1.
        code = 141 if isinstance(end.__context__, BrokenPipeError) else end.code
    except BrokenPipeError:
        code = 141
    except BaseException as error:
        # Libraries may turn the exception of a signal into another one.
        if not signals.received:
            signals.over = True  # an error ends the command before any other process can
            if worker:
                sys.stderr = worker.errors  # for the traceback of an error in the program
            message, code, fault_found = _user_error(error), 2, error
    signals.over = True
    if fault := _finish_output():
        broken = isinstance(fault, BrokenPipeError)
        message, code = ("", 141) if broken else (f"standard output: {fault.strerror}", 2)
    if message and (worker is None or worker.prints(fault_found, message)):
        from mtl.errors import printable

        # Names of files and labels in it may have characters that control a terminal.
        lines = "\n".join(map(printable, message.split("\n")))
        print(f"error: {lines}", file=worker.errors if worker else sys.stderr)
    if signals.received:
        print(_signal_line(signals), end="", file=sys.stderr)
        code = signals.code
    if worker and (joined := sys.modules.get("mtl.training.processes")):
        joined.leave()
    sys.exit(code)


def _signal_line(signals: Signals) -> str:
    """Return the line that ends a command after a signal; empty in a process that is silent."""
    worker = Worker.started()
    message = worker.signal_message(signals.name) if worker else signals.message()
    return f"{message}\n" if message else ""


def _finish_output() -> OSError | None:
    """Write the rest of the output; return the error if that is impossible."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python would write the rest again at its end, and print a second error.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        return error
    return None


def _user_error(error: BaseException) -> str:
    """Return the message of an error that a user can fix; raise any other one."""
    from mtl.errors import MtlError

    if isinstance(error, MtlError):
        return str(error)
    if isinstance(error, OSError):  # usually a full disk
        place = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return f"{place}{error.strerror or error}"
    raise error


if __name__ == "__main__":
    main()
