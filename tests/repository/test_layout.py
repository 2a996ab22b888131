from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mtl"
MODULES = sorted(PACKAGE.rglob("*.py"))
VAGUE = {"utils", "util", "helpers", "common", "misc"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_reaches_300_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 300


def test_every_folder_of_modules_is_a_package() -> None:
    missing = {path.parent for path in MODULES if not (path.parent / "__init__.py").exists()}
    assert not missing


def test_names_of_files_say_what_is_in_them() -> None:
    assert not [path for path in MODULES if path.stem in VAGUE]


def test_corpus_files_come_with_the_package() -> None:
    ours = {path.name for path in (ROOT / "tasks").glob("*.yaml")}
    assert ours == {path.name for path in (PACKAGE / "tasks").glob("*.yaml")}
