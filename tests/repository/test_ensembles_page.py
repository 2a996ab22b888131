"""The files, commands and programs of docs/ensembles.md, on a small corpus."""

from __future__ import annotations

from pathlib import Path

import pytest

import mtl
from tests.cli import project
from tests.cli.command import Result
from tests.repository.pages import Page, blocks

PAGE = Page("ensembles.md")
DATA = {
    "data/train.txt": project.news(60, 1),
    "data/dev.txt": project.news(20, 2),
    "data/news.conll": "Ann\nleft\nRome\n.\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Result]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        PAGE.write(folder, DATA)
        return PAGE.run()


@pytest.mark.slow
def test_its_commands_work(results: dict[str, Result]) -> None:
    assert {line: result.err for line, result in results.items() if result.code} == {}
    (snapshots,) = (own.out for line, own in results.items() if line.endswith("runs/snapshots"))
    assert all(f"runs/cycles/snapshots/cycle-{cycle} " in snapshots for cycle in (1, 2, 3, 4))


@pytest.mark.usefixtures("results")
def test_its_program_works(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (program,) = blocks(PAGE.text, "python")
    exec(program, {})
    found = mtl.load("runs/python").predict(["Ann left Rome."])
    assert found == {"ner": [["B-PER", "O", "B-LOC", "O"]]}


@pytest.mark.usefixtures("results")
def test_the_folder_looks_as_shown(folder: Path) -> None:
    assert {path.name for path in (folder / "runs/three").iterdir()} == {
        "ensemble.json",
        "checksums.txt",
        "members",
    }
