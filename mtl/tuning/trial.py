"""One trial of a search, trained in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mtl.config.run import Run
from mtl.errors import CheckpointError, printable, shorten
from mtl.files import PACKAGE
from mtl.runs.checkpoint import MODEL
from mtl.runs.history import RECORDS, read_lines

_PATIENCE = 120.0
"""Seconds that a process has to end after SIGTERM: a step may take long."""


class RunningTrial:
    """A process that trains a run, or continues its training.

    Args:
        run: The run.
        folder: Its run folder.
        speed: Whether to measure the speed of the model.
        trust: As for `mtl.train`.
    """

    def __init__(self, run: Run, folder: Path, *, speed: bool, trust: bool) -> None:
        self.run = run
        self.folder = folder
        self.began = time.monotonic()
        self.stopped = False
        """Whether the process was asked to stop."""
        self.scores: dict[int, float] = {}
        """Epoch, from 1, to the dev score of the run, as far as there is one."""
        self._size = 0
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        # The process can import the same modules as this one, also parts of the user's own.
        paths = [*(path or os.getcwd() for path in sys.path), str(PACKAGE.parent)]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mtl.tuning.worker"],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._errors,
            # Trials run side by side; the search has read the corpora before.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "MTL_READERS": "1"},
            # Ctrl-C reaches the search alone, which then stops its trials.
            start_new_session=True,
        )
        order = {"run": run.model_dump(mode="json"), "folder": str(folder)}
        line = json.dumps({**order, "speed": speed, "trust": trust})
        assert self._process.stdin
        try:
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:  # the process has failed; `close` returns its error
            pass

    def new_scores(self) -> list[tuple[int, float]]:
        """Return the epochs that have ended since the last call, each with its dev score."""
        path = self.folder / RECORDS
        size = path.stat().st_size if path.is_file() else 0
        if size == self._size:
            return []
        self._size = size
        try:
            records = [record for _, record in read_lines(path) if record["type"] == "epoch"]
        except CheckpointError:  # the process is replacing the file, or reports the damage itself
            return []
        scores = {r["epoch"] + 1: r["score"] for r in records if r["score"] is not None}
        new = {epoch: score for epoch, score in scores.items() if epoch not in self.scores}
        self.scores |= new
        return list(new.items())

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ask the process to stop after the current step, with a checkpoint."""
        if self.running and not self.stopped:
            self._process.send_signal(signal.SIGTERM)
        self.stopped = True

    def wait(self) -> None:
        """Wait for the end of the process after `stop`, and kill it if that takes long."""
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def best(self) -> tuple[int, float] | None:
        """The best epoch so far, and its score; the last of equal ones, whose model is saved."""
        if not self.scores:
            return None
        score, epoch = max((score, epoch) for epoch, score in self.scores.items())
        return epoch, score

    def close(self) -> tuple[dict[str, float], str, str]:
        """Return the results of a process that has ended.

        Returns:
            Objective to value; the error in one line, empty for none; all that the process wrote
            to standard error.
        """
        assert self._process.stdin
        self._process.stdin.close()
        output, errors = (_content(file) for file in (self._output, self._errors))
        code = self._process.returncode
        if code == 0 and self.best:
            measured: dict[str, Any] = json.loads(output.strip().rsplit("\n", 1)[-1])
            size = (self.folder / MODEL).stat().st_size
            return {"score": self.best[1], "size": float(size), **measured}, "", errors
        last = errors.strip().rsplit("\n", 1)[-1]
        how = f"the process was killed by signal {-code}" if code < 0 else f"exit code {code}"
        reason = last or ("no dev score" if code == 0 else how)
        return {}, shorten(printable(reason), 500), errors


def _content(file: Any) -> str:
    file.seek(0)
    with file:
        return str(file.read().decode("utf-8", "replace"))
