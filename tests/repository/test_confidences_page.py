"""The commands and the program of docs/confidences.md, on a small corpus."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli import project
from tests.cli.command import Result, mtl
from tests.repository.pages import Page, blocks

PAGE = Page("confidences.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    project.write(folder)
    (folder / "data" / "news.conll").write_text("Ann\nleft\nRome\n.\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Result]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        options = ["tasks.mood=null", "training.epochs=4", "--output", "runs/news"]
        assert mtl("train", "run.yaml", *options).out.endswith("then:  mtl calibrate runs/news\n")
        return PAGE.run()


def test_its_commands_work(results: dict[str, Result]) -> None:
    assert {line: result.err for line, result in results.items() if result.code} == {}
    (found,) = (own for line, own in results.items() if line.startswith("mtl predict") and
                "--abstain" in line)  # fmt: skip
    assert re.fullmatch(
        r"coverage: ner: \d of \d spans \([\d.]+ %\)\ncoverage: pos: \d of 4 words \([\d.]+ %\)\n",
        found.err,
    )


@pytest.mark.usefixtures("results")
def test_its_program_works(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (program,) = blocks(PAGE.text, "python")
    exec(compile(program, "confidences.md", "exec"), {})
