"""Resuming: a resumed run equals an uninterrupted one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.errors import CheckpointError
from mtl.runs.checkpoint import load_training, save_training
from mtl.training.events import Epoch
from mtl.training.state import restore_training_state, training_state
from mtl.training.trainer import Trainer
from tests.training.runs import epochs_of, steps_of, trainer

TASKS = {"pos": {"use": "c/pos", "patience": 2}, "verb": {"use": "c/verb", "layer": "mix"}}
SETUPS: list[dict[str, Any]] = [
    {},
    {"average": 0.9, "schedule": {"type": "cosine", "warmup": 3}},
    {"optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9}, "schedule": {"type": "plateau"}},
    {"optimizer": {"type": "nadam", "lr": 0.01}, "mixing": {"type": "annealed"}},
    {"fine_tuning": {"lr_ratio": 2.6, "gradual": True}, "average": 0.9, "epochs": 4},
    {"fine_tuning": {"frozen": ["embedding"]}, "schedule": "slanted"},
    {"weighting": "uncertainty"},
    {"weighting": "dwa", "epochs": 4},
    {"weighting": "gradnorm"},
    {"weighting": "pcgrad"},
    {"weighting": "famo"},
    {"weighting": "tchebycheff"},
    {"sharing": {"type": "hierarchical", "successive": 0.1}},
    {"sharing": {"type": "soft", "penalty": "relationship"}},
    {"sharing": {"type": "tensor"}},
]
WILD = {"epochs": 7, "optimizer": {"type": "adam", "lr": 0.5}}
"""Scores go up and down."""


def stopped_and_resumed(
    folder: Path, after: int, setup: dict[str, Any], tasks: dict[str, Any] = TASKS
) -> Trainer:
    """Return a trainer that resumes from the files of another one after some epochs."""
    first = trainer(folder, tasks, **setup)
    for event in first.run():
        if isinstance(event, Epoch) and event.epoch == after - 1:
            break
    save_training(folder, *training_state(first))
    torch.manual_seed(99)
    second = trainer(folder, tasks, **setup)
    restore_training_state(second, *load_training(folder))
    return second


@pytest.mark.sampled(3)
@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    setup: dict[str, Any], tmp_path: Path
) -> None:
    check_resumed(tmp_path, 1, setup)


def check_resumed(
    folder: Path, after: int, setup: dict[str, Any], tasks: dict[str, Any] = TASKS
) -> tuple[Trainer, Trainer]:
    """Return a run and another that was resumed after some epochs, which are equal."""
    whole = trainer(folder, tasks, **setup)
    events = list(whole.run())
    resumed = stopped_and_resumed(folder, after, setup, tasks)
    rest = list(resumed.run())
    expected = [step.losses for step in steps_of(iter(events)) if step.epoch >= after]
    assert [step.losses for step in steps_of(iter(rest))] == expected
    assert epochs_of(iter(rest))[-1].dev.scores() == events[-1].dev.scores()
    state = resumed.model.state_dict()
    assert all(torch.equal(state[name], v) for name, v in whole.model.state_dict().items())
    assert resumed.selection.to_json() == whole.selection.to_json()
    assert resumed.weighting.weights() == whole.weighting.weights()
    return whole, resumed


@pytest.mark.sampled(2)
@pytest.mark.parametrize("after", [1, 3, 4, 6])
def test_a_triggered_average_is_resumed_before_and_after_it_begins(
    after: int, tmp_path: Path
) -> None:
    setup = {**WILD, "average": {"type": "asgd", "trigger": 1}}
    whole, resumed = check_resumed(tmp_path, after, setup)
    assert resumed.average.updates == whole.average.updates > 0
    found = resumed.average.average
    assert all(torch.equal(found[name], v) for name, v in whole.average.average.items())


@pytest.mark.sampled(2)
@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_restarts_are_resumed_before_and_after(after: int, tmp_path: Path) -> None:
    schedule = {"type": "anneal_restart", "warmup": 0, "patience": 1, "restarts": 2}
    whole, resumed = check_resumed(tmp_path, after, {**WILD, "schedule": schedule})
    scores = whole.selection.scores
    restarts = [n for n in range(1, len(scores)) if whole.learning_rate.restarting(scores[:n])]
    assert restarts
    assert all(torch.equal(resumed.best[name], v) for name, v in whole.best.items())


def test_a_restart_after_resuming_takes_the_weighting_back(tmp_path: Path) -> None:
    schedule = {"type": "anneal_restart", "warmup": 0, "patience": 1, "restarts": 2}
    whole, resumed = check_resumed(
        tmp_path, 2, {**WILD, "schedule": schedule, "weighting": "uncertainty"}
    )
    found = resumed.best_weighting
    assert found
    assert all(torch.equal(found[name], v) for name, v in whole.best_weighting.items())


def test_the_average_is_resumed_too(tmp_path: Path) -> None:
    setup = {"average": 0.9}
    whole = trainer(tmp_path, TASKS, **setup)
    list(whole.run())
    resumed = stopped_and_resumed(tmp_path, 2, setup)
    list(resumed.run())
    assert resumed.average.updates == whole.average.updates == 18
    found = resumed.average.average
    assert all(torch.equal(found[name], v) for name, v in whole.average.average.items())


def test_the_rest_of_the_state_is_json(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, epochs=1)
    list(made.run())
    save_training(tmp_path, *training_state(made))
    tensors, rest = load_training(tmp_path)
    assert (rest["epoch"], rest["step"]) == (1, 6)
    assert {name.partition(".")[0] for name in tensors} == {"model", "optimizer", "random"}


def test_the_newest_two_states_are_kept(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, epochs=3)
    for event in made.run():
        if isinstance(event, Epoch):
            save_training(tmp_path, *training_state(made))
    kept = sorted(path.name for path in (tmp_path / "checkpoint").iterdir())
    assert kept == ["epoch-2.safetensors", "epoch-3.safetensors", "previous.json", "state.json"]


def test_the_state_of_another_model_is_refused(tmp_path: Path) -> None:
    save_training(tmp_path, *training_state(trainer(tmp_path, TASKS)))
    other = trainer(tmp_path, {"pos": TASKS["pos"]})
    with pytest.raises(CheckpointError, match="training state does not fit this model"):
        restore_training_state(other, *load_training(tmp_path))


@pytest.mark.sampled(4)
@pytest.mark.parametrize("value", [None, "x", -1, 1.5, 2**63, math.inf, [], {"a": 1}])
@pytest.mark.parametrize("key", ["epoch", "step", "selection", "numbers"])
def test_values_of_another_type_are_refused(key: str, value: Any, tmp_path: Path) -> None:
    tensors, rest = training_state(trainer(tmp_path, {**TASKS}, average=0.9))
    with pytest.raises(CheckpointError, match="training state does not fit this model"):
        restore_training_state(trainer(tmp_path, TASKS, average=0.9), tensors, {**rest, key: value})


@pytest.mark.parametrize("key", ["selection", "numbers"])
def test_an_incomplete_state_is_refused(key: str, tmp_path: Path) -> None:
    tensors, rest = training_state(trainer(tmp_path, TASKS))
    del rest[key]
    with pytest.raises(CheckpointError, match="training state does not fit this model"):
        restore_training_state(trainer(tmp_path, TASKS), tensors, rest)
