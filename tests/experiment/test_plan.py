"""The plan of a run, compared with counts by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtl.experiment import load_config, load_corpora, make_trainer, prepare
from mtl.experiment.distillation.teaching import Teaching
from mtl.experiment.plan import Plan, describe, make_plan
from tests.training.runs import prepared

RUN = """\
embedding: {words: {dim: 5}}
trunk: {type: lstm, num_layers: 2, hidden_size: 3, bidirectional: true}
tasks:
  pos: {use: own/pos, layer: 1, head: {dropout: 0}}
  ner: {use: own/ner}
corpora:
  own:
    reader: {type: conll, columns: [tokens, pos, ner]}
    files: {train: train.txt}
    splits: {test: 1}
    tasks:
      pos: {labels: pos, head: softmax, metric: accuracy}
      ner: {labels: ner, scheme: bio, head: softmax, metric: span_f1}
training: {batch: {sentences: 2}, max_length: 4, overlap: 1}
"""
SENTENCES = ["a N O\nb V I-X\n", "a N B-X\n", "c V O\n" * 7, "d N O\n", "e N O\n"]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return planned(tmp_path)


def planned(tmp_path: Path, weighting: str = "static") -> Plan:
    (tmp_path / "run.yaml").write_text(RUN)
    (tmp_path / "train.txt").write_text("\n".join(SENTENCES))
    run = load_config(
        tmp_path / "run.yaml",
        {"corpora.own.splits": {}, "corpora.own.splits.test": None, "weighting": weighting},
    )
    corpora = load_corpora(run)
    experiment = prepare(run, corpora)
    return make_plan(experiment, corpora, make_trainer(experiment, corpora))


def test_parameters_are_counted_by_part(plan: Plan) -> None:
    words = (5 + 2) * 5  # five words, padding and the unknown one
    first = 2 * (4 * 3 * (5 + 3) + 2 * 4 * 3)  # both directions; torch keeps two biases
    second = 2 * (4 * 3 * (3 + 3) + 2 * 4 * 3)  # each direction reads its own first layer
    heads = {"head pos": 6 * 2 + 2, "head ner": 6 * 3 + 3}
    assert plan.parameters == {"embedding": words, "trunk": first + second, **heads}


def test_batches_count_every_window(plan: Plan) -> None:
    assert plan.sentences == {"own": {"train": 5}}
    assert plan.batches == {"own": 3}  # four short sentences and two windows, two at a time
    assert plan.draws == plan.batches
    assert plan.steps == 3


def test_shapes_follow_the_layers(plan: Plan) -> None:
    assert plan.shapes == {
        "embedding": "[B, T, 5]", "layer 1": "[B, T, 6]", "layer 2": "[B, T, 6]"
    }  # fmt: skip


def test_notes_say_what_is_unusual(plan: Plan) -> None:
    assert plan.notes == [
        "ner: tags that break the scheme, read by the rules of conlleval: 1",
        "own: additional windows, for sentences of more than 4 tokens: 1",
        "no task has a dev score: the last epoch is saved",
        "the whole run has 60 steps, too few to learn much; more epochs or smaller batches give "
        "more",
    ]


def test_a_total_that_may_be_negative_is_explained(tmp_path: Path) -> None:
    notes = planned(tmp_path, "uncertainty").notes
    assert len([note for note in notes if "the total may be negative" in note]) == 1


def test_the_description_is_a_line_a_fact(plan: Plan) -> None:
    lines = list(describe(plan))
    assert lines[0] == "corpus own: train 5 sentences"
    assert lines[1] == "task pos: own/pos, head softmax, layer 1, 2 labels"
    assert lines[-1] == f"note: {plan.notes[-1]}"
    assert not any("\n" in line for line in lines)


def test_teachers_do_not_change_the_estimate_of_the_memory(tmp_path: Path) -> None:
    experiment, corpora = prepared(tmp_path, {"pos": {"use": "c/pos"}}, batch={"sentences": 16})
    alone = make_plan(experiment, corpora, make_trainer(experiment, corpora))
    taught = make_trainer(experiment, corpora, Teaching(lessons={"c": {}}))
    assert make_plan(experiment, corpora, taught).memory == alone.memory
