"""Pages of docs/ as projects: the files that they show, and their commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.command import Result, mtl

ROOT = Path(__file__).parents[2]


def blocks(text: str, language: str) -> list[str]:
    """Return the blocks of code of a page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


class Page:
    """A page.

    Args:
        name: Its file in docs/.
    """

    def __init__(self, name: str) -> None:
        self.text = (ROOT / "docs" / name).read_text(encoding="utf-8")

    def write(self, folder: Path, data: dict[str, str]) -> None:
        """Write the files that the page shows, and what they read, into a folder."""
        shown = re.findall(r"```yaml\n# (\S+)\n(.*?)```", self.text, re.DOTALL)
        for name, content in [*shown, *data.items()]:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8")

    def run(self) -> dict[str, Result]:
        """Run the commands of the page one after the other, and return command to result."""
        found = blocks(self.text, "sh")
        lines = [shlex.split(line, comments=True) for block in found for line in block.splitlines()]
        assert all(command == "mtl" for command, *_ in lines)
        return {" ".join(line): mtl(*line[1:]) for line in lines}

    def tried(self, factory: pytest.TempPathFactory, data: dict[str, str]) -> dict[str, Result]:
        """Write the files in a fresh folder and run the commands there; see `write` and `run`."""
        folder = factory.mktemp("page")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            self.write(folder, data)
            return self.run()

    def missing(self) -> list[str]:
        """Return the files of the project that the page names and that are not there."""
        named = re.findall(r"`((?:configs|tasks|benchmarks)/\S+\.(?:yaml|py))`", self.text)
        assert named
        return [name for name in named if not (ROOT / name).is_file()]
