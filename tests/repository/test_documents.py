"""The claims and the code blocks of the documentation."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from mtl.config.document import load
from mtl.version import __version__

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_latest_version_in_the_changelog_is_this_one() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE)[0] == __version__


def test_the_readme_stays_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z][a-z-]*)", README))))
def test_every_target_the_readme_names_exists(target: str) -> None:
    assert make("--dry-run", target).returncode == 0


def test_make_alone_lists_every_target() -> None:
    targets = re.findall(r"^([a-z-]+):.* ## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = [line.split()[0] for line in make().stdout.splitlines()]
    assert listed == targets
    assert {"quickstart", "test", "test-slow", "lint", "check", "bench"} <= set(listed)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_local_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8"))
    assert not [link for link in links if not (path.parent / link).exists()]


def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_anchors_of_local_links_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for page, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", text):
        assert anchor in anchors(path.parent / page if page else path), f"{page}#{anchor}"


def test_the_table_of_modules_is_the_contract_of_imports() -> None:
    page = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
    table = re.search(r"\| module in `mtl/` \|.*\n\|.*\n((?:\|.*\n)+)", page)
    contract = re.search(
        r"^layers =\n((?:    .*\n)+)", (ROOT / "setup.cfg").read_text(), re.MULTILINE
    )
    assert table
    assert contract
    rows = [set(re.findall(r"`(\w+)`", row.split("|")[1])) for row in table[1].splitlines()]
    assert rows == [set(re.findall(r"\w+", row)) for row in contract[1].splitlines()]


def test_the_glossary_is_in_alphabetical_order() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = [term.casefold() for term in re.findall(r"^\*\*(.+?)\.\*\*", page, re.MULTILINE)]
    assert len(terms) > 50
    assert terms == sorted(terms)


def test_one_place_says_which_torch_is_installed() -> None:
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in pinned if not line.startswith("#")] == ["torch==2.13.0"]


@pytest.mark.parametrize("path", sorted((ROOT / "tasks").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_corpus_names_its_licence(path: Path) -> None:
    corpus = load(path).plain()
    assert corpus["title"]
    assert corpus["licence"]
