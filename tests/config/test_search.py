"""Ranges in run files: their notation, their checks, and the runs of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mtl.config import Run, load_run
from mtl.config.space import Space, load_space
from mtl.errors import ConfigError
from mtl.registry import Registry

Load = Callable[..., Run]
Write = Callable[..., Path]
Tables = Mapping[str, Registry[Any]]

RUN = """\
embedding:
  words: {dim: 16}
trunk: {type: lstm, num_layers: 1, hidden_size: 8}
tasks:
  ner: {use: news/ner}
training:
  optimizer: {type: adam, lr: 0.02}
"""


@pytest.fixture
def space(tmp_path: Path, write: Write, kinds: Tables) -> Callable[..., Space]:
    """Return a function that reads the run file with overrides."""
    write("run.yaml", RUN)
    return lambda *overrides: load_space("run.yaml", overrides, kinds=kinds)


MISTAKES = {
    "{search: 3}": "lr.search: expected [low, high] or {choices: [...]}; low and high are numbers",
    "{search: [1, 2, 3]}": "lr.search: expected [low, high] or {choices: [...]}; low and high are "
    "numbers",
    "{search: [a, b]}": "lr.search: expected [low, high] or {choices: [...]}; low and high are "
    "numbers",
    "{search: [true, 2]}": "lr.search: expected [low, high] or {choices: [...]}; low and high are "
    "numbers",
    "{search: [1, .inf]}": "lr.search: expected [low, high] or {choices: [...]}; low and high are "
    "numbers",
    "{search: [2, 2]}": "lr.search: expected low < high, got 2 and 2",
    "{search: [0, 2], log: true}": "lr.log: expected low above 0 for logarithms, got 0",
    "{search: [1, 2], log: 1}": "lr.log: expected true or false",
    "{search: [1, 2], step: 0.3}": "lr.step: expected a number that leads from 1 to 2 in equal "
    "steps",
    "{search: [1, 2], step: 0}": "lr.step: expected a number that leads from 1 to 2 in equal steps",
    "{search: [1, 2], step: 0.5, log: true}": "lr.step: has no effect together with log; leave one "
    "of them out",
    "{search: {choices: [1]}}": "lr.search.choices: expected a list of two values or more",
    "{search: {choices: [1, 1]}}": "lr.search.choices: '1' is there twice",
    "{search: {choices: [1, 2]}, log: true}": "lr.log: has no effect on choices; leave it out",
    "{search: {choices: [1, {search: [1, 2]}]}}": "lr.search.choices: a range inside a choice is "
    "not supported",
}


@pytest.mark.parametrize("value", MISTAKES)
def test_a_wrong_range_is_told(value: str, space: Callable[..., Space]) -> None:
    override = f"training.optimizer.lr={value}"
    with pytest.raises(ConfigError) as error:
        space(override)
    assert str(error.value) == f"command line: {override}: training.optimizer.{MISTAKES[value]}"


def test_an_unknown_key_of_a_range_is_told(space: Callable[..., Space]) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'training.optimizer.lr.lgo'; did you mean"):
        space("training.optimizer.lr={search: [1, 2], lgo: true}")


def test_the_ends_are_checked_where_they_stand(write: Write, kinds: Tables) -> None:
    ranged = RUN.replace("hidden_size: 8", "hidden_size: {search: [0, 8.5]}")
    ranged = ranged.replace("dim: 16", "dim: {search: {choices: [8, x, -1]}}")
    write("run.yaml", ranged)
    with pytest.raises(ConfigError) as error:
        load_space("run.yaml", kinds=kinds)
    size = "trunk.hidden_size: expected a whole number of at least 1, got"
    dim = "embedding.words.dim: expected a whole number of at least 1, got"
    assert sorted(str(error.value).split("\n")) == [
        f"run.yaml:2:39: {dim} 'x'",
        f"run.yaml:2:42: {dim} -1",
        f"run.yaml:3:59: {size} 0",
        f"run.yaml:3:62: {size} 8.5",
    ]


def test_the_type_of_a_range_is_that_of_its_option(space: Callable[..., Space]) -> None:
    found = space(
        "trunk.hidden_size={search: [4, 64], step: 4}",
        "tasks.ner.weight={search: [0, 2]}",
        "training.optimizer.lr={search: [1e-4, 1e-2], log: true}",
        "trunk.dropout={search: {choices: [0, 0.5]}}",
    )
    assert {path: str(own) for path, own in found.ranges.items()} == {
        "trunk.hidden_size": "4 to 64, whole numbers, step 4",
        "tasks.ner.weight": "0 to 2",
        "training.optimizer.lr": "0.0001 to 0.01, log",
        "trunk.dropout": "one of 0, 0.5",
    }


def test_a_step_of_whole_numbers_is_one(space: Callable[..., Space]) -> None:
    with pytest.raises(ConfigError, match=r"trunk.hidden_size.step: expected a whole number"):
        space("trunk.hidden_size={search: [4, 8], step: 0.5}")


def test_a_run_has_the_values(space: Callable[..., Space]) -> None:
    found = space(
        "trunk={search: {choices: [{type: qrnn, window: 2}, {type: lstm, num_layers: 3}]}}",
        "training.optimizer.lr={search: [1e-4, 1e-2], log: true}",
    )
    lstm = '{"type": "lstm", "num_layers": 3}'
    run = found.run({"trunk": lstm, "training.optimizer.lr": 0.003})
    assert (run.trunk.type, run.trunk.options["num_layers"]) == ("lstm", 3)
    assert run.training.optimizer.options["lr"] == 0.003
    first = found.run()
    assert (first.trunk.type, first.trunk.options["window"]) == ("qrnn", 2)
    assert first.training.optimizer.options["lr"] == 1e-4
    assert found.plain({"trunk": lstm}) == {("trunk",): {"type": "lstm", "num_layers": 3}}


def test_later_files_replace_ranges_and_values(write: Write, kinds: Tables) -> None:
    write("run.yaml", RUN.replace("lr: 0.02", "lr: {search: [0.1, 0.2]}"))
    write("mine.yaml", "extends: run.yaml\ntrunk: {hidden_size: {search: [8, 9]}}\n")
    found = load_space("mine.yaml", kinds=kinds)
    assert set(found.ranges) == {"trunk.hidden_size", "training.optimizer.lr"}
    fixed = ["trunk.hidden_size=8", "training.optimizer.lr=0.1"]
    assert load_run("mine.yaml", fixed, kinds=kinds) == found.run()


def test_one_run_refuses_ranges(write: Write, kinds: Tables) -> None:
    write("run.yaml", RUN.replace("lr: 0.02", "lr: {search: [0.1, 0.2]}"))
    with pytest.raises(ConfigError) as error:
        load_run("run.yaml", ["trunk.hidden_size={search: [8, 9]}"], kinds=kinds)
    assert str(error.value) == (
        "command line: trunk.hidden_size={search: [8, 9]}: trunk.hidden_size: a range of values, "
        "the first of 2; search the best one with mtl tune, or write one value"
    )
    with pytest.raises(ConfigError, match=r"^run\.yaml:7:31: training\.optimizer\.lr: a range of"):
        load_run("run.yaml", kinds=kinds)


def test_a_range_in_a_list_is_refused(load: Load) -> None:
    with pytest.raises(ConfigError, match="got a range to search, which only keys of the run file"):
        load("embedding.characters={type: cnn, widths: [{search: [1, 3]}]}")


def test_a_task_may_be_called_search(write: Write, kinds: Tables) -> None:
    write("run.yaml", RUN.replace("ner: {use: news/ner}", "search: {use: news/ner}"))
    assert list(load_run("run.yaml", kinds=kinds).tasks) == ["search"]
    assert not load_space("run.yaml", kinds=kinds).ranges
