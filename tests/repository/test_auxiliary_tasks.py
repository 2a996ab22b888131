"""The files and commands of docs/auxiliary-tasks.md, written out and run."""

from __future__ import annotations

import pytest

from tests.cli.command import Result
from tests.repository.pages import Page

PAGE = Page("auxiliary-tasks.md")
TAGGED = "Ada\tN\tX\nhas\tV\tv\n3\tM\tX\ncats\tN\tX\n\nthe\tD\td\ncat\tN\tX\nsat\tV\tv\n\n"
STARS = "".join(f"{'good ' * stars}book {i},{stars}\n" for i in range(4) for stars in (1, 3, 5))
DATA = {
    "data/train.txt": TAGGED * 8,
    "data/dev.txt": TAGGED,
    "data/names.txt": "Ada\nBob\n",
    "data/reviews.csv": f"text,stars\n{STARS}",
    "data/raw.txt": "Bob has cats .\n",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Return the results of the commands of the page."""
    return PAGE.tried(tmp_path_factory, DATA)


def test_the_commands_of_the_page_do_what_it_says(results: dict[str, Result]) -> None:
    assert len(results) == 5
    assert {line: result.err for line, result in results.items() if result.code} == {}


def test_check_shows_the_labels_of_the_first_sentence(results: dict[str, Result]) -> None:
    shown = results["mtl check configs/news.yaml"].out.split("first sentence of news:\n")[1]
    labels = dict(line.strip().split(": ") for line in shown.splitlines()[:7])
    assert labels == {
        "tokens": "Ada has 3 cats",
        "pos": "N V M N",
        "number": "no no yes no",
        "name": "yes",
        "frequency": "2 2 2 2",
        "same": "Ada has 3 cats",
        "rough": "X v X X",
    }


def test_predict_omits_derived_labels_by_default(
    results: dict[str, Result],
) -> None:
    plain = results["mtl predict runs/news data/raw.txt"].out.splitlines()
    rows = [line for line in plain if line and not line.startswith("#")]
    assert len(rows) == 4
    assert not any(line.startswith("# name") for line in plain)
    assert all({row.split("\t")[-1]} <= {"X", "v", "d"} for row in rows)
    named = results["mtl predict runs/news data/raw.txt --task name"].out
    assert "# name = " in named
