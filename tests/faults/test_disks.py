"""Full disks, folders that cannot be written or vanish, a cache and a model of several users."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import mutations
from tests.faults.counts import TRIED, tries
from tests.faults.server import Result, Server
from tests.faults.short_runs import COMMAND, alike, write

pytestmark = pytest.mark.faults

SHARE = 0.15
"""The share of the time for this file."""
EVERY_STEP = "training.checkpoint.minutes=1e-9"


@pytest.fixture(scope="module")
def folder(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a whole run."""
    folder = tmp_path_factory.mktemp("disks") / "project"
    write(folder, "averaged")
    free = {"folder": folder, "allowed": [folder / "whole"]}
    assert server.run("train", "run.yaml", "--output", "whole", **free).code == 0
    return folder


def count(result: Result, name: str) -> None:
    """Count a fault, and check that the command succeeded or told one error."""
    TRIED[name] += 1
    TRIED["tracebacks"] += result.traceback
    assert not result.traceback, result
    assert result.code in (0, 2), result
    if result.code:
        assert result.err.splitlines()[-1].startswith("error: "), result


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[None]:
    """Mount a file system of some bytes, which only an administrator may; else skip the test."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        if not mounted:
            pytest.skip("no small file system can be mounted here")
        yield
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


def check_resumed(server: Server, folder: Path) -> None:
    """Resume a run without a fault, and check that it ends as the whole one."""
    result = server.run(*COMMAND, folder=folder)
    assert result.code == 0, result
    same = alike(folder / "runs/cut", folder / "whole")
    TRIED["resumed bit-identical"] += same
    assert same


def test_a_full_disk(server: Server, folder: Path) -> None:
    for number in tries(SHARE / 4):
        rng = random.Random(f"disk {number}")
        with small_disk(folder / "runs", rng.randrange(20, 450) * 1024):
            result = server.run(*COMMAND, EVERY_STEP, folder=folder)
            count(result, "full disks")
            assert not [*(folder / "runs").rglob("*.tmp")]
            more = ["mount", "-o", "remount,size=50m", str(folder / "runs")]
            subprocess.run(more, check=True)
            check_resumed(server, folder)


def test_a_limit_of_the_size_of_files(server: Server, folder: Path) -> None:
    for number in tries(SHARE / 8):
        rng = random.Random(f"limit {number}")
        size = int(1024 * 1.02 ** rng.randrange(300))
        result = server.run(*COMMAND, EVERY_STEP, folder=folder, largest_file=size)
        count(result, "files beyond a limit of size")
        assert not [*(folder / "runs").rglob("*.tmp")]
        check_resumed(server, folder)
        shutil.rmtree(folder / "runs")


def test_a_folder_that_cannot_be_written(server: Server, folder: Path) -> None:
    with small_disk(folder / "runs", 2**24):
        assert server.run(*COMMAND, "training.epochs=1", folder=folder).code == 0
        remount = ["mount", "-o", "remount,ro", str(folder / "runs")]
        subprocess.run(remount, check=True)
        for arguments in (COMMAND, (*COMMAND[:3], "runs/new")):
            result = server.run(*arguments, folder=folder)
            count(result, "read-only folders")
            assert result.code == 2
            assert "Read-only file system" in result.err


def test_a_folder_that_vanishes(server: Server, folder: Path) -> None:
    for _ in tries(SHARE / 8):
        (folder / "runs").mkdir()
        running = server.start(*COMMAND, EVERY_STEP, "training.epochs=999", folder=folder)
        end = time.monotonic() + 60
        while not (folder / "runs/cut/model.safetensors").exists() and time.monotonic() < end:
            time.sleep(0.01)
        (folder / "runs/cut").rename(folder / "gone")
        count(running.wait(), "vanished folders")
        assert not (folder / "runs/cut").exists()
        shutil.rmtree(folder / "gone")
        shutil.rmtree(folder / "runs")


def test_a_cache_that_several_runs_build_at_once(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in tries(SHARE / 4):
        rng = random.Random(f"cache {number}")
        monkeypatch.setenv("MTL_CACHE", str(folder / f"runs/cache-{number}"))
        names = [f"runs/{i}" for i in range(3)]
        runs = [
            server.start("train", "run.yaml", "--output", name, folder=folder) for name in names
        ]
        if rng.random() < 0.5:  # one is killed while it may write the cache
            time.sleep(rng.uniform(0, 0.5))
            killed = runs.pop()
            killed.send(signal.SIGKILL)
            killed.wait()
            names.pop()
        for name, running in zip(names, runs, strict=True):
            result = running.wait()
            count(result, "runs that build a cache at once")
            assert (result.code, result.touched) == (0, [])
            assert alike(folder / name, folder / "whole")
        again = server.run("train", "run.yaml", "--output", "runs/last", folder=folder)
        assert again.code == 0
        assert alike(folder / "runs/last", folder / "whole")
        shutil.rmtree(folder / "runs")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_model_of_several_threads_and_processes(server: Server, folder: Path) -> None:
    for number in tries(SHARE / 8):
        place = str(folder / "whole")
        result = server.call(mutations.use_by_threads_and_forks, number, place, folder=folder)
        errors = [e for line in result.out.splitlines() if (e := json.loads(line)["error"])]
        TRIED["uses of a model by threads and forks"] += len(result.out.splitlines())
        assert not errors, errors[0]
        assert (result.code, result.out.count("\n")) == (0, 3), result
