"""Fine-tuning of a language model on another text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import mtl
from mtl.experiment import Experiment, load_config, load_corpora, prepare
from mtl.heads import LanguageModel
from tests.training.texts import text_corpus

OUTPUTS = ["tied", "full", "adaptive", "tied_adaptive", "mos"]
FURTHER = "zoo a b q\nx zoo q y\n" * 4


def write(name: str, corpus: dict[str, Any], **head: Any) -> None:
    """Write a run of two language models, which share an output layer."""
    cutoffs = {"cutoffs": [5, 6]} if "adaptive" in head["output"] else {}
    own = {"type": "lm", "dropout": 0.0, **cutoffs, **head}
    run = {
        "embedding": {"words": {"dim": 8}},
        "trunk": {"type": "lstm", "hidden_size": 6, "bidirectional": True},
        "tasks": {"next": {"use": "t/next", "head": own}, "previous": {"use": "t/previous"}},
        "corpora": {"t": corpus},
        "training": {"epochs": 1, "batch": {"streams": 2, "bptt": 6}, "metric": "next.perplexity"},
    }
    run["tasks"]["previous"]["head"] = "next"
    Path(f"{name}.yaml").write_text(yaml.safe_dump(run, sort_keys=False))


@pytest.fixture(params=OUTPUTS)
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Return the output layer of a trained language model, from which another is to start."""
    output: str = request.param
    monkeypatch.chdir(tmp_path)
    write("first", text_corpus(tmp_path, "t"), output=output)
    second = text_corpus(tmp_path, "s", 12)
    with (tmp_path / "s-train.txt").open("a") as file:
        file.write(FURTHER)
    write("second", second, output=output)
    mtl.train("first.yaml")
    return output


def started(run: str, init: str = "first", **changes: Any) -> Experiment:
    config = load_config(f"{run}.yaml", {"trunk.init": f"runs/{init}", **changes})
    return prepare(config, load_corpora(config))


def bias(experiment: Experiment) -> dict[str, float]:
    """The output for each word after a state of zeros."""
    head = experiment.model.head("next").eval()
    assert isinstance(head, LanguageModel)
    found = head.output.log_probs(torch.zeros(1, head.in_features))[0]
    return dict(zip(head.labels, found.tolist(), strict=True))


def test_on_the_same_text_it_is_as_good_as_the_one_it_starts_from(first: str) -> None:
    trained, again = mtl.load("runs/first"), started("first")
    scores = again.evaluate(load_corpora(again.run).values(), "dev").scores()
    assert scores == trained.evaluate("dev").scores()
    assert again.notes[0].endswith("head next: 8 of 8 words")


@pytest.mark.parametrize("first", sorted({*OUTPUTS} - {"mos"}), indirect=True)
def test_words_of_both_texts_keep_their_odds_among_new_ones(first: str) -> None:
    before, after = bias(mtl.load("runs/first").experiment), bias(started("second"))
    assert set(after) - set(before) == {"zoo", "q"}
    words = list(before)[: 5 if "adaptive" in first else None]  # the last cluster grows
    odds = [[found[word] - found["<pad>"] for word in words] for found in (before, after)]
    assert odds[1] == pytest.approx(odds[0], abs=1e-5)
    assert "words: 8 of 10 vectors, head next: 8 of 10 words" in started("second").notes[0]


@pytest.mark.parametrize("first", ["adaptive"], indirect=True)
def test_words_that_come_into_another_cluster_are_new(first: str) -> None:
    """The clusters have 3, 1 and 4 of 8 words, and 4, 2 and 4 of 10 words."""
    fractions = {"tasks.next.head.cutoffs": [0.4, 0.6]}
    mtl.train("first.yaml", fractions, output="runs/parts")
    (note,) = started("second", init="parts", **fractions).notes
    assert note.endswith("head next: 5 of 10 words")


def test_an_output_layer_of_another_kind_is_new_and_told(first: str) -> None:
    other = "full" if first != "full" else "tied"
    changes = {"tasks.next.head.output": other}
    if "adaptive" in first:  # cutoffs have no effect on other outputs
        changes["tasks.next.head.cutoffs"] = [0.1, 0.4]
    assert (
        started("first", **changes)
        .notes[0]
        .endswith("head next: new, as its output layer is another one")
    )


def test_a_task_with_another_name_or_direction_starts_new(first: str) -> None:
    renamed = yaml.safe_load(Path("first.yaml").read_text())
    tasks = renamed["tasks"]
    renamed["tasks"] = {
        "previous": tasks["next"],
        "later": {**tasks["previous"], "head": "previous"},
    }
    renamed["training"]["metric"] = "later.perplexity"
    Path("renamed.yaml").write_text(yaml.safe_dump(renamed, sort_keys=False))
    assert (
        started("renamed")
        .notes[0]
        .endswith("head previous: new, as the run has no task of this name and kind")
    )


def test_it_trains_on_and_a_third_run_knows_the_words_of_both(first: str) -> None:
    mtl.train("second.yaml", {"trunk.init": "runs/first"})
    third = started("first", init="second")
    assert third.targets["next"].labels == mtl.load("runs/second").experiment.targets["next"].labels
    assert {"zoo", "q"} < set(third.targets["next"].labels)
