"""Configurations as dictionaries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtl.config import Run, load_run
from mtl.config.document import load
from mtl.errors import ConfigError
from mtl.registry import Registry

Kinds = dict[str, Registry[Any]]


@pytest.fixture
def config(write: Callable[..., Path]) -> dict[str, Any]:
    """The run file of the small project as a dictionary."""
    return dict(load(Path("run.yaml")).plain())


def test_a_dictionary_is_read_as_its_file(config: dict[str, Any], kinds: Kinds) -> None:
    assert load_run(config, kinds=kinds) == load_run("run.yaml", kinds=kinds)


def test_a_dictionary_extends_files(kinds: Kinds, config: dict[str, Any]) -> None:
    changed = load_run({"extends": "run.yaml", "seed": 7}, kinds=kinds)
    assert changed == load_run(config, {"seed": 7}, kinds=kinds)
    assert changed.seed == 7
    assert config == dict(load(Path("run.yaml")).plain())


def test_tuples_and_paths_are_values(config: dict[str, Any], kinds: Kinds) -> None:
    run = load_run(config, {"embedding.words.vectors": Path("tasks/a.txt")}, kinds=kinds)
    words = {"dim": 50, "vectors": Path("tasks/a.txt")}
    assert load_run({**config, "embedding": {"words": words}}, kinds=kinds) == run
    with pytest.raises(ConfigError, match="extends: expected a file or a list of files"):
        load_run({**config, "extends": (1,)}, kinds=kinds)


def message(config: Any, kinds: Kinds, **options: Any) -> str:
    with pytest.raises(ConfigError) as error:
        load_run(config, kinds=kinds, **options)
    return str(error.value)


def test_mistakes_name_their_keys(config: dict[str, Any], kinds: Kinds) -> None:
    changed = {**config, "trunkk": 1, "seed": "x", "training": {"epochs": 0}}
    assert message(changed, kinds).splitlines() == [
        "config['seed']: seed: expected a whole number in [0, 9223372036854775808), got 'x'",
        "config['training']['epochs']: training.epochs: expected a whole number of at least 1, "
        "got 0",
        "config['trunkk']: unknown key 'trunkk'; did you mean 'trunk'?",
    ]


CIRCLE: dict[str, Any] = {}
CIRCLE["a"] = CIRCLE


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "config: the dictionary is empty; expected keys and values"),
        (CIRCLE, "config: nested too deeply"),
        ([], "config: expected the path of a run file or a dictionary, got list"),
        (None, "config: expected the path of a run file or a dictionary, got NoneType"),
        (
            {"tasks": [{"a": {1}}]},
            "config['tasks'][0]['a']: expected a number, a string, a list or a dict, got set",
        ),
        ({"a": "\ud83d"}, "config['a']: an incomplete character in '\\ud83d'"),
        ({"extends": "none.yaml"}, "config['extends']: extends: no such file: none.yaml"),
    ],
)
def test_a_dictionary_that_is_no_configuration(config: Any, expected: str, kinds: Kinds) -> None:
    assert message(config, kinds) == expected


def given(corpus: str) -> dict[str, Any]:
    return {corpus: {"reader": {"type": "memory"}, "files": {"train": ["a"]}}}


def test_given_files_replace_those_of_a_corpus(config: dict[str, Any], kinds: Kinds) -> None:
    class Memory:
        reads_files = False

        def __init__(self, *, comments: bool = True) -> None: ...

    readers = Registry("reader", object, {**dict(kinds["reader"].items()), "memory": Memory})
    own = {**kinds, "reader": readers}
    before: Run = load_run(config, kinds=own)
    name = next(iter(before.corpora))
    run = load_run(config, kinds=own, given=given(name))
    assert run.corpora[name].reader.type == "memory"
    assert run.corpora[name].files == {"train": ["a"]}
    assert run.corpora[name].tasks == before.corpora[name].tasks
    assert f"data['x']: no task uses a corpus 'x'; expected one of: {name}" in message(
        config, own, given=given("x")
    )
