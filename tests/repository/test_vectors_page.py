"""The files and commands of docs/vectors.md, written out and run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hub import bert
from tests.repository.pages import Page

PAGE = Page("vectors.md")
TEXT = " ".join(f"{a}{b}" for a in "abcdefghijklmno" for b in "abcdefgh")
QUESTIONS = [f"WHO Who saw the {x} ?\nWHERE Where is {x} ?\n" for x in ("king", "cat", "Zar")]


def test_vectors_of_a_transformer_and_of_text_are_used_in_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = {"data/general.txt": TEXT, "data/questions.txt": "".join(QUESTIONS) * 10}
    PAGE.write(tmp_path, data)
    bert(tmp_path / "models/minilm", hidden_size=104)
    results = PAGE.run()
    assert {line: result.err for line, result in results.items() if result.code} == {}
    made, trained, learned, _ = results.values()
    assert "100 values each" in made.out
    assert "120 words, 100 values each, from 120 words of text" in learned.out
    assert "100.0 % of all its words" in " ".join(trained.err.split())


def test_it_names_what_comes_with_the_project() -> None:
    assert PAGE.missing() == []
