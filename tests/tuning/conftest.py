from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import project as small


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a small project, in which the test runs."""
    small.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MTL_DATA", raising=False)
    return tmp_path
