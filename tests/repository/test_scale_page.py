"""The command and the programs of docs/scale.md, run on a small model."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from tests.cli import project
from tests.cli.command import mtl
from tests.repository.pages import ROOT, blocks

PAGE = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
POOL, RAY, SPARK = blocks(PAGE, "python")
LINES = ["Ann Smith left New Rome.", "Bob slept.", "Eva saw Bob in Oslo."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files that the page reads."""
    folder = tmp_path_factory.mktemp("scale")
    project.write(folder)
    (folder / "reviews.txt").write_text("\n".join(LINES) + "\n")
    (folder / "reviews.txt.gz").write_bytes(gzip.compress((folder / "reviews.txt").read_bytes()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTL_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        result = mtl("train", "run.yaml", "training.epochs=12", "--output", "runs/names")
    assert result.code == 0, result.err
    return folder


def run(program: str, folder: Path) -> str:
    """Run a program in a process of its own, and return its output."""
    (folder / "program.py").write_text(program)
    own = {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PYSPARK_PYTHON": sys.executable}
    ended = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def tags_in(folder: Path, text: str) -> dict[str, str]:
    """Return text to tags in the Parquet files of a folder."""
    tables = [pyarrow.parquet.read_table(path) for path in sorted(folder.glob("*.parquet"))]
    return {row[text]: row["ner"] for table in tables for row in table.to_pylist()}


EXPECTED = "B-PER I-PER O B-LOC I-LOC O"


def test_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (command,) = (shlex.split(line) for line in blocks(PAGE, "sh")[0].splitlines())
    assert mtl(*command[1:]) == (0, "", "")
    with gzip.open("tagged.jsonl.gz", "rt") as file:
        records = [json.loads(line) for line in file]
    assert [record["text"] for record in records] == LINES
    assert " ".join(records[0]["ner"]) == EXPECTED


@pytest.mark.slow
def test_a_pool_of_processes(folder: Path) -> None:
    assert run(POOL, folder).startswith("[['B-PER', 'O', 'B-LOC', 'O']]\n")


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
def test_ray(folder: Path) -> None:
    # With a core per process none would be free for the tasks that read and write.
    run(f"import ray\n\nray.init(num_cpus=4, include_dashboard=False)\n{RAY}", folder)
    assert tags_in(folder / "tagged-by-ray", "text")[LINES[0]] == EXPECTED


@pytest.mark.skipif(importlib.util.find_spec("pyspark") is None, reason="pyspark is not installed")
@pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java")
def test_spark(folder: Path) -> None:
    run(SPARK, folder)
    assert tags_in(folder / "tagged-by-spark", "value")[LINES[0]] == EXPECTED
