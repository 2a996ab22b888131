"""One pair of teachers for all tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.distillation.schools import write


class School(NamedTuple):
    """The folder of the project, and the run of the student."""

    folder: Path
    run: dict[str, Any]

    @property
    def teachers(self) -> list[Path]:
        return [self.folder / "runs" / "tagger", self.folder / "runs" / "rater"]


@pytest.fixture(scope="session")
def school(tmp_path_factory: pytest.TempPathFactory) -> School:
    folder = tmp_path_factory.mktemp("school")
    return School(folder, write(folder))


@pytest.fixture
def at(school: School, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> School:
    """Return the school, as the current folder, with an empty cache."""
    monkeypatch.chdir(school.folder)
    monkeypatch.setenv("MTL_CACHE", str(tmp_path / "cache"))
    return school
