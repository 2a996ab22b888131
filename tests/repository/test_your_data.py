"""The tutorial of docs/your-data.md, from a file to labels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.repository.pages import Page


def test_the_commands_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = Page("your-data.md")
    for name, content in re.findall(r"```text\n# (\S+)\n(.*?)```", page.text, re.DOTALL):
        (tmp_path / name).write_text(content, encoding="utf-8")
    results = page.run()
    assert {line: result.err for line, result in results.items() if result.code} == {}
    assert "PER (7), LOC (5)" in results["mtl new names.conll"].out
    tagged = results["mtl predict runs/names new.txt"].out
    assert "Rome\tB-LOC" in tagged
