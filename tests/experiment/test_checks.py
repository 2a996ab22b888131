"""Settings that do not fit together are errors before training, with their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtl.errors import ConfigError
from mtl.experiment import load_config, make_trainer, prepare
from tests.training.runs import corpus, prepared

NER, POS = {"use": "c/ner"}, {"use": "c/pos"}
TASKS = {
    "a name that torch has taken": ({"type": POS}, "tasks.type: torch reserves the name 'type'"),
    "a head of no spans shared by spans": (
        {"pos": POS, "ner": {**NER, "head": "pos"}},
        "tasks.ner.head: the labels of 'ner' are spans, the labels of 'pos' are not",
    ),
    "a learning rate for the head of another": (
        {"ner": NER, "again": {**NER, "head": "ner", "lr": 0.1}},
        "tasks.again.lr: the head belongs to 'ner'; set the lr there",
    ),
    "nothing to choose the best epoch by": (
        {"verb": {"use": "c/verb", "head": {"type": "domain"}}},
        "training.metric: only adversarial tasks have a dev split",
    ),
    "options that the part refuses": (
        {"verb": {"use": "c/verb", "head": {"type": "cnn", "widths": []}}},
        "head 'cnn': widths: expected at least one",
    ),
}


@pytest.mark.parametrize(("tasks", "message"), TASKS.values(), ids=TASKS)
def test_tasks_that_do_not_fit_together(
    tasks: dict[str, dict[str, Any]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        prepared(tmp_path, tasks)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "training",
    [
        {"schedule": {"type": "plateau"}},
        {"schedule": "anneal_restart"},
        {"average": {"type": "asgd"}},
    ],
    ids=str,
)
def test_what_follows_the_scores_needs_a_dev_split(
    training: dict[str, Any], tmp_path: Path
) -> None:
    made = corpus(tmp_path, "c", 8)
    del made["files"]["dev"]
    with pytest.raises(ConfigError, match=r"training.\w+: '\w+' follows the scores on a dev split"):
        prepared(tmp_path, {"pos": POS}, {"c": made}, **training)


ALONE = {"pos": {"use": "c/pos"}, "verb": {"use": "d/verb"}}
"""Two tasks of two corpora."""


@pytest.mark.parametrize("weighting", ["dwa", "gradnorm", "pcgrad"])
def test_one_task_is_nothing_to_balance(weighting: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"weighting: '{weighting}' cannot balance a single task"):
        prepared(tmp_path, {"pos": POS}, weighting=weighting)


def test_tasks_that_never_meet_in_a_step_cannot_be_compared(tmp_path: Path) -> None:
    corpora = {name: corpus(tmp_path, name, 8) for name in "cd"}
    with pytest.raises(ConfigError, match="weighting: 'pcgrad' compares the tasks of a step, but"):
        prepared(tmp_path, ALONE, corpora, weighting="pcgrad")
    prepared(tmp_path, ALONE, corpora, weighting="pcgrad", mixing="joint")
    prepared(tmp_path, ALONE, corpora, weighting="gradnorm")


@pytest.mark.parametrize("weighting", ["gradnorm", "pcgrad"])
def test_gradients_of_frozen_parameters_cannot_be_compared(weighting: str, tmp_path: Path) -> None:
    tuning = {"fine_tuning": {"frozen": ["trunk", "embedding"]}}
    made = prepared(tmp_path, {"pos": POS, "ner": NER}, weighting=weighting, **tuning)
    with pytest.raises(ConfigError, match=f"weighting: '{weighting}' needs shared trainable"):
        make_trainer(*made)


def test_options_of_an_embedding_that_do_not_go_together(tmp_path: Path) -> None:
    _, corpora = prepared(tmp_path, {"ner": NER})
    both = {"embedding.words.frozen": True, "embedding.words.multichannel": True}
    with pytest.raises(ConfigError, match="embedding 'words': frozen: expected false with"):
        prepare(load_config(tmp_path / "run.yaml", both), corpora)
