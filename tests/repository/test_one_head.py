"""The program of docs/one-head.md, run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository.test_layers import HEAVY

PAGE = (Path(__file__).parents[2] / "docs" / "one-head.md").read_text(encoding="utf-8")


def blocks(language: str) -> str:
    return "".join(re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL))


@pytest.mark.slow
def test_the_program_needs_torch_only_and_prints_the_result() -> None:
    program = blocks("python") + "\nimport sys\nprint(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *printed, modules = done.stdout.splitlines(keepends=True)
    assert "".join(printed) == blocks("text")
    assert not {name.partition(".")[0] for name in modules.split()} & set(HEAVY)
