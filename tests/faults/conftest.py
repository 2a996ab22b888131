"""Each test runs in an empty folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults.counts import TRIED
from tests.faults.server import Server


@pytest.fixture(scope="session")
def server() -> Server:
    """Return what starts commands in processes of their own."""
    return Server()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the number of faults that were tried."""
    if TRIED:
        terminalreporter.section("faults")
        for name, number in TRIED.items():
            terminalreporter.write_line(f"{number:8,} {name}")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
