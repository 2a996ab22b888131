"""The JSON Schema of run and corpus files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtl.config.schema import corpus_schema, json_schema
from mtl.registry import Registry

Tables = Mapping[str, Registry[Any]]


def test_a_run_has_its_keys_and_their_help(kinds: Tables) -> None:
    properties = json_schema(kinds)["properties"]
    assert list(properties) == ["extends", "seed", "seeds", "embedding", "trunk", "sharing",
                                "weighting", "tasks", "corpora", "distillation",
                                "training"]  # fmt: skip
    assert properties["seed"]["description"] == "Seed of all random numbers."
    assert (properties["seed"]["minimum"], properties["seed"]["default"]) == (0, 1)


def test_what_is_worked_out_cannot_be_written(kinds: Tables) -> None:
    definitions = json_schema(kinds)["$defs"]
    assert not {"corpus", "source", "scheme"} & set(definitions["Task"]["properties"])
    assert "name" not in definitions["CorpusConfig"]["properties"]


def test_a_part_has_its_options_bounds_and_help(kinds: Tables) -> None:
    variants = json_schema(kinds)["$defs"]["trunk_part"]["oneOf"]
    lstm = next(variant for variant in variants if variant.get("title") == "lstm")
    assert lstm["description"] == "Long short-term memory."
    dropout = lstm["properties"]["dropout"]
    assert dropout == {
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1,
        "default": 0.0,
        "description": "Of the outputs.",
    }


def test_an_embedding_has_the_options_of_its_vocabulary(kinds: Tables) -> None:
    variants = json_schema(kinds)["$defs"]["embedding_part"]["oneOf"]
    words = next(variant for variant in variants if variant.get("title") == "words")
    assert list(words["properties"]) == ["type", "dim", "vectors", "min_count"]


FITTING = [
    {"extends": "base.yaml"},
    {"extends": ["a.yaml", "b.yaml"], "trunk": "lstm"},
    {"trunk": {"dropout": 0.1}, "sharing": None},
    {"trunk": {"type": "my.trunks:Mine", "gates": 4}},
    {"tasks": {"a": {"use": "news/ner", "head": "b", "layer": "mix"}, "b": None}},
    {"training": {"batch": {"max_tokens": 9}, "optimizer": {"lr": 0.1}, "clip_norm": None}},
    {"training": {"average": 0.9}},
    {"training": {"average": {"type": "asgd", "trigger": 3}, "fine_tuning": None}},
    {"training": {"fine_tuning": {"lr_ratio": 2.6, "gradual": True, "frozen": ["embedding"]}}},
    {"embedding": {"words": {"vectors": "x.txt"}, "characters": None}},
    {"corpora": {"news": {"splits": {"dev": 5, "test": "10%"}}}},
]
BROKEN = [
    {"trunks": {}},
    {"extends": 3},
    {"trunk": "lstmm"},
    {"trunk": {"type": "lstm", "window": 1}},
    {"trunk": {"dropuot": 0.1}},
    {"trunk": {"dropout": 1}},
    {"tasks": {"a": {"layr": 1}}},
    {"tasks": {"a": {"layer": "top"}}},
    {"training": {"epochs": 0}},
    {"training": {"average": {"type": "asgd", "decay": 0.9}}},
    {"training": {"average": True}},
    {"training": {"fine_tuning": {"frozen": ["head"]}}},
    {"embedding": {"word": {}}},
    {"corpora": {"news": {"files": {"train": []}}}},
]


def validator(schema: Mapping[str, Any]) -> Any:
    """Return the validator of the package jsonschema."""
    jsonschema = pytest.importorskip("jsonschema", reason="the package jsonschema is not there")
    return jsonschema.Draft202012Validator(schema)


def faults(schema: Mapping[str, Any], data: Any) -> list[Any]:
    """Return the errors that the package jsonschema finds."""
    return list(validator(schema).iter_errors(data))


@pytest.mark.parametrize("schema", [json_schema, corpus_schema])
def test_the_schemas_are_schemas(schema: Callable[[Tables], Any], kinds: Tables) -> None:
    made = schema(kinds)
    validator(made).check_schema(made)


@pytest.mark.parametrize("run", FITTING, ids=str)
def test_a_good_run_fits(run: Any, kinds: Tables) -> None:
    assert not faults(json_schema(kinds), run)


@pytest.mark.parametrize("run", BROKEN, ids=str)
def test_a_broken_run_does_not_fit(run: Any, kinds: Tables) -> None:
    assert faults(json_schema(kinds), run)


def test_corpus_files_fit(write: Any, kinds: Tables) -> None:
    write("run.yaml")
    text = Path("tasks/news.yaml").read_text(encoding="utf-8")
    assert not faults(corpus_schema(kinds), yaml.safe_load(text))
    assert faults(corpus_schema(kinds), {"title": 3})
