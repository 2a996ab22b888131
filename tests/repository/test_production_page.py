"""The programs and the commands of docs/production.md, run on a small model."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

import pytest

from tests.cli import project
from tests.cli.command import mtl
from tests.repository.pages import ROOT

PAGE = (ROOT / "docs/production.md").read_text(encoding="utf-8")


def test_the_programs_and_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert mtl("train", "run.yaml", "tasks.mood=null", "--output", "runs/names").code == 0
    shutil.copy(tmp_path / "data/test.txt", tmp_path / "recent.conll")
    programs = re.findall(r"^ *```python\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(programs) == 2
    exec("\n".join(map(textwrap.dedent, programs)), {})
    assert "accuracy" in capsys.readouterr().out
    commands = re.findall(r"`mtl (\w+ runs/names[^`]*)`", PAGE)
    assert len(commands) == 3
    assert [mtl(*command.split()).code for command in commands] == [0, 0, 0]
