"""Runs with a curriculum or with balanced classes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mtl.errors import ConfigError
from mtl.experiment import make_trainer
from mtl.experiment.plan import describe, make_plan
from mtl.training.trainer import Trainer
from tests.training.runs import corpus, epochs_of, prepared, trainer
from tests.training.test_processes import compared
from tests.training.test_resume_within import check
from tests.training.texts import NEXT, text_corpus

POS = {"pos": {"use": "c/pos"}}
VERB = {"verb": {"use": "c/verb", "class_balance": 1.0}}
LENGTH = {"difficulty": "length", "passes": 2, "start": 0.4, "mixed": 0.1}


def read(made: Trainer, epoch: int) -> list[Any]:
    """Return the sentences of a pass."""
    loader = made.loaders["c"]
    return [e for index in range(loader.size) for e in loader.examples(epoch, index)]


def numbered(folder: Path) -> dict[str, Any]:
    """Return a corpus with a number per sentence: the number of its line, from 22 down."""
    data = corpus(folder, "c", 22)
    path = folder / data["files"]["train"]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [json.dumps({**row, "hard": 22 - i}) for i, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")
    labels = {"column": "hard", "form": "number"}
    own = {"labels": labels, "head": {"type": "pool"}, "metric": "squared_error"}
    del data["files"]["dev"]
    return {**data, "tasks": {**data["tasks"], "hard": own}}


def test_a_run_reads_short_sentences_first_and_all_in_the_end(tmp_path: Path) -> None:
    made = trainer(tmp_path, POS, curriculum={**LENGTH, "mixed": 0.0}, epochs=3)
    lengths = [[len(e.tokens) for e in read(made, epoch)] for epoch in range(3)]
    assert [len(own) for own in lengths] == [22] * 3
    everything = sorted(lengths[2])
    assert max(lengths[0]) <= everything[round(0.4 * 22) - 1]
    assert max(lengths[1]) <= everything[round(0.7 * 22) - 1]
    assert len({id(e) for e in read(made, 2)}) == 22
    assert len(epochs_of(made.run())) == 3


def test_a_task_with_numbers_orders_the_sentences(tmp_path: Path) -> None:
    tasks = {**POS, "hard": {"use": "c/hard", "weight": 0.0}}
    curriculum = {**LENGTH, "difficulty": "hard", "mixed": 0.0}
    made = trainer(tmp_path, tasks, {"c": numbered(tmp_path)}, curriculum=curriculum)
    assert {e.labels["hard"] for e in read(made, 0)} == {float(n) for n in range(1, 10)}


def test_labels_are_balanced_in_each_pass(tmp_path: Path) -> None:
    plain = Counter(
        e.labels["verb"] for e in read(trainer(tmp_path, {"verb": {"use": "c/verb"}}), 0)
    )
    assert plain["no"] != 11
    made = trainer(tmp_path, VERB)
    for epoch in range(3):
        assert Counter(e.labels["verb"] for e in read(made, epoch)) == {"yes": 11, "no": 11}
    half = trainer(tmp_path, {"verb": {"use": "c/verb", "class_balance": 0.5}})
    rare = min(plain, key=plain.__getitem__)
    found = Counter(e.labels["verb"] for e in read(half, 0))[rare]
    shares = {label: n**0.5 for label, n in plain.items()}
    assert abs(found - 22 * shares[rare] / sum(shares.values())) < 1


@pytest.mark.parametrize("setup", [{"tasks": POS, "curriculum": LENGTH}, {"tasks": VERB}], ids=str)
def test_a_run_resumes_bit_for_bit(setup: dict[str, Any], tmp_path: Path) -> None:
    check(tmp_path, setup, 0.6)


@pytest.mark.parametrize("run", [{"curriculum": LENGTH}, {"tasks": {**POS, **VERB}}], ids=str)
def test_two_processes_equal_one(run: dict[str, Any], tmp_path: Path) -> None:
    assert compared(tmp_path, {**run, "accumulate": 2, "double": True}, 4) < 1e-9


@pytest.mark.parametrize(
    ("tasks", "training", "message"),
    [
        (POS, {"curriculum": {"difficulty": "lenght"}}, "got 'lenght'; did you mean 'length'"),
        (
            POS,
            {"curriculum": {"difficulty": "pos"}},
            "expected a task with a number per sentence, got la",
        ),
        (
            POS,
            {"curriculum": {}, "batch": {"max_tokens": 90}},
            "the batches of 'c' have max_tokens",
        ),
        (VERB, {"batch": {"max_tokens": 90}}, "the batches of 'c' have max_tokens"),
        (VERB, {"curriculum": {}}, "the curriculum draws these sentences already"),
        ({"pos": {"use": "c/pos", "class_balance": 0.5}}, {}, "expects one label per sentence"),
        ({**VERB, "verb2": VERB["verb"]}, {}, "drawn by the labels of 'verb' already"),
    ],
    ids=str,
)
def test_mistakes_are_named(
    tasks: Any, training: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        prepared(tmp_path, tasks, **training)


def test_running_text_keeps_its_order(tmp_path: Path) -> None:
    tasks = {"next": {**NEXT, "batch": {"streams": 2, "bptt": 6}}}
    with pytest.raises(ConfigError, match=r"training.curriculum: has no effect: running text"):
        prepared(tmp_path, tasks, {"t": text_corpus(tmp_path, "t", 40)}, curriculum={})


def test_the_plan_notes_a_short_run_and_says_that_passes_repeat(tmp_path: Path) -> None:
    start = "training.curriculum: the run reads c 2 times, and draws from all its sentences after 2"
    for epochs, noted in ((2, 1), (3, 0)):
        experiment, corpora = prepared(tmp_path, POS, curriculum=LENGTH, epochs=epochs)
        plan = make_plan(experiment, corpora, make_trainer(experiment, corpora))
        assert len([note for note in plan.notes if note.startswith(start)]) == noted
        assert "a pass repeats some sentences and leaves out others" in "\n".join(describe(plan))
