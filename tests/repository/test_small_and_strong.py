"""The files and commands of docs/small-and-strong.md, on a small corpus."""

from __future__ import annotations

from pathlib import Path

import pytest

import mtl
from tests.cli import project
from tests.repository.pages import Page

PAGE = Page("small-and-strong.md")


def names(count: int, seed: int) -> str:
    """Return sentences with names, without parts of speech."""
    lines = project.news(count, seed).splitlines()
    return "\n".join(" ".join(line.split()[::2]) for line in lines) + "\n"


@pytest.mark.slow
def test_the_page_ends_with_a_small_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain = "Ann Smith left Rome.\nEva saw New Oslo. Tom likes Lima.\n"
    data = {"data/train.txt": names(20, 1), "data/dev.txt": names(8, 2), "data/plain.txt": plain}
    PAGE.write(tmp_path, data)
    results = PAGE.run()
    assert len(results) == 9
    assert {line: result.err for line, result in results.items() if result.code} == {}
    (table,) = (own.out for line, own in results.items() if line.startswith("mtl distil"))
    assert "joint" in table
    assert Path("small.mtl").stat().st_size > 1000
    assert mtl.load("runs/small").run.trunk.type == "qrnn"
