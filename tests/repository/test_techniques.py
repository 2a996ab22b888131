"""docs/techniques.md has every part of the library, and nothing that does not exist."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.main import get_command

from mtl.cli.app import app
from mtl.config.reference import find, reference
from mtl.experiment import KINDS

ROOT = Path(__file__).parents[2]
KEYS = reference(KINDS)
PAGE = (ROOT / "docs" / "techniques.md").read_text(encoding="utf-8")


class Row(NamedTuple):
    """A row of the page."""

    technique: str
    source: str
    name: str
    test: str
    measured: str


def rows(page: str) -> list[Row]:
    """Return the rows of all tables, without the heads."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    cells = [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines]
    return [Row(*(cell.strip() for cell in row)) for row in cells if "technique" not in row[0]]


ROWS = rows(PAGE)


def spans(text: str) -> list[str]:
    """Return the code spans of a text."""
    return re.findall(r"`([^`]+)`", text)


def _is_command(words: list[str]) -> bool:
    """Return whether a command, or an option or argument of a command, exists."""
    command = get_command(app)
    for word in words:
        if word.startswith("--"):
            if not any(word in parameter.opts for parameter in command.params):
                return False
        elif word in (subcommands := getattr(command, "commands", {})):
            command = subcommands[word]
        elif subcommands:
            return False
    return True


def _is_attribute(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    return hasattr(import_module(module), attribute)


def exists(name: str) -> bool:
    """Return whether the library has a part, key, command, script or Python name."""
    if part := re.fullmatch(r"(\w+)\.type: (\w+)", name):
        return part[1] in KINDS and part[2] in KINDS[part[1]]
    if name.startswith("mtl "):
        return _is_command(name.split()[1:])
    if name.startswith("benchmarks/"):
        return (ROOT / name).is_file()
    if name.startswith("mtl."):
        return _is_attribute(name)
    key, _, value = name.partition(": ")
    found = find(KEYS, key)
    return bool(found) and (not value or any(value in key.values for key in found))


@pytest.mark.parametrize("row", [pytest.param(row, id=row.technique) for row in ROWS])
def test_a_row_is_complete(row: Row) -> None:
    assert re.search(r"\b(19|20)\d\d\b|–", row.source), "the source has no year"
    names = [name for name in spans(row.name) if not re.fullmatch(r"\w+", name)]  # names of parts
    assert names
    assert not [name for name in names if not exists(name)]
    assert spans(row.test) or row.test == "–"
    assert not [path for path in spans(row.test) if not (ROOT / path).is_file()]
    assert row.measured


def test_every_part_has_a_row() -> None:
    names = {name for row in ROWS for name in spans(row.name)}
    parts = {f"{kind}.type: {name}" for kind, registry in KINDS.items() for name in registry}
    readers = {f"reader.type: {name}" for name in KINDS["reader"]}  # formats, not techniques
    assert not parts - readers - names


def test_no_technique_has_two_rows() -> None:
    techniques = [row.technique for row in ROWS]
    assert len(set(techniques)) == len(techniques)


def test_names_that_do_not_exist_are_found() -> None:
    assert not exists("trunk.type: lsmt")
    assert not exists("trunk.zonout")
    assert not exists("mtl relate --slow")
    assert not exists("benchmarks/no_such_script.py")
    assert not exists("mtl no_such_command")
    assert not exists("mtl.layers.NoSuchLayer")
    assert exists("trunk.zoneout")
    assert exists("mtl relate --epochs")
    assert exists("mtl.layers.CRF")
