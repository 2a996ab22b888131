"""An option belongs to its part: no other code looks it up by its name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtl.config.distillation import Augmentation, Distillation
from mtl.config.run import Run, Task, Training
from mtl.experiment import KINDS
from mtl.options import part_options

PACKAGE = Path(__file__).parents[2] / "mtl"
FOLDERS = (
    "api",
    "experiment",
    "config",
    "analysis",
    "export",
    "cli",
    "inference",
    "runs",
    "display",
)
OUTSIDE = [
    *(path for folder in FOLDERS for path in sorted((PACKAGE / folder).glob("**/*.py"))),
    *(PACKAGE / name for name in ("model.py", "trained_model.py")),
]
"""The code that handles parts of all kinds."""
PARTS = [cls for registry in KINDS.values() for _, cls in registry.items()]
OPTIONS = {name for cls in PARTS for name in part_options(cls)}
FIELDS = {
    *(f"tasks.*.{name}" for name in Task.model_fields),
    *(f"training.{name}" for name in Training.model_fields),
    *(f"distillation.{name}" for name in Distillation.model_fields),
    *(f"distillation.augmentation.{name}" for name in Augmentation.model_fields),
    "distillation.*",
    *Run.model_fields,
}
"""Dotted paths of settings that are not options of a part."""
NOT_OPTIONS = {
    # Entries of other mappings that have the name of an option.
    ("experiment/groups.py", "lr"),  # a parameter group of an optimiser of torch
    ("experiment/groups.py", "weight_decay"),
    ("analysis/rate_test.py", "lr"),  # a parameter group of an optimiser of torch
    ("analysis/word_vectors/base.py", "lr"),
    ("api/extension.py", "tokens"),  # a field of the text that it writes
    ("cli/inputs.py", "tokens"),  # a field of a line of JSON
    ("cli/inputs.py", "text"),
    ("cli/inputs.py", "columns"),  # a comment of CoNLL
    ("cli/formats.py", "columns"),
    ("cli/formats.py", "tokens"),  # a field of the output
    ("cli/formats.py", "text"),
    ("cli/formats.py", "attention"),
    ("inference/prediction.py", "tokens"),  # a field of the record of a prediction
    ("inference/prediction.py", "text"),
    ("analysis/report/training.py", "lr"),  # a field of the record of a step
    ("analysis/affinities.py", "lr"),
    ("config/corpus.py", "label"),  # a form of labels
}


def lookups(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each look-up of an option by a literal name."""
    for node in ast.walk(ast.parse(source)):
        for name in _names(node):
            if name in OPTIONS:
                yield node.lineno, name  # type: ignore[attr-defined]


def _names(node: ast.AST) -> Iterator[str]:
    """Yield the literal names by which a node looks something up."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) != "Literal":
        yield from _strings(node.slice)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in ("get", "pop", "setdefault"):
            yield from (name for argument in node.args[:1] for name in _strings(argument))
    elif isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        if any(re.search(r"option|name", ast.unparse(side)) for side in sides):  # not of values
            yield from (name for side in sides for name in _strings(side))
    elif isinstance(node, (ast.Constant, ast.JoinedStr)):
        path = _path(node)
        if path not in FIELDS and re.fullmatch(r"[\w*]+(\.[\w*]+)+(=.*)?", path):
            yield path.partition("=")[0].rpartition(".")[2]


def _strings(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        yield from (name for item in node.elts for name in _strings(item))


def _path(node: ast.Constant | ast.JoinedStr) -> str:
    """Return a string, with * in the place of each value that is formatted into it."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values
    )


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_option_is_looked_up_outside_its_part(path: Path) -> None:
    name = str(path.relative_to(PACKAGE))
    found = [
        f"{name}:{line}: {option}"
        for line, option in lookups(path.read_text(encoding="utf-8"))
        if (name, option) not in NOT_OPTIONS
    ]
    assert not found, "let the part answer, by a class method beside its options"


@pytest.mark.parametrize(
    "source",
    [
        'run.sharing.options["adversary"]',
        'run.trunk.options.get("connections")',
        'option == "num_layers"',
        '"compare" in part.options',
        '"sharing.adversary=0"',
        'f"embedding.{slot}.dim"',
        'f"{path}.scheme"',
    ],
)
def test_look_ups_are_found(source: str) -> None:
    assert [name for _, name in lookups(source)]


def test_settings_of_a_task_are_not_options() -> None:
    assert not [*lookups('f"tasks.{name}.lr"'), *lookups("task.lr")]
