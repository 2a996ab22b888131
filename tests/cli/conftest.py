from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import project as small
from tests.cli.command import mtl


@pytest.fixture(scope="session", autouse=True)
def _no_data() -> Iterator[None]:
    """Forget the folder of corpora of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MTL_DATA", raising=False)
        yield


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a small project, in which the test runs."""
    small.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run folder that all tests read and none changes; its project lies around it."""
    folder = tmp_path_factory.mktemp("trained")
    small.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = mtl("train", "run.yaml", "training.epochs=24")
    assert result.code == 0, result.err
    return folder / "runs" / "run"


@pytest.fixture
def model(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the run folder; the test runs in an empty one."""
    monkeypatch.chdir(tmp_path)
    return str(trained)
