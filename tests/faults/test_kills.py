"""Runs that are killed or stopped at random moments, also while a checkpoint is written."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.faults.counts import TRIED, tries
from tests.faults.server import Result, Running, Server
from tests.faults.short_runs import COMMAND, RUNS, alike, saved_step, write

pytestmark = pytest.mark.faults

SHARE = 0.45
"""The share of the time for this file."""
FIRST = "training starts from the beginning"


class Project:
    """A run in a folder, and its uninterrupted training."""

    def __init__(self, server: Server, folder: Path, name: str) -> None:
        self.server = server
        self.folder = folder
        self.name = name
        write(folder, name)
        arguments = ("train", "run.yaml", "--output", "runs/whole")
        assert server.run(*arguments, folder=folder).code == 0  # fills the cache
        shutil.rmtree(folder / "runs")
        began = time.monotonic()
        assert server.run(*arguments, folder=folder).code == 0
        self.seconds = time.monotonic() - began
        self.cut = folder / "runs/cut"

    def ends_alike(self) -> bool:
        """Return whether the cut run has ended as the other one, and remove it."""
        found = alike(self.cut, self.folder / "runs/whole")
        rest = [p for p in self.cut.rglob("*") if p.suffix == ".tmp" or p.name == ".lock"]
        shutil.rmtree(self.cut)
        return found and not rest


@pytest.fixture(scope="module", params=RUNS)
def project(request: pytest.FixtureRequest, server: Server, tmp_path_factory: object) -> Project:
    assert isinstance(tmp_path_factory, pytest.TempPathFactory)
    return Project(server, tmp_path_factory.mktemp("kills") / "project", request.param)


def check_end(project: Project, result: Result) -> None:
    """Check the last run of a command that was stopped several times."""
    assert result.code == 0, result
    TRIED["files touched outside"] += len(result.touched)
    assert not result.touched
    same = project.ends_alike()
    TRIED["resumed bit-identical"] += same
    TRIED["resumed otherwise"] += not same
    assert same


def wait_for_write(running: Running, folder: Path) -> None:
    """Wait until a process writes a file of a run folder."""
    while running.process.is_alive():
        for place in (folder, folder / "checkpoint", folder / "vocabulary"):
            if place.is_dir() and any(name.endswith(".tmp") for name in os.listdir(place)):
                return


def often(rng: random.Random) -> str:
    """Return how often the state is saved: after every step, some steps, or epochs alone."""
    return f"training.checkpoint.minutes={rng.choice(['1e-9', '1e-9', '0.001', '10'])}"


def test_sigkill_at_random_moments(project: Project) -> None:
    for number in tries(SHARE * 0.7 / len(RUNS)):
        rng = random.Random(f"kill {project.name} {number}")
        for _ in range(rng.randint(1, 4)):
            before = saved_step(project.cut)
            running = project.server.start(*COMMAND, often(rng), folder=project.folder)
            time.sleep(rng.uniform(0, 1.2 * project.seconds))
            if rng.random() < 0.5:
                wait_for_write(running, project.cut)
            running.send(signal.SIGKILL)
            result = running.wait()
            assert not result.traceback, result
            if result.code == -signal.SIGKILL:
                TRIED["SIGKILL"] += 1
                written = [*project.cut.rglob(".*.tmp")]
                TRIED["SIGKILL while a file was written"] += bool(written)
            # Nothing is lost: a run with a checkpoint never starts again, or from an earlier one.
            assert not (before and FIRST in result.err), result
            assert saved_step(project.cut) >= before
        check_end(project, project.server.run(*COMMAND, folder=project.folder))


def test_sigterm_and_ctrl_c_at_random_moments(project: Project) -> None:
    for number in tries(SHARE * 0.3 / len(RUNS)):
        rng = random.Random(f"signal {project.name} {number}")
        for _ in range(rng.randint(1, 3)):
            number = rng.choice([signal.SIGTERM, signal.SIGINT])
            name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
            running = project.server.start(*COMMAND, often(rng), folder=project.folder)
            running.wait_for_handlers()
            time.sleep(rng.uniform(0, 1.2 * project.seconds))
            running.send(number)
            result = running.wait()
            assert not result.traceback, result
            assert result.code in (0, 128 + number), result
            if result.code:
                TRIED[name] += 1
                minutes = result.err.splitlines()[-1].rpartition("minutes=")[2]
                told = " ".join(["mtl", *COMMAND, f"training.checkpoint.minutes={minutes}"])
                assert result.err.endswith(f"stopped by {name}; continue with: {told}\n"), result
                assert not [*project.cut.rglob("*.tmp")]
        check_end(project, project.server.run(*COMMAND, folder=project.folder))
