"""Collect the pages of the documentation in build/docs, from which `make docs` builds the site.

The pages of docs/ link to files elsewhere in the repository, such as results of benchmarks. A site
contains only the files of one folder, so these files are copied beside the pages, and the links
are changed in the copies: a link with the name of a file as its text, such as `data.md`, gets the
title of the page. The pages of docs/ themselves stay as they are.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)")
"""The path of a link to a file, without its anchor."""
NAMED = re.compile(r"\[([\w-]+\.md)\](?=\(\1[)#])")
"""The text of a link that is the name of its file."""


def place(path: Path) -> Path:
    """Return the place of a file in the site, given its path in the repository."""
    if path.parts[0] == "docs":
        return path.relative_to("docs")
    return "repository" / path


def title(page: Path) -> str:
    """Return the title of a page, which is its first line."""
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def collect(root: Path = ROOT, pages: Path = ROOT / "build" / "docs") -> None:
    """Copy docs/ and all files to which its pages link, directly or through other pages.

    Args:
        root: The repository.
        pages: The folder of the copies; an existing one is replaced.
    """
    shutil.rmtree(pages, ignore_errors=True)
    waiting = [path.relative_to(root) for path in (root / "docs").rglob("*") if path.is_file()]
    copied: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in copied:
            continue
        copied.add(path)
        target = pages / place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".md":
            shutil.copy(root / path, target)
            continue

        def moved(link: re.Match[str], page: Path = path) -> str:
            """Return the link between the copies, and note the file that it leads to."""
            linked = Path(os.path.normpath(page.parent / link[1]))
            if not (root / linked).is_file():
                return link[1]
            waiting.append(linked)
            return Path(os.path.relpath(place(linked), place(page).parent)).as_posix()

        def titled(link: re.Match[str], page: Path = path) -> str:
            """Return the text of a link with the title of the page in place of its name."""
            linked = root / page.parent / link[1]
            return f"[{title(linked)}]" if linked.is_file() else link[0]

        text = NAMED.sub(titled, (root / path).read_text(encoding="utf-8"))
        target.write_text(LINK.sub(moved, text), encoding="utf-8")


if __name__ == "__main__":
    collect()
