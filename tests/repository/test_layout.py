"""The layout of the package: sizes and names of files, no cycles of imports, no name twice."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mtl"
MODULES = sorted(PACKAGE.rglob("*.py"))
VAGUE = {"utils", "util", "helpers", "common", "misc"}


def test_no_file_reaches_500_lines() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert not {path: length for path, length in lengths.items() if length >= 500}


def test_the_top_level_has_at_most_nine_modules() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 9


def test_every_folder_of_modules_is_a_package() -> None:
    missing = {path.parent for path in MODULES if not (path.parent / "__init__.py").exists()}
    assert not missing


def test_names_of_files_say_what_is_in_them() -> None:
    assert not [path for path in MODULES if path.stem in VAGUE]


@pytest.mark.parametrize("folder", ["configs", "tasks"])
def test_runs_and_corpora_come_with_the_package(folder: str) -> None:
    ours = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.yaml")}
    assert ours == {path.relative_to(PACKAGE) for path in (PACKAGE / folder).rglob("*.yaml")}


def _types(path: Path) -> list[str]:
    """Return the names of the classes and type aliases that a module defines at its top."""
    names = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias":
            names.append(ast.unparse(node.target))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = ast.unparse(node.value)
            if re.match(r"(Literal|Annotated|Callable|Union|Mapping|Sequence|TypeVar)\b", value):
                names.append(node.targets[0].id)
    return names


def test_no_type_name_is_defined_twice() -> None:
    places = defaultdict(list)
    for path in MODULES:
        for name in _types(path):
            places[name].append(str(path.relative_to(ROOT)))
    # Estimators have the names that users of scikit-learn expect, as the bases of heads do.
    estimators = {"Classifier", "Tagger"}
    assert {name for name, paths in places.items() if len(paths) > 1} == estimators


@pytest.mark.parametrize("typing", [False, True], ids=["at run time", "for types"])
def test_modules_do_not_import_each_other_in_a_circle(typing: bool) -> None:
    graph = grimp.build_graph("mtl", exclude_type_checking_imports=not typing)
    modules = sorted(graph.modules)
    circles = {
        (importer, imported)
        for importer in modules
        for imported in graph.find_modules_directly_imported_by(importer)
        if graph.chain_exists(importer=imported, imported=importer)
    }
    assert not circles
