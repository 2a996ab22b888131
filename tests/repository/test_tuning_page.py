"""The files, commands and program of docs/tuning.md, on a small corpus."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the package optuna is not installed")

from tests.cli import project
from tests.repository.pages import Page, blocks

PAGE = Page("tuning.md")
DATA = {"data/train.txt": project.news(60, 1), "data/dev.txt": project.news(20, 2)}


@pytest.mark.slow
def test_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    PAGE.write(tmp_path, DATA)
    results = PAGE.run()
    assert {line: result.err for line, result in results.items() if result.code} == {}
    (search,) = (own.out for line, own in results.items() if line.startswith("mtl tune"))
    assert search.startswith("best trials by dev score (")
    assert "importance of the ranges for the dev score" in search
    assert Path("runs/search-tune/best.yaml").read_text().count("extends: ../../configs/") == 1
    (program,) = blocks(PAGE.text, "python")
    names: dict[str, object] = {}
    exec(program, names)
    assert names["found"].best.name >= 1  # type: ignore[attr-defined]
