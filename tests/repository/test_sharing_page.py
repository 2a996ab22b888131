"""The files and commands of docs/sharing.md, written out and run."""

from __future__ import annotations

import pytest

from tests.cli.command import Result
from tests.repository.pages import Page

PAGE = Page("sharing.md")
TAGGED = "the\tD\tO\nred\tA\tB-toy\ncar\tN\tI-toy\n\nit\tP\tO\nis\tV\tO\nred\tA\tO\n\n"
DATA = {"data/train.txt": TAGGED * 10, "data/dev.txt": TAGGED, "data/test.txt": TAGGED}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Return the results of the commands of the page."""
    return PAGE.tried(tmp_path_factory, DATA)


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(results: dict[str, Result]) -> None:
    assert len(results) == 8
    assert {line: result.err for line, result in results.items() if result.code} == {}


def test_runs_of_several_seeds_are_compared(results: dict[str, Result]) -> None:
    out = results["mtl report runs/none runs/hard"].out
    assert [name for name in out.split() if name in ("none", "hard")] == ["none", "hard"]
    assert "±" in out


def test_the_report_of_the_sluice_network_has_alpha_and_beta(results: dict[str, Result]) -> None:
    out = results["mtl report runs/sluice"].out
    assert "sharing.alpha.1, epochs 1, 2, 3:" in out
    assert "sharing.beta, epochs 1, 2, 3:" in out


def test_the_page_names_files_that_are_there() -> None:
    assert PAGE.missing() == []
