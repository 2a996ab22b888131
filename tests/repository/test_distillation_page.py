"""The files, the commands and the program of docs/distillation.md, written out and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mtl
from tests.cli import project
from tests.cli.command import Result
from tests.repository.pages import Page, blocks

PAGE = Page("distillation.md")
DATA = {
    "data/train.txt": project.news(30, 1),
    "data/dev.txt": project.news(8, 2),
    "data/plain.txt": "Ann Smith left Rome.\nEva saw New Oslo. Tom likes Lima.\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Result]:
    """Return the results of the commands of the page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        PAGE.write(folder, DATA)
        return PAGE.run()


def test_the_commands_of_the_page_do_what_it_says(results: dict[str, Result]) -> None:
    assert len(results) == 13
    assert {line: result.err for line, result in results.items() if result.code} == {}
    extended, held = [line for line in results if line.startswith("mtl extend")]
    first, copies, paths, second, states = [
        line for line in results if line.startswith("mtl distil")
    ]
    table = results[first].out
    for name in ("large_pos", "large_ner", "from scratch", "distilled"):
        assert name in table
    assert "augmented copies of sentences" in results[copies].err
    assert "task pos: gold labels alone, without a teacher: none named" in results[paths].err
    assert "the teacher is confident of" in results[second].err
    assert re.search(r"head pos: (\d+) of \1 labels", results[extended].err)
    for line in (extended, held):
        assert re.search(r"pos .* dev set .* accuracy", results[line].out)
    assert "32 of 96 components" in results[states].err


@pytest.mark.usefixtures("results")
def test_the_program_of_the_page_trains(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    found: dict[str, mtl.TrainedModel] = {}
    exec(blocks(PAGE.text, "python")[0], found)
    assert found["model"].tasks == ["pos", "ner"]
