"""The files and commands of docs/three-stages.md, written out and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.repository.pages import Page

PAGE = Page("three-stages.md")
TEXT = "the old king saw a young queen\nthe young king left\na queen saw the old house at night\n"
QUESTIONS = [f"WHO Who saw the {x} ?\nWHERE Where is the {x} ?\n" for x in ("king", "cat", "Zar")]


def test_each_stage_starts_from_the_weights_of_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = {f"data/{name}.txt": TEXT * 10 for name in ("general", "general-dev")}
    PAGE.write(tmp_path, {**texts, "data/questions.txt": "".join(QUESTIONS) * 10})
    results = PAGE.run()
    assert {line: result.err for line, result in results.items() if result.code} == {}
    _, second, third = (" ".join(result.err.split()) for result in results.values())
    found = re.search(r"words: 14 of (\d+) vectors, .*head next: 14 of (\d+) words", second)
    assert found
    assert int(found[1]) == int(found[2]) > 14
    assert f"`head next: 14 of {found[2]} words`" in PAGE.text
    assert f"words: {found[1]} of {found[1]} vectors" in third
    assert "head" not in third.partition("starts from")[2].partition("epoch")[0]


def test_it_names_what_comes_with_the_project() -> None:
    assert PAGE.missing() == []
