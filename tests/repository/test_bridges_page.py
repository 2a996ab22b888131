"""The examples of docs/bridges.md and docs/explanations.md."""

from __future__ import annotations

from importlib import import_module

import pytest

import mtl
from tests.repository.pages import ROOT, blocks

PAGES = {
    name: blocks((ROOT / f"docs/{name}.md").read_text(encoding="utf-8"), "python")
    for name in ("bridges", "explanations")
}


def test_the_example_of_spacy_runs() -> None:
    pytest.importorskip("spacy", reason="needs mtl[spacy]")
    import_module("mtl.bridges.spacy_pipe")  # an installed package has an entry point instead
    names: dict[str, object] = {}
    exec(PAGES["bridges"][0], names)
    doc = names["doc"]
    assert [span.label_ for span in doc.ents] == ["PERSON", "GPE"]  # type: ignore[attr-defined]


def test_the_example_of_data_sets_runs() -> None:
    pytest.importorskip("datasets", reason="needs mtl[hub]")
    labels, _, corpora = PAGES["bridges"][1].rpartition("corpus_datasets(")
    exec(labels, {"mtl": mtl})
    assert corpora.startswith('"phones")')  # the run of the README, which another page trains


def test_the_example_of_explanations_runs() -> None:
    names: dict[str, object] = {"mtl": mtl}
    (example,) = PAGES["explanations"]
    exec(example, names)
    assert names["answer"].answer == "GPE"  # type: ignore[attr-defined]
