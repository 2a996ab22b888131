"""Contracts of all weightings."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from mtl.weighting import WEIGHTING, Weighting
from tests.contracts.variants import Variant, over, variants

OPTIONS: dict[str, list[dict[str, object]]] = {}
TASKS = {"a": 1.0, "b": 2.0, "c": 0.5}
ALL = variants(WEIGHTING, OPTIONS)
weightings = over(ALL)
summing = over([v for v in ALL if v.cls.backward is Weighting.backward])
asked = pytest.mark.parametrize("tasks", [["a"], ["b"], ["c", "a"], ["a", "b", "c"]])


class Shared(nn.Module):
    """Losses of three tasks that pull the same weights to different places."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4).double())
        self.goals = {task: torch.randn(4).double() for task in TASKS}

    def losses(self, tasks: Sequence[str]) -> dict[str, Tensor]:
        return {task: (self.weight - self.goals[task]).pow(2).mean() for task in tasks}

    def gradient(self, task: str) -> Tensor:
        """The gradient of a task's loss, by hand."""
        return (self.weight.detach() - self.goals[task]) / 2


def made(variant: Variant) -> Weighting:
    return variant.make(TASKS).double()


@weightings
@asked
def test_the_weights_of_the_tasks_given_come_back(variant: Variant, tasks: list[str]) -> None:
    model = Shared()
    used = made(variant).backward(model.losses(tasks), [model.weight]).weights
    assert set(used) == set(tasks)
    assert all(weight >= 0 for weight in used.values())


@weightings
@pytest.mark.parametrize("task", TASKS)
def test_a_task_alone_is_followed(variant: Variant, task: str) -> None:
    model = Shared()
    used = made(variant).backward(model.losses([task]), [model.weight]).weights
    torch.testing.assert_close(model.weight.grad, used[task] * model.gradient(task))


@summing
@asked
def test_gradients_are_those_of_the_weighted_sum(variant: Variant, tasks: list[str]) -> None:
    model = Shared()
    used = made(variant).backward(model.losses(tasks), [model.weight]).weights
    expected = sum(used[task] * model.gradient(task) for task in tasks)
    torch.testing.assert_close(model.weight.grad, expected)


@weightings
def test_penalties_are_added_as_they_are(variant: Variant) -> None:
    model, weighting = Shared(), made(variant)
    used = weighting.backward(model.losses(["b"]), [model.weight], model.weight.sum()).weights
    torch.testing.assert_close(model.weight.grad, used["b"] * model.gradient("b") + 1)


@weightings
def test_every_task_has_a_finite_weight_for_the_log(variant: Variant) -> None:
    weights = made(variant).weights()
    assert set(weights) == set(TASKS)
    assert torch.tensor(list(weights.values())).isfinite().all()


@weightings
def test_combined_losses_are_scalars_of_the_tasks_given(variant: Variant) -> None:
    combined = made(variant).combine(Shared().losses(["c", "a"]))
    assert set(combined) == {"a", "c"}
    assert all(loss.ndim == 0 and loss.isfinite() for loss in combined.values())


@weightings
def test_names_are_as_many_as_what_was_learnt_has_entries(variant: Variant) -> None:
    weighting = made(variant)
    learnt = weighting.learnt()
    assert all(values.ndim <= 2 for values in learnt.values())
    for name, axes in weighting.axes().items():
        assert tuple(map(len, axes)) == tuple(learnt[name].shape)
