"""Logged losses and gradients of tasks, and the effect of weightings."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mtl.sharing import Hard, TrunkOutput
from mtl.training.gradients import read_gradients
from mtl.weighting import WEIGHTING, task_gradients
from tests.training.runs import corpus, epochs_of, steps_of, trainer

TASKS = {"pos": {"use": "c/pos"}, "ner": {"use": "c/ner"}, "verb": {"use": "c/verb", "weight": 0.5}}
ONE = torch.tensor(1.0)
QRNN = {"type": "qrnn", "hidden_size": 8, "num_layers": 2}


@pytest.mark.parametrize("scale", [1e-35, 1e-23, 1.0, 1e20, 1e35])
def test_norms_and_cosines_are_those_of_numpy(scale: float) -> None:
    shared = [nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(1))]
    rows = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    rows *= np.array([[scale], [1], [1]], dtype=np.float32)
    flat = torch.cat([parameter.flatten() for parameter in shared])
    losses = {task: torch.from_numpy(row) @ flat for task, row in zip("abc", rows, strict=True)}
    found = read_gradients(losses, task_gradients(losses, shared))
    norms = np.linalg.norm(rows.astype(float), axis=1)
    assert list(found.norms.values()) == pytest.approx(norms, rel=1e-5)
    units = rows / norms[:, None]
    expected = units @ units.T
    assert found.cosines["a"] == pytest.approx({"b": expected[0, 1], "c": expected[0, 2]}, abs=1e-6)
    assert found.cosines["b"] == pytest.approx({"c": expected[1, 2]}, abs=1e-6)


def test_a_task_that_pulls_at_nothing_has_cosine_zero() -> None:
    shared = [nn.Parameter(torch.ones(2))]
    losses = {"a": shared[0].sum(), "b": 0 * shared[0].sum()}
    found = read_gradients(losses, task_gradients(losses, shared))
    assert (found.norms["b"], found.cosines) == (0, {"a": {"b": 0}})


def test_gradients_are_told_at_every_nth_step(tmp_path: Path) -> None:
    steps = steps_of(trainer(tmp_path, TASKS, epochs=4, log_gradients=9).run())
    assert [step.step for step in steps if step.gradients] == [0, 9, 18]
    assert len(steps) == 24
    gradients = steps[0].gradients
    assert all(norm > 0 for norm in gradients.norms.values())
    pairs = [{task, other} for task, others in gradients.cosines.items() for other in others]
    assert sorted(map(sorted, pairs)) == [["ner", "pos"], ["ner", "verb"], ["pos", "verb"]]


def test_a_step_of_one_task_has_nothing_to_compare(tmp_path: Path) -> None:
    steps = steps_of(trainer(tmp_path, {"pos": TASKS["pos"]}, epochs=1).run())
    assert steps[0].gradients is None


def test_joint_mixing_compares_tasks_of_several_corpora(tmp_path: Path) -> None:
    corpora = {name: corpus(tmp_path, name, 8) for name in "cd"}
    tasks = {"pos": TASKS["pos"], "verb": {"use": "d/verb"}}
    apart = trainer(tmp_path, tasks, corpora)
    assert next(apart.run()).gradients is None
    together = trainer(tmp_path, tasks, corpora, mixing="joint")
    assert set(next(together.run()).gradients.cosines["pos"]) == {"verb"}


def test_frozen_parameters_are_not_compared(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, fine_tuning={"frozen": ["trunk", "embedding"]})
    assert next(made.run()).gradients is None


def test_tasks_without_a_common_trunk_share_the_embedding(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, sharing="none")
    first = next(made.run())
    assert set(first.gradients.norms) == set(TASKS)
    assert {*made.model.shared_parameters()} == {*made.model.embedding.parameters()}


def test_a_head_of_two_tasks_is_shared_with_its_embedding_and_trunk(tmp_path: Path) -> None:
    tasks = {"pos": TASKS["pos"], "again": {"use": "c/pos", "head": "pos"}}
    made = trainer(tmp_path, tasks)
    assert {*made.model.shared_parameters()} == {*made.model.parameters()}


@pytest.mark.parametrize("trunk", [QRNN, {**QRNN, "type": "lstm"}], ids=["qrnn", "lstm"])
def test_looking_at_gradients_leaves_them_as_they_are(
    trunk: dict[str, Any], tmp_path: Path
) -> None:
    made = trainer(tmp_path, TASKS, trunk=trunk)
    batch = made.loaders["c"].batch(made.batcher, 0, 0, list(TASKS))
    shared = made.model.shared_parameters()
    losses = {task: own.sum() for task, own in made.model(batch).losses.items()}
    rows, random = task_gradients(losses, shared), torch.get_rng_state()
    torch.testing.assert_close(task_gradients(losses, shared), rows, rtol=0, atol=0)
    sum(losses.values()).backward()
    total = torch.cat([parameter.grad.flatten() for parameter in shared])
    torch.testing.assert_close(rows.sum(0), total)
    assert torch.equal(torch.get_rng_state(), random)


class Charged(Hard):
    """A sharing with two further terms of the loss."""

    def forward(self, *given: Any) -> dict[str, TrunkOutput]:
        penalties = {"size": self.trunk.layers[0].ahead.rnn.bias_hh_l0.square().sum(), "fee": ONE}
        encoded = super().forward(*given)
        return {task: replace(own, penalties=penalties) for task, own in encoded.items()}


def test_the_total_is_the_weighted_losses_and_the_penalties(tmp_path: Path) -> None:
    charged = f"{__name__}:Charged"
    for step in steps_of(trainer(tmp_path, TASKS, sharing=charged, epochs=1).run()):
        assert step.weighted == pytest.approx({t: step.weights[t] * step.losses[t] for t in TASKS})
        assert (set(step.penalties), step.penalties["fee"]) == ({"size", "fee"}, 1)
        parts = [*step.weighted.values(), *step.penalties.values()]
        assert step.total == pytest.approx(sum(parts))


def test_every_batch_of_a_step_pays_its_penalties(tmp_path: Path) -> None:
    corpora = {name: corpus(tmp_path, name, 8) for name in "cd"}
    tasks = {"pos": TASKS["pos"], "verb": {"use": "d/verb"}}
    charged = {"sharing": f"{__name__}:Charged", "mixing": "joint"}
    step = next(trainer(tmp_path, tasks, corpora, **charged).run())
    assert step.penalties["fee"] == 2


def test_under_uncertainty_log_sigma_is_in_the_weighted_losses(tmp_path: Path) -> None:
    step = steps_of(trainer(tmp_path, TASKS, weighting="uncertainty", epochs=1).run())[-1]
    for task, given in (("pos", 1.0), ("verb", 0.5)):
        log_variance = -math.log(step.weights[task] / given)
        expected = given * (step.losses[task] * math.exp(-log_variance) + log_variance / 2)
        assert step.weighted[task] == pytest.approx(expected, rel=1e-5)


def test_the_weighting_hears_of_the_mean_losses_of_each_epoch(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, weighting="dwa", epochs=2)
    epochs = epochs_of(made.run())
    losses = [list(epoch.losses.values()) for epoch in epochs]
    kept = [made.weighting.before.tolist(), made.weighting.last.tolist()]
    assert kept == [pytest.approx(own) for own in losses]
    trained_with = epochs[1].learnt["weighting.weights"]
    given = {task: own.get("weight", 1.0) for task, own in TASKS.items()}
    (tasks,) = trained_with.axes
    assert dict(zip(tasks, trained_with.values.tolist(), strict=True)) == pytest.approx(given)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("weighting", list(WEIGHTING))
def test_losses_fall_under_every_weighting(weighting: str, tmp_path: Path) -> None:
    first, *_, last = epochs_of(trainer(tmp_path, TASKS, weighting=weighting, epochs=6).run())
    assert all(last.losses[task] < 0.9 * first.losses[task] for task in ("pos", "ner"))
