"""Resuming within an epoch: a resumed run equals an uninterrupted one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.runs.checkpoint import load_training, save_training
from mtl.training.events import Epoch, Step
from mtl.training.state import restore_training_state, training_state
from mtl.training.trainer import Trainer
from tests.training.runs import corpus, trainer
from tests.training.texts import NEXT, text_corpus

TAGS = {"pos": {"use": "c/pos", "patience": 1}, "verb": {"use": "c/verb"}}
TEXT = {"next": {**NEXT, "batch": {"streams": 2, "bptt": 12, "growing_bptt": 1.5}}}
DROPPING = {"type": "lstm", "hidden_size": 8, "dropout": 0.2, "weight_drop": 0.2}
QUICK: list[dict[str, Any]] = [
    {"tasks": TAGS, "average": 0.9, "epochs": 2},
    {"tasks": {**TEXT, "pos": TAGS["pos"]}, "trunk": DROPPING, "mixing": "uniform", "epochs": 2},
]
MORE: list[dict[str, Any]] = [
    {"tasks": TAGS, "sharing": {"type": "hierarchical", "successive": 0.1}},
    {"tasks": TAGS, "sharing": {"type": "soft", "penalty": "relationship"}},
    {"tasks": TAGS, "sharing": "sluice"},
    {"tasks": TAGS, "sharing": "tensor", "accumulate": 2},
    {"tasks": TAGS, "weighting": "uncertainty"},
    {"tasks": TAGS, "weighting": "dwa", "epochs": 4},
    {"tasks": TAGS, "weighting": "gradnorm", "schedule": {"type": "cosine", "warmup": 3}},
    {"tasks": TAGS, "weighting": "pcgrad", "average": {"type": "asgd", "trigger": 1}},
    {"tasks": TAGS, "optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9}},
    {"tasks": TAGS, "fine_tuning": {"lr_ratio": 2.6, "gradual": True}},
    {"tasks": TAGS, "mixing": "progress", "epochs": 4},
    {"tasks": TEXT, "trunk": {**DROPPING, "type": "qrnn"}, "average": 0.9},
]


def made(folder: Path, setup: dict[str, Any]) -> Trainer:
    corpora = {"c": corpus(folder, "c", 22), "t": text_corpus(folder, "t", 60)}
    used = {task["use"].partition("/")[0] for task in setup["tasks"].values()}
    return trainer(folder, corpora={name: corpora[name] for name in used}, **setup)


def told(event: Step | Epoch) -> tuple[Any, ...]:
    """Return the values of an event that do not depend on the clock."""
    if isinstance(event, Step):
        return event.epoch, event.step, event.losses, event.lr, event.penalties, event.grad_norm
    dev = event.dev.scores() if event.dev else None
    return event.epoch, event.step, event.losses, dev, event.improved, event.stopped


def check(folder: Path, setup: dict[str, Any], share: float) -> None:
    """Check a run that stops and resumes after a share of its steps, here in one process."""
    whole = made(folder, setup)
    expected = [*whole.run()]
    after = int(share * sum(isinstance(event, Step) for event in expected))
    first = made(folder, setup)
    events: list[Step | Epoch] = []
    for event in first.run():
        events.append(event)
        if first.step == after:
            break
    save_training(folder, *training_state(first))
    torch.manual_seed(99)
    second = made(folder, setup)
    restore_training_state(second, *load_training(folder))
    assert (second.place, second.sums.losses()) == (first.place, first.sums.losses())
    events += second.run()
    assert [told(event) for event in events] == [told(event) for event in expected]
    state = second.model.state_dict()
    assert all(torch.equal(state[name], v) for name, v in whole.model.state_dict().items())
    assert second.watch.first == whole.watch.first


@pytest.mark.parametrize("setup", QUICK, ids=str)
def test_a_run_resumed_within_its_second_epoch_ends_alike(
    setup: dict[str, Any], tmp_path: Path
) -> None:
    check(tmp_path, {**setup, "metric": "pos.accuracy"}, 0.7)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("setup", MORE, ids=str)
def test_runs_resumed_at_other_places_end_alike(
    setup: dict[str, Any], share: float, tmp_path: Path
) -> None:
    check(tmp_path, setup, share)


def test_each_place_has_its_own_file_of_tensors(tmp_path: Path) -> None:
    made_here = made(tmp_path, QUICK[0])
    for _ in zip(range(4), made_here.run(), strict=False):
        save_training(tmp_path, *training_state(made_here))
    kept = sorted(path.name for path in (tmp_path / "checkpoint").glob("*.safetensors"))
    assert kept == ["epoch-0-3.safetensors", "epoch-0-4.safetensors"]
    state = json.loads((tmp_path / "checkpoint/state.json").read_text())
    assert (state["epoch"], state["place"], state["step"]) == (0, 4, 4)


def test_a_checkpoint_of_an_earlier_version_resumes(tmp_path: Path) -> None:
    first = made(tmp_path, QUICK[0])
    next(event for event in first.run() if isinstance(event, Epoch))
    tensors, values = training_state(first)
    for new in ("place", "sums", "watch"):
        del values[new]
    second = made(tmp_path, QUICK[0])
    restore_training_state(second, tensors, values)
    assert (second.epoch, second.place) == (1, 0)
