"""`mtl report --html`: the page of one or several runs."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mtl import api
from tests.cli import project as small
from tests.cli.command import mtl
from tests.pages.browser import chromium


class Cells(HTMLParser):
    """The texts of the cells of all tables, row by row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two runs, one of them with two seeds, and the page of both."""
    folder = tmp_path_factory.mktemp("runs")
    small.write(folder)
    scaled = "sharing=tests.cli.scaled:Scaled"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, more in {"one": [scaled], "two": ["seeds=2", "trunk.dropout=0.1"]}.items():
            result = mtl("train", "run.yaml", "training.epochs=2", *more, "--output", name)
            assert result.code == 0, result.err
        result = mtl("report", "one", "two", "--html", "page.html", "--errors", "3")
        assert result.code == 0, result.err
    return folder


@pytest.fixture(autouse=True)
def _there(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)


@pytest.fixture
def page() -> str:
    return Path("page.html").read_text(encoding="utf-8")


def rows(page: str) -> list[list[str]]:
    return Cells(page).rows


def test_scores_are_those_of_the_text_report(page: str) -> None:
    told = json.loads(mtl("report", "one", "two", "--format", "json").out)["runs"]
    (row,) = [row for row in rows(page) if row[:2] == ["pos", "accuracy"]]
    one, two = (told[name]["dev"]["pos"]["accuracy"] for name in ("one", "two"))
    assert row[2] == f"{100 * one['mean']:.2f}"
    assert row[3].startswith(f"{100 * two['mean']:.2f} ± {100 * two['sd']:.2f} (")
    assert row[3].endswith(f"({100 * (two['mean'] - one['mean']):+.2f})")


def test_labels_are_those_of_evaluate(page: str) -> None:
    found = api.load("one").evaluate("dev", ["mood"]).per_label()["mood"]
    assert found
    for label, own in found.items():
        (row,) = [row for row in rows(page) if row[0] == label and len(row) == 8]
        scores = [f"{100 * own[name]:.2f}" for name in ("precision", "recall", "f1")]
        assert row[1:5] == [f"{own['support']:.0f}", *scores]


def test_wrong_answers_are_counted_and_limited(page: str) -> None:
    gold, predicted = api.load("one").label("dev", ["pos"])["pos"]
    wrong = sum(
        right != own
        for pair in zip(gold, predicted, strict=True)
        for right, own in zip(*pair, strict=True)
    )
    assert ["one", "pos", f"{wrong:,}", str(min(wrong, 3))] in rows(page)
    listed = [row for row in rows(page) if len(row) == 5 and row[:2] == ["one", "pos"]]
    assert len([row for row in listed if row[2] != row[3]]) >= min(wrong, 3)


def test_only_keys_that_differ_are_in_the_table_of_settings(page: str) -> None:
    table = page[page.index('id="configuration"') :]
    keys = [row[0] for row in rows(table[: table.index("</table>")])]
    assert "trunk.dropout" in keys
    assert "training.optimizer.lr" not in keys


def test_learned_matrices_have_a_frame_per_epoch(page: str) -> None:
    assert re.findall(r'data-frame="(epoch \d)"', page)[:2] == ["epoch 1", "epoch 2"]
    assert 'aria-label="sharing.gain"' in page


def test_the_browser_shows_the_page_without_messages() -> None:
    with chromium() as browser:
        browser.window(375)
        browser.open(Path("page.html"))
        assert browser.console() == []
        browser.lay_out()
        assert browser.run("return document.documentElement.scrollWidth") <= 375
        choose = "const s = document.querySelectorAll('.filters select')[1]; s.value = 'mood';"
        browser.run(f"{choose} s.dispatchEvent(new Event('input'))")
        shown = "return [...document.querySelectorAll('#wrong tbody tr')]"
        tasks = browser.run(f"{shown}.filter(r => !r.hidden).map(r => r.cells[1].textContent)")
    assert set(tasks) <= {"mood"}


def test_without_data_the_page_has_the_reason(tmp_path: Path) -> None:
    shutil.copytree("one", tmp_path / "one")
    file = tmp_path / "one" / "run.yaml"
    file.write_text(file.read_text().replace(str(Path.cwd()), str(tmp_path / "elsewhere")))
    (tmp_path / "one" / "checksums.txt").unlink(missing_ok=True)
    result = mtl("report", str(tmp_path / "one"), "--html", str(tmp_path / "page.html"))
    assert result.code == 0
    assert "one: no predictions, because of an error: " in result.err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "one: no predictions, because of an error: " in page
    assert "Learning curves" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--html", "no/page.html"], "the folder no does not exist"),
        (["--html", "one"], "one is a folder"),
        (["--html", "p.html", "--format", "json"], "cannot be combined with --html"),
        (["--html", "p.html", "--test", "one", "two"], "cannot be combined with --html"),
        (["--errors", "3"], "has no effect without --html"),
        (["--split", "dev"], "has no effect without --test or --html"),
        (["--html", "p.html", "--draws", "3"], "has no effect without --test"),
    ],
)
def test_mistakes_are_told_before_any_work(arguments: list[str], message: str) -> None:
    result = mtl("report", "one", *arguments)
    assert result.code == 2
    assert message in " ".join(re.sub("[│╭╮╰╯─]", " ", result.err).split())
    assert not Path("p.html").exists()
