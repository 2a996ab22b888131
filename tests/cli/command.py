"""The command, in this process where starting another would take seconds, or in one of its own."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from mtl.cli.main import main
from mtl.training.interrupt import SIGNALS


class Result(NamedTuple):
    code: int
    out: str
    err: str


def mtl(*arguments: str, stdin: str | bytes = "") -> Result:
    """Run the command in this process."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["mtl", *arguments])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        before = {number: signal.getsignal(number) for number in SIGNALS}
        patch.setattr(sys, "unraisablehook", sys.unraisablehook)
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        finally:  # the command expects that the process ends
            for number, handler in before.items():
                signal.signal(number, handler)
    return Result(code, out.getvalue(), err.getvalue())


def start(*arguments: str, shell: str = "") -> subprocess.Popen[str]:
    """Start the command as a process of its own.

    Args:
        arguments: Those of the command.
        shell: Shell commands to run first, such as a limit.
    """
    command = [sys.executable, "-m", "mtl.cli.main", *arguments]
    if shell:
        command = ["bash", "-c", f'{shell}; exec "$@"', "bash", *command]
    pipe = subprocess.PIPE
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment
    )


def process(*arguments: str, stdin: str = "", shell: str = "") -> Result:
    """Run the command as a process of its own."""
    running = start(*arguments, shell=shell)
    out, err = running.communicate(stdin, timeout=120)
    return Result(running.returncode, out, err)


def assert_told(result: Result, message: str) -> None:
    """Check that a command failed with this error alone."""
    assert result == Result(2, "", f"error: {message}\n")


def assert_refused(result: Result, message: str) -> None:
    """Check that a command failed with this error alone, and that it left no run behind."""
    assert_told(result, message)
    assert not Path("runs").exists()
