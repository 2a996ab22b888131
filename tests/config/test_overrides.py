"""Overrides from the command line and from Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtl.config import Run, load_run, run_to_yaml
from mtl.config.overrides import override_nodes
from mtl.errors import ConfigError
from mtl.registry import Registry

Load = Callable[..., Run]
Write = Callable[..., Path]
Tables = Mapping[str, Registry[Any]]


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a.b=3", {"a": {"b": 3}}),
        ("a=1e-3", {"a": 0.001}),
        ("a={b: [x, no]}", {"a": {"b": ["x", "no"]}}),
        ("a=b=c", {"a": "b=c"}),
        ("a=", {"a": None}),
        ("a='3'", {"a": "3"}),
    ],
)
def test_the_value_of_an_override_is_yaml(text: str, tree: object) -> None:
    assert override_nodes([text])[0].plain() == tree


def test_overrides_from_python_are_values() -> None:
    nodes = override_nodes({"a.b": (1, "no"), "c": Path("x/y"), "d": {"e": None}})
    assert [node.plain() for node in nodes] == [
        {"a": {"b": [1, "no"]}},
        {"c": "x/y"},
        {"d": {"e": None}},
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["epochs"], "command line: epochs: expected key=value, such as training.epochs=3"),
        (["=3"], "command line: =3: expected a key such as training.epochs, got ''"),
        (["a..b=3"], "command line: a..b=3: expected a key such as training.epochs, got 'a..b'"),
        (["a=[1"], "command line: a=[1: not valid YAML: while parsing a flow sequence, "
         "expected ',' or ']', but got '<stream end>'"),
        ({"a": b"x"}, "override: a=b'x': expected a number, a string, a list or a dict, got bytes"),
    ],
)  # fmt: skip
def test_a_broken_override_is_told(overrides: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        override_nodes(overrides)
    assert str(error.value) == message


def test_the_later_override_wins(load: Load) -> None:
    assert load("seed=2", "seed=3").seed == 3


def test_paths_in_overrides_start_at_the_current_folder(
    load: Load, write: Write, tmp_path: Path
) -> None:
    write("here/run.yaml", "extends: ../run.yaml")
    write("glove.txt")
    run = load("embedding.words.vectors=glove.txt", path="here/run.yaml")
    assert run.embedding["words"].options["vectors"] == str(tmp_path / "glove.txt")


def test_a_missing_key_is_reported_at_its_file(load: Load, write: Write) -> None:
    write("base.yaml", "embedding: {words: {}}\ntrunk:\n  type: lstm")
    with pytest.raises(ConfigError) as error:
        load("trunk.dropout=0.1")
    assert str(error.value) == "base.yaml:3:3: missing key 'trunk.num_layers'"


CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "seed": st.integers(0, 2**63 - 1),
    "trunk": st.sampled_from(["qrnn", {"type": "qrnn"}, {"forget_bias": 1e-5}]),
    "embedding.characters.widths": st.lists(st.integers(-(2**40), 2**40), max_size=3),
    "training.batch.max_tokens": st.integers(1, 2**63 - 1),
    "training.clip_norm": st.none() | st.floats(1e-300, 1e300),
    "training.optimizer": st.fixed_dictionaries({"lr": st.floats(allow_nan=False)}),
    "tasks.ner.head": st.sampled_from(["softmax", {"type": "softmax"}, {"scheme": None}]),
    "tasks.ner.metric.weights": st.dictionaries(st.text(), st.floats(0, 1)),
    "tasks.other": st.sampled_from(
        [{"use": "news/ner", "head": "ner"}, {"use": "news/genre", "layer": "mix"}]
    ),
    "corpora.news.title": st.none() | st.text(),
    "corpora.news.licence": st.sampled_from(["no", "1e-3", "~", "on", "12", "2026-01-01", "<<"]),
    "corpora.news.reader.columns": st.lists(st.text(), max_size=2),
    "corpora.news.splits.dev": st.sampled_from([5, "10%", "0.5%"]),
    "corpora.news.tasks.ner.labels": st.sampled_from([{"misc": "a"}, {"feature": "no"}]),
}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({}, optional=CHANGES))
def test_a_run_written_out_is_read_back_the_same(
    write: Write, kinds: Tables, changes: dict[str, Any]
) -> None:
    run = load_run("run.yaml", changes, kinds=kinds)
    path = write("elsewhere/run.yaml", run_to_yaml(run))
    assert load_run(path, kinds=kinds) == run


def test_a_run_written_out_is_plain_yaml(load: Load) -> None:
    data = yaml.safe_load(run_to_yaml(load("training.batch.max_tokens=9")))
    assert data["tasks"]["ner"]["use"] == "news/ner"
    assert data["trunk"]["hidden_size"] == 200
    assert data["training"]["batch"] == {"max_tokens": 9}
    assert data["corpora"]["news"]["tasks"]["ner"]["labels"] == {"column": "ner"}
