"""The examples in docstrings show the results that Python gives."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): count
    for path in sorted((ROOT / "mtl").rglob("*.py"))
    if (count := len(re.findall(r"^ *>>> ", path.read_text(encoding="utf-8"), re.MULTILINE)))
}
"""The modules with examples, and the number of their examples."""


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_the_results_they_show(name: str) -> None:
    module = import_module(name)
    found = sum(len(test.examples) for test in doctest.DocTestFinder().find(module))
    assert found == MODULES[name]
    assert doctest.testmod(module).failed == 0
