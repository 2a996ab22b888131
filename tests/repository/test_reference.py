"""The reference of all keys: the page is up to date, and no key is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reference_page import PAGE, page

from mtl.config.reference import find, reference
from mtl.config.schema import json_schema
from mtl.experiment import KINDS

KEYS = reference(KINDS)


def test_the_page_is_up_to_date() -> None:
    """Run `python scripts/reference_page.py` if this fails."""
    assert PAGE.read_text(encoding="utf-8") == page()


def _names(schema: Any) -> Iterator[str]:
    """Yield the names of all properties of a JSON Schema."""
    if isinstance(schema, dict):
        for name, value in schema.get("properties", {}).items():
            yield name
            yield from _names(value)
        yield from (n for k, v in schema.items() if k != "properties" for n in _names(v))
    elif isinstance(schema, list):
        yield from (name for item in schema for name in _names(item))


def test_every_key_of_the_schema_is_in_the_reference() -> None:
    known = {key.path.rpartition(".")[2] for key in KEYS}
    slots = {"words", "characters", "ngrams", "affixes", "subwords", "gazetteers"}
    assert set(_names(json_schema(KINDS))) - known - slots == {"extends", "type"}


def test_every_key_has_a_meaning() -> None:
    names = {"tasks.TASK", "corpora.CORPUS", "corpora.CORPUS.tasks.TASK"}
    assert not [key.path for key in KEYS if not key.help and key.path not in names]


def test_names_of_tasks_match_the_placeholder() -> None:
    assert {key.path for key in find(KEYS, "tasks.ner.weight")} == {"tasks.TASK.weight"}
    assert [key.path for key in find(KEYS, "training.patience")] == ["training.patience"]
    assert "training.fine_tuning.frozen" in {key.path for key in find(KEYS, "fine_tuning")}
    assert {key.path for key in find(KEYS, "optimizer.lr")} == {"training.optimizer.lr"}
    assert find(KEYS, "no_such_key") == []
