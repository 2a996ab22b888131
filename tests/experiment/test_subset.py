"""Runs of some tasks of a run: options without effect on them are left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtl.experiment.config import check_run
from mtl.experiment.subset import restricted_to
from tests.training.runs import corpus, prepared
from tests.training.texts import NEXT, text_corpus

SENTENCES = {"pos": {"use": "c/pos"}, "verb": {"use": "d/verb"}}
STREAMS = {"batch": {"streams": 2, "bptt": 6}}


@pytest.mark.parametrize(
    ("tasks", "options"),
    [
        (["verb"], {"loss_unit": "sentence"}),
        (["pos"], {"trunk": {"type": "lstm", "hidden_size": 8, "corpus_dim": 2}}),
        (["pos"], {"mixing": {"type": "joint", "one_batch": True}}),
        (["pos", "verb"], {"weighting": "pcgrad"}),
    ],
    ids=str,
)
def test_options_that_need_further_tasks(
    tasks: list[str], options: dict[str, Any], tmp_path: Path
) -> None:
    corpora = {"c": corpus(tmp_path, "c", 22), "d": corpus(tmp_path, "d", 22)}
    further = {"ner": {"use": "c/ner"}} if "weighting" in options else {}
    experiment, _ = prepared(tmp_path, {**SENTENCES, **further}, corpora, **options)
    run = restricted_to(experiment.run, tasks).run
    assert list(run.tasks) == tasks
    check_run(run)
    check_run(restricted_to(experiment.run, list(experiment.run.tasks)).run)


def test_professor_forcing_without_a_next_word(tmp_path: Path) -> None:
    corpora = {"t": text_corpus(tmp_path, "t")}
    both = {"next": NEXT, "previous": {"use": "t/previous"}}
    experiment, _ = prepared(tmp_path, both, corpora, professor_forcing={}, **STREAMS)
    for task, kept in {"next": True, "previous": False}.items():
        run = restricted_to(experiment.run, [task]).run
        assert (run.training.professor_forcing is not None) == kept
        check_run(run)


def test_professor_forcing_without_streams(tmp_path: Path) -> None:
    corpora = {name: text_corpus(tmp_path, name) for name in "tu"}
    tasks = {"next": {**NEXT, **STREAMS}, "other": {"use": "u/next"}}
    experiment, _ = prepared(tmp_path, tasks, corpora, professor_forcing={})
    check_run(restricted_to(experiment.run, ["other"]).run)


def test_random_biases_of_a_language_model_alone(tmp_path: Path) -> None:
    tasks = {"next": {**NEXT, **STREAMS}, "pos": {"use": "c/pos"}}
    corpora = {"t": text_corpus(tmp_path, "t"), "c": corpus(tmp_path, "c", 8)}
    experiment, _ = prepared(tmp_path, tasks, corpora, label_prior=False, metric="pos.accuracy")
    for name, prior in {"next": True, "pos": False}.items():
        assert restricted_to(experiment.run, [name]).run.training.label_prior is prior
