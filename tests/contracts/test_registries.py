"""Contracts of all registered parts; for help and papers see tests/repository/test_parts."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re

import pytest
from pydantic import TypeAdapter

import mtl
from mtl.experiment import KINDS
from mtl.options import REQUIRED, options_of
from mtl.registry import Registry

SUPPLIED = {
    "embedding": {"vocabularies": REQUIRED},
    "trunk": {"in_features": REQUIRED},
    "sharing": {"tasks": REQUIRED, "make_trunk": REQUIRED},
    "head": {"in_features": REQUIRED, "labels": REQUIRED},
    "weighting": {"tasks": REQUIRED},
    "mixing": {"sizes": REQUIRED, "epochs": 1},
    "metric": {},
    "reader": {},
    "optimizer": {"parameters": REQUIRED},
    "schedule": {"total_steps": REQUIRED},
    "average": {"model": REQUIRED},
}
"""Positional arguments that the library passes to the parts of each kind."""
BESIDES = {"lm": {"embedding": None}, "text": {"segmenter": None}, "python": {"given": None}}
"""Further arguments of some parts."""

parts = pytest.mark.parametrize(
    ("kind", "part"),
    [
        pytest.param(kind, part, id=f"{kind}-{name}")
        for kind, registry in KINDS.items()
        for name, part in registry.items()
    ],
)


@parts
def test_a_part_derives_from_the_base_of_its_kind(kind: str, part: type) -> None:
    assert issubclass(part, KINDS[kind].base)
    assert not inspect.isabstract(part)


@parts
def test_what_the_library_supplies_comes_by_position(kind: str, part: type) -> None:
    name = next(name for name in KINDS[kind] if KINDS[kind].find(name) is part)
    parameters = list(inspect.signature(part).parameters.values())
    by_position = inspect.Parameter.POSITIONAL_OR_KEYWORD
    supplied = {each.name: each.default for each in parameters if each.kind is by_position}
    assert supplied == SUPPLIED[kind] | BESIDES.get(name, {})


@parts
def test_everything_else_is_an_option(kind: str, part: type) -> None:
    parameters = list(inspect.signature(part).parameters.values())
    assert not any(p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL) for p in parameters)
    names = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    shared = {option.name for option in options_of(part)} - names
    # Further keywords are those of a TypedDict; all others are errors.
    assert bool(shared) == any(p.kind is p.VAR_KEYWORD for p in parameters)


@parts
def test_an_unknown_option_is_an_error(kind: str, part: type) -> None:
    supplied = [None for default in SUPPLIED[kind].values() if default is REQUIRED]
    with pytest.raises(TypeError, match=r"'no_such_option'|takes no arguments"):
        part(*supplied, no_such_option=1)


@parts
def test_defaults_are_values_that_a_user_may_write(kind: str, part: type) -> None:
    for option in options_of(part):
        if option.default is not REQUIRED:
            value = TypeAdapter(option.annotation).validate_python(option.default, strict=True)
            assert value == option.default, option.name


@parts
def test_no_option_is_documented_that_does_not_exist(kind: str, part: type) -> None:
    documented = re.findall(r"^ {4}(\w+): ", inspect.getdoc(part) or "", re.MULTILINE)
    options = {option.name for option in options_of(part)}
    assert set(documented) <= set(inspect.signature(part).parameters) | options


@parts
def test_parts_cite_a_paper_or_say_that_there_is_none(kind: str, part: type) -> None:
    if kind != "reader":
        assert re.search(r"\b(19|20)\d\d[;)]|\(–\)", inspect.getdoc(part) or "")


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_those_that_yaml_uses(kind: str) -> None:
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in KINDS[kind])
    assert KINDS[kind].kind == kind


def test_no_registry_is_left_out() -> None:
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(mtl.__path__, "mtl.")
        if not module.name.startswith("mtl.cli") and "._" not in module.name
    ]
    values = [value for module in modules for value in vars(module).values()]
    found = {id(value): value.kind for value in values if isinstance(value, Registry)}
    # The methods of `mtl vectors train` are no parts of a run.
    assert sorted({*found.values()} - {"method"}) == sorted(KINDS)
