"""The contents of the source distribution and its metadata, and an installation from nothing."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tarfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ["benchmarks", "configs", "csrc", "docs", "mtl", "runtime", "scripts"]
FOLDERS += ["tasks", "tests"]
FILES = ["CHANGELOG.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md", "build_backend.py"]
FILES += ["constraints.txt", "pyproject.toml", "setup.cfg", "setup.py"]
FILES += [".dockerignore", "Dockerfile", "zensical.toml"]
GENERATED = shutil.ignore_patterns("__pycache__", "*.so", "not_built.txt", "build", "*.egg-info")
WEB = ["mtl.html", "mtl.wasm", "style.css"]
"""The files that `make web` writes in runtime/web."""
MINE = "".join(
    f"{who} B-PER\n{does} O\n{when} O\nNew B-LOC\nYork I-LOC\n\n"
    for who in ("Ann", "Bob", "Eve", "Joe")
    for does in ("left", "likes", "knows", "saw")
    for when in ("now", "today", "again", "twice")
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout, for builds to write into."""
    folder = tmp_path_factory.mktemp("build") / "source"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=GENERATED)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    for name in WEB:
        (folder / "runtime" / "web" / name).unlink(missing_ok=True)
    return folder


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command in a folder, apart from the checkout; return its output."""
    given = {k: v for k, v in os.environ.items() if not k.startswith(("MTL_", "PYTHON"))}
    done = subprocess.run(
        command, cwd=cwd, env=given | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_source_distribution_has_what_users_and_developers_need(source: Path) -> None:
    run(sys.executable, "setup.py", "-q", "sdist", cwd=source, MTL_NO_EXT="1")
    (archive,) = (source / "dist").iterdir()
    with tarfile.open(archive) as files:
        found = {name.partition("/")[2] for name in files.getnames()}
    wanted = [path for folder in FOLDERS for path in (source / folder).rglob("*") if path.is_file()]
    assert {*FILES, *(str(path.relative_to(source)) for path in wanted)} - found == set()
    assert {"mtl/configs/base/lstm.yaml", "mtl/tasks/trec.yaml", "mtl/py.typed"} <= found
    assert {"mtl/pages/style.css", "mtl/pages/templates/base.html"} <= found


def test_the_metadata_is_complete_and_its_text_has_no_dead_links(source: Path) -> None:
    run(sys.executable, "setup.py", "-q", "egg_info", cwd=source, MTL_NO_EXT="1")
    metadata = message_from_string((source / "mtl.egg-info/PKG-INFO").read_text("utf-8"))
    assert metadata["Author"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert "Topic :: Text Processing :: Linguistic" in metadata.get_all("Classifier", [])
    text = str(metadata.get_payload())
    assert "docs/results.md" in text
    assert re.findall(r"\]\((?!https:)", text) == []
    base = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = {re.match(r"[\w-]+", line)[0].lower() for line in base}  # type: ignore[index]
    light = {"numpy", "pyarrow", "pydantic", "pyyaml", "rich", "safetensors", "torch", "typer"}
    light |= {"jinja2", "markupsafe", "typing-extensions"}
    assert names == light


@pytest.mark.slow
def test_an_installation_from_nothing_trains_and_predicts(source: Path, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    programs = tmp_path / "venv" / "bin"
    constraints = ("--constraint", ROOT / "constraints.txt")
    run(programs / "pip", "install", *constraints, "torch", cwd=tmp_path)
    run(programs / "pip", "wheel", "--no-deps", "-w", tmp_path, source, cwd=tmp_path)
    (wheel,) = tmp_path.glob("mtl-*.whl")
    run(programs / "pip", "install", *constraints, wheel, cwd=tmp_path)
    folder = tmp_path / "empty"
    folder.mkdir()
    cache = {"MTL_CACHE": str(tmp_path / "cache")}
    assert "cpu    compiled, for " in run(programs / "python", "-m", "mtl.ops", cwd=folder)
    run(programs / "mtl", "generate", "wikitext2", "--prompt", "the", cwd=folder)
    (folder / "mine.conll").write_text(MINE, encoding="utf-8")
    run(programs / "mtl", "new", "mine.conll", cwd=folder)
    run(programs / "mtl", "train", "mine", cwd=folder, **cache)
    (folder / "new.txt").write_text("Ann saw again New York\n", encoding="utf-8")
    found = run(programs / "mtl", "predict", "runs/mine", "new.txt", cwd=folder, **cache)
    assert "\nAnn\tB-PER\nsaw\tO\nagain\tO\nNew\tB-LOC\nYork\tI-LOC\n" in found
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < 300
