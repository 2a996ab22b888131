"""Docstrings, comments, messages and pages are free of the patterns in `prose.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repository.prose import files, findings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["mtl", "docs", "csrc", "scripts", "README.md", "CHANGELOG.md"])
def test_the_patterns_do_not_occur(name: str) -> None:
    assert not [place for path in files(ROOT / name) for place in findings(path)]


@pytest.mark.parametrize(
    "text",
    [
        '"""Return what a head reads."""',
        '"""One label a token."""',
        '"""The scores, of which there are K."""',
        '"""Of pairs there are two rows."""',
        'raise ValueError("the folder is no run folder")',
        "# what is read stands in the file",
    ],
)
def test_the_patterns_are_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(text)
    assert list(findings(tmp_path / "module.py"))
