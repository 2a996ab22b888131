"""The files and commands of docs/language-models.md, written out and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.repository.pages import Page

PAGE = Page("language-models.md")
STORY = "the old king saw a young queen\nthe young king left\na queen saw the old house\n"
TAGS = "the\tD\nold\tA\nking\tN\nleft\tV\n\na\tD\nnew\tA\nhouse\tN\n\n"


def test_the_commands_of_the_page_do_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = {f"data/{split}.txt": STORY * 10 for split in ("train", "dev", "test")}
    PAGE.write(tmp_path, {**texts, "data/tagged.txt": TAGS * 4})
    results = PAGE.run()
    assert {line: result.err for line, result in results.items() if result.code} == {}
    written = [result.out for line, result in results.items() if line.startswith("mtl generate")]
    assert all(text.startswith("the old king") for text in written)
    started = [result.err for line, result in results.items() if "trunk.init" in line]
    assert all("starts from" in told for told in started)
    assert all(re.search(r"words: 12 of 13 vectors", told) for told in started)


def test_it_names_the_run_that_comes_with_the_project() -> None:
    assert PAGE.missing() == []
