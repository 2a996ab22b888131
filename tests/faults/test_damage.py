"""Damaged files of every kind: an error that a user can read, or the same result as before."""

from __future__ import annotations

import importlib
import json
import math
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import mutations
from tests.faults.counts import TRIED, tries
from tests.faults.server import CPU_SECONDS, Result, Server
from tests.faults.short_runs import alike, write

pytestmark = pytest.mark.faults

SHARE = 0.4
"""The share of the time for this file."""
LEAST = math.ceil(int(os.environ.get("MTL_FUZZ", "1")) / mutations.NUMBER)
"""The least number of calls per kind of file."""
TRAIN = ("train", "run.yaml", "training.epochs=3", "--output")


@pytest.fixture(scope="module")
def folder(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a whole run, one of two of its three epochs, and two bundles."""
    importlib.import_module("tests.runtime.conftest")  # makes the runtime of a checkout complete
    folder = tmp_path_factory.mktemp("damage") / "project"
    write(folder, "tagger and classifier")
    assert server.run(*TRAIN, "runs/whole", folder=folder).code == 0
    half = server.run(*TRAIN, "runs/half", "training.epochs=2", folder=folder)
    assert half.code == 0
    bundle = ("export", "runs/whole", "--to", "bundle", "--output", "runs/model.mtl")
    result = server.run(*bundle, folder=folder)
    assert result.code == 0, result
    # Only large weights become smaller.
    wide = server.run(
        *TRAIN, "runs/wide", "training.epochs=1", "trunk.hidden_size=64", folder=folder
    )
    assert wide.code == 0
    bundle = ("export", "runs/wide", *bundle[2:-1], "runs/small.mtl", "--weights", "int8")
    result = server.run(*bundle, folder=folder)
    assert result.code == 0, result
    assert b'\\"version\\":2' in (folder / "runs/small.mtl").read_bytes()
    return folder


def count(result: Result) -> None:
    """Count the outcomes of the cases of a call, and check that all of them are good."""
    lines = [json.loads(line) for line in result.out.splitlines()]
    TRIED["mutated inputs"] += len(lines)
    TRIED["mutated inputs refused"] += sum(line["refused"] is not None for line in lines)
    errors = [line["error"] for line in lines if line["error"]]
    TRIED["tracebacks"] += len(errors) + result.traceback
    slow = [line for line in lines if line["seconds"] > CPU_SECONDS]
    TRIED[f"hangs over {CPU_SECONDS} s"] += len(slow) + result.hung
    TRIED["files touched outside"] += len(result.touched)
    assert not errors, errors[0]
    assert not slow
    assert not result.touched
    assert (result.code, len(lines)) == (0, mutations.NUMBER), result


KINDS: list[tuple[Callable[[int, str], None], str]] = [
    (mutations.load_folders, "runs/whole"),
    (mutations.load_bundles, "runs/model.mtl"),
    (mutations.load_bundles, "runs/small.mtl"),
    (mutations.check_configurations, ""),
    (mutations.read_data, "."),
]


@pytest.mark.parametrize(
    ("kind", "path"), KINDS, ids=lambda value: getattr(value, "__name__", value)
)
def test_damaged_files(
    kind: Callable[[int, str], None], path: str, server: Server, folder: Path
) -> None:
    for number in tries(SHARE / 6, LEAST):
        count(server.call(kind, number, path, folder=folder))


def test_a_damaged_file_in_a_folder_to_resume(server: Server, folder: Path) -> None:
    copy = folder / "runs/copy"
    for number in tries(SHARE / 6):
        rng = random.Random(f"resume {number}")
        shutil.copytree(folder / "runs/half", copy)
        path = rng.choice(sorted(p for p in copy.rglob("*") if p.is_file()))
        mutations.damage_file(path, rng)
        result = server.run(*TRAIN, "runs/copy", "--resume", folder=folder)
        TRIED["damaged folders resumed"] += 1
        TRIED["tracebacks"] += result.traceback
        TRIED[f"hangs over {CPU_SECONDS} s"] += result.hung
        TRIED["files touched outside"] += len(result.touched)
        assert result.code in (0, 2), (number, path, result)
        assert not result.traceback, (number, path, result)
        assert not result.touched, (number, path, result)
        if result.code == 0:
            whole = folder / "runs/whole"
            model = "model.safetensors"
            assert (copy / model).read_bytes() == (whole / model).read_bytes(), (number, path)
            if path.name != "metrics.jsonl":  # which is read, and has no checksum
                assert alike(copy, whole), (number, path, result)
                TRIED["resumed bit-identical"] += 1
        else:
            TRIED["damaged folders refused"] += 1
            assert result.err.splitlines()[-1].startswith("error: "), (number, path, result)
        shutil.rmtree(copy)
