"""The site of the documentation: its navigation, its links, and that it needs no network."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import site_pages

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]


def places(nav: Any) -> Iterator[str]:
    """Yield the pages of the navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        for entry in nav.values() if isinstance(nav, dict) else nav:
            yield from places(entry)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the collected pages, as `make docs` makes them."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "zensical.toml", folder)
    site_pages.collect(ROOT, folder / SETTINGS["docs_dir"])
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Path:
    """Return the folder of the built site."""
    pytest.importorskip("zensical", reason="the extra docs is not installed")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    output = built.stdout + built.stderr
    assert built.returncode == 0, output
    assert "No issues found" in output
    return folder / SETTINGS["site_dir"]


def test_every_page_has_one_place_in_the_navigation() -> None:
    own = [page for page in places(SETTINGS["nav"]) if not page.startswith("repository/")]
    assert sorted(own) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_the_readme_links_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = [f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")]
    assert [page for page in pages if f"]({page})" not in readme] == []


def test_every_place_in_the_navigation_is_a_page(folder: Path) -> None:
    pages = folder / SETTINGS["docs_dir"]
    assert [page for page in places(SETTINGS["nav"]) if not (pages / page).is_file()] == []


def test_links_between_the_collected_pages_lead_somewhere(folder: Path) -> None:
    pages = folder / SETTINGS["docs_dir"]
    assert (pages / "repository" / "CHANGELOG.md").is_file()
    for page in pages.rglob("*.md"):
        for link in site_pages.LINK.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page}: {link}"


def test_links_named_after_a_file_get_the_title_of_the_page(folder: Path) -> None:
    pages = folder / SETTINGS["docs_dir"]
    assert "[Data](data.md)" in (pages / "errors.md").read_text(encoding="utf-8")
    assert not [page for page in pages.glob("*.md") if site_pages.NAMED.search(page.read_text())]


def test_the_site_is_built_without_warnings(site: Path) -> None:
    built = {path.relative_to(site).with_suffix(".md").as_posix() for path in site.rglob("*.html")}
    assert set(places(SETTINGS["nav"])) <= built


def test_the_site_needs_no_network(site: Path) -> None:
    loaded = re.compile(
        r"<(?:script|img|iframe)\b[^>]*\bsrc=\"?https?:|<link\b[^>]*stylesheet[^>]*https?:"
    )
    assert not [page for page in site.rglob("*.html") if loaded.search(page.read_text("utf-8"))]
    styles = [path for path in site.rglob("*.css") if "url(http" in path.read_text("utf-8")]
    assert styles == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "pictures").iterdir()), ids=lambda p: p.name
)
def test_pictures_are_small_drawings_for_light_and_dark(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text) <= 20_000
    assert "<title>" in text
    assert "prefers-color-scheme: dark" in text
