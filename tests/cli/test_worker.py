"""The command in several processes: what each of them prints."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from mtl.cli.launch import _report
from mtl.cli.worker import LAUNCHED, Worker
from mtl.errors import MtlError
from mtl.training.processes import LostProcess
from tests.cli.command import mtl

STARTED = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}


def test_a_worker_is_a_process_of_several() -> None:
    assert Worker.started({}) is None
    assert Worker.started({**STARTED, "WORLD_SIZE": "1"}) is None
    assert Worker.started({"WORLD_SIZE": "2"}) is None
    worker = Worker.started({**STARTED, LAUNCHED: "1"})
    assert worker is not None
    assert (worker.rank, worker.launched) == (1, True)


def test_only_the_first_process_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in (0, 1):
        monkeypatch.setattr(sys, "stdout", sys.stdout)
        monkeypatch.setattr(sys, "stderr", sys.stderr)
        worker = Worker(rank, launched=False)
        worker.silence()
        assert (sys.stdout is sys.stderr) == (rank == 1)
        assert worker.prints(None, "an error") == (rank == 0)
        assert worker.prints(LostProcess("gone"), "gone") == (rank == 0)
        assert bool(worker.signal_message("SIGTERM")) == (rank == 0)
        if rank:
            sys.stdout.close()
    assert not Worker(0, launched=True).prints(LostProcess("gone"), "gone")
    assert not Worker(0, launched=True).signal_message("SIGTERM")


def test_other_commands_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**STARTED, "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    result = mtl("list", "heads")
    assert result.code == 2
    assert result.err.startswith("error: mtl list runs in one process, and torchrun has started")


def test_processes_inside_of_torchrun_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {**STARTED, "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    result = mtl("train", str(tmp_path / "run.yaml"), "--processes", "2")
    assert (result.code, result.err.count("error:")) == (2, 1)
    assert "torchrun has started several processes; leave it out" in result.err


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ({0: 2, 1: -9}, "process 1 of 2 was killed (SIGKILL)"),
        ({1: -9}, "process 1 of 2 was killed (SIGKILL)"),
        ({0: -15, 1: 143}, "process 0 of 2 was killed (SIGTERM)"),
    ],
)
def test_the_process_that_was_lost_is_named(codes: dict[int, int], expected: str) -> None:
    with pytest.raises(MtlError, match=re.escape(expected)):
        _report(codes, 2)


@pytest.mark.parametrize("codes", [{0: 2}, {0: -15, 1: 2}, {0: 2, 1: 143}])
def test_an_error_that_a_process_has_printed_is_not_printed_again(codes: dict[int, int]) -> None:
    with pytest.raises(SystemExit) as stop:
        _report(codes, 2)
    assert stop.value.code == 2
