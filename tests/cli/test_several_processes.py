"""`mtl train --processes`: whole runs, lost processes and errors."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.cli import project as small
from tests.cli.command import mtl, start
from tests.cli.records import records

pytestmark = pytest.mark.slow
STILL = ("tasks.ner.head={type: crf, dropout: 0}", "tasks.pos.head={type: softmax, dropout: 0}")
COMMAND = (
    *("train", "run.yaml", "trunk.dropout=0", "tasks.mood.head={type: pool, dropout: 0}"),
    *STILL,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def losses(folder: Path) -> list[float]:
    return [loss for row in records(folder) for loss in row.get("losses", {}).values()]


def workers(parent: int) -> list[int]:
    """Return the processes that a process has started, in their order."""
    return [int(n) for n in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def test_two_processes_equal_one_and_one_continues(folder: Path) -> None:
    one = mtl(*COMMAND, "training.batch.sentences=16", "training.epochs=3", "--output", "one")
    assert one.code == 0, one.err
    two = start(*COMMAND, "--output", "two", "--processes", "2")
    out, err = two.communicate(timeout=600)
    assert two.returncode == 0, err
    assert out.count("model: two") == 1
    assert err.count("processes: 2, each with a part of every batch") == 1
    assert "processes: 2" in (folder / "two/run.yaml").read_text()
    more = mtl(*COMMAND, "training.epochs=3", "--output", "two", "--resume")
    assert more.code == 0, more.err
    assert losses(Path("two")) == pytest.approx(losses(Path("one")), abs=1e-4)


def test_an_error_of_the_run_file_is_printed_once(folder: Path) -> None:
    ended = start("train", "run.yaml", "trunk.hiden_size=3", "--processes", "2")
    out, err = ended.communicate(timeout=600)
    assert (ended.returncode, out) == (2, "")
    assert err.count("\n") == 1, err
    assert "did you mean 'hidden_size'" in err


def test_a_lost_process_ends_the_others(folder: Path) -> None:
    ended = start(*COMMAND, "training.epochs=100000", "--output", "run", "--processes", "2")
    while not (folder / "run/checkpoint/state.json").is_file():
        assert ended.poll() is None
        time.sleep(0.1)
    os.kill(workers(ended.pid)[-1], signal.SIGKILL)
    _, err = ended.communicate(timeout=600)
    assert ended.returncode == 2
    assert err.splitlines()[-1] == (
        "error: process 1 of 2 was killed (SIGKILL), and the others have ended; the same command "
        "with --resume continues after the last checkpoint"
    )
    assert err.count("error:") == 1


def test_a_signal_ends_all_after_the_same_step(folder: Path) -> None:
    ended = start(*COMMAND, "training.epochs=100000", "--output", "run", "--processes", "2")
    while not (folder / "run/checkpoint/state.json").is_file():
        assert ended.poll() is None
        time.sleep(0.1)
    ended.send_signal(signal.SIGINT)
    _, err = ended.communicate(timeout=600)
    assert ended.returncode == 130
    assert err.count("stopped by Ctrl-C; continue with: mtl train") == 1
