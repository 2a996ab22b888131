"""Restarts from the best weights, and the learning-rate factor of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.data.batch import Batch
from mtl.data.encoding import Batcher
from mtl.text.example import Example
from mtl.training.events import Epoch
from mtl.training.trainer import Trainer
from tests.training.runs import epochs_of, steps_of, trainer

POS = {"pos": {"use": "c/pos"}}
STILL = {"type": "sgd", "lr": 1e-30}
"""An optimiser that changes nothing, so that scores never rise."""
WILD = {"type": "adam", "lr": 0.5}
"""One after whose steps scores go up and down."""


def restarting(folder: Path, tasks: Any = POS, **training: Any) -> Trainer:
    schedule = {"type": "anneal_restart", "warmup": 0, "patience": 1, "restarts": 2}
    return trainer(folder, tasks, schedule=schedule, **training)


def weights(made: Trainer) -> dict[str, Tensor]:
    with made.averaged():
        return {name: value.clone() for name, value in made.model.state_dict().items()}


def after_epochs(made: Trainer) -> Iterator[tuple[Epoch, bool]]:
    """Yield the epochs, and whether the run has gone back to its best weights after each."""
    for event in made.run():
        if isinstance(event, Epoch):
            yield event, made.learning_rate.restarting(made.selection.scores)


def test_the_run_ends_when_patience_is_out_after_the_last_restart(tmp_path: Path) -> None:
    epochs = epochs_of(restarting(tmp_path, optimizer=STILL, epochs=9).run())
    assert [epoch.improved for epoch in epochs] == [True] * 4  # equal scores


def test_the_learning_rate_is_halved_at_each_restart(tmp_path: Path) -> None:
    steps = steps_of(restarting(tmp_path, optimizer=STILL, epochs=9).run())
    rates = {step.epoch: step.lr for step in steps}
    assert rates == pytest.approx({0: 1e-30, 1: 1e-30, 2: 5e-31, 3: 2.5e-31})


@pytest.mark.parametrize("average", [None, 0.9])
def test_a_restart_takes_the_weights_that_scored_best(tmp_path: Path, average: Any) -> None:
    made, best, restarts = restarting(tmp_path, optimizer=WILD, epochs=9, average=average), {}, 0
    for event, restarted in after_epochs(made):
        if event.improved:
            best = weights(made)
        if restarted:
            restarts += 1
            assert all(torch.equal(best[n], v) for n, v in made.model.state_dict().items())
            assert all(torch.equal(best[n], v) for n, v in weights(made).items())
    assert restarts


@pytest.mark.sampled(3)
@pytest.mark.parametrize("weighting", ["uncertainty", "dwa", "gradnorm"])
def test_a_restart_takes_the_weighting_after_the_best_epoch(weighting: str, tmp_path: Path) -> None:
    tasks = {**POS, "verb": {"use": "c/verb"}}
    made = restarting(tmp_path, tasks, optimizer=WILD, epochs=9, weighting=weighting)
    best, restarts = {}, 0
    for event, restarted in after_epochs(made):
        now = {name: value.clone() for name, value in made.weighting.state_dict().items()}
        if event.improved:
            best = now
        if restarted:
            restarts += 1
            assert all(torch.equal(best[name], value) for name, value in now.items())
    assert restarts


def test_moments_are_fresh_after_a_restart_and_kept_otherwise(tmp_path: Path) -> None:
    made = restarting(tmp_path, optimizer=WILD, epochs=9)
    found = [(bool(made.optimizer.state), restarted) for _, restarted in after_epochs(made)]
    assert all(kept != restarted for kept, restarted in found)


class Lengths(Batcher):
    """An batcher of batches that say by what the learning rate of their step is multiplied."""

    def __init__(self, batcher: Batcher, factors: Sequence[float]) -> None:
        super().__init__(batcher.vocabularies, batcher.targets)
        self.factors = iter(factors)

    def batch(self, examples: Sequence[Example], tasks: Sequence[str] = ()) -> Batch:
        return replace(super().batch(examples, tasks), lr_factor=next(self.factors, 1.0))


def test_the_learning_rate_of_a_batch_holds_for_its_step_alone(tmp_path: Path) -> None:
    made = trainer(tmp_path, POS, schedule={"type": "linear", "warmup": 0}, epochs=1)
    plain = [step.lr for step in steps_of(made.run())]
    factors = [1.0, 0.5, 1.3, 1.0, 0.1, 1.0]
    again = trainer(tmp_path, POS, schedule={"type": "linear", "warmup": 0}, epochs=1)
    again.batcher = Lengths(again.batcher, factors)
    scaled = [step.lr for step in steps_of(again.run())]
    assert scaled == pytest.approx([lr * f for lr, f in zip(plain, factors, strict=True)])


def test_a_step_is_as_long_as_its_batch_says(tmp_path: Path) -> None:
    made = trainer(tmp_path, POS, optimizer={"type": "sgd", "lr": 0.3}, clip_norm=None)
    made.batcher = Lengths(made.batcher, [0.5])
    before = [p.detach().clone() for p in made.model.parameters()]
    first = next(made.run())
    moved = [(p - old).norm() for p, old in zip(made.model.parameters(), before, strict=True)]
    assert torch.stack(moved).norm().item() == pytest.approx(0.05 * first.grad_norm, rel=1e-4)
