"""The files and commands of docs/language-models.md, written out and run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.command import Result, mtl

PAGE = (Path(__file__).parents[2] / "docs" / "language-models.md").read_text(encoding="utf-8")
FILES = re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
STORY = "the old king saw a young queen\nthe young king left\na queen saw the old house\n"
TAGS = "the\tD\nold\tA\nking\tN\nleft\tV\n\na\tD\nnew\tA\nhouse\tN\n\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the files that the page shows and some text."""
    texts = {f"data/{split}.txt": STORY * 10 for split in ("train", "dev", "test")}
    for name, content in [*FILES, *texts.items(), ("data/tagged.txt", TAGS * 4)]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.setenv("MTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: list[str]) -> Result:
    assert command[0] == "mtl"
    return mtl(*command[1:])


@pytest.mark.usefixtures("project")
def test_the_commands_of_the_page_do_what_it_says() -> None:
    results = {" ".join(command): run(command) for command in COMMANDS}
    assert {line: result.err for line, result in results.items() if result.code} == {}
    written = [result.out for line, result in results.items() if line.startswith("mtl generate")]
    assert all(text.startswith("the old king ") for text in written)
    started = [result.err for line, result in results.items() if "trunk.init" in line]
    assert all("starts from" in told for told in started)
    assert all(re.search(r"words: 12 of 13 vectors", told) for told in started)


def test_it_names_the_run_that_comes_with_the_project() -> None:
    named = re.findall(r"`((?:configs|tasks)/\S+\.yaml)`", PAGE)
    root = Path(__file__).parents[2]
    assert named
    assert all((root / name).is_file() for name in named)
