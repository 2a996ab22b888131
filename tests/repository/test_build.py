"""Installation without a compiler succeeds, unless the extension is required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def set_up(**environment: str) -> subprocess.CompletedProcess[str]:
    """Ask setup.py for the version, which it prints after the search for a compiler."""
    command = [sys.executable, "setup.py", "-q", "--version"]
    given = os.environ | environment
    return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("environment", "reason"),
    [({"CXX": "no-such-compiler"}, "no C++ compiler"), ({"MTL_NO_EXT": "1"}, "MTL_NO_EXT is set")],
)
def test_what_hinders_the_build_is_told_in_a_line(environment, reason: str) -> None:
    done = set_up(**environment)
    assert done.returncode == 0
    assert reason in done.stdout.splitlines()[0]


def test_a_build_that_must_be_whole_fails_without_a_compiler() -> None:
    done = set_up(CXX="no-such-compiler", MTL_REQUIRE_EXT="1")
    assert done.returncode == 1
    assert "cannot be built: there is no C++ compiler" in done.stderr
