"""The programs of docs/one-head.md and docs/parts.md, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository.test_layers import HEAVY

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> str:
    text = (DOCS / page).read_text(encoding="utf-8")
    return "".join(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL))


@pytest.mark.slow
@pytest.mark.parametrize("page", ["one-head.md", "parts.md"])
def test_the_program_needs_torch_only_and_prints_the_result(page: str) -> None:
    program = blocks(page, "python") + "\nimport sys\nprint(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *printed, modules = done.stdout.splitlines(keepends=True)
    assert "".join(printed) == blocks(page, "text")
    assert not {name.partition(".")[0] for name in modules.split()} & set(HEAVY)
