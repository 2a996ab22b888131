"""Contracts of all optimisers."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from mtl.training.optimizers import OPTIMIZERS
from tests.contracts.variants import Variant, over, variants

OPTIONS = {
    "sgd": [{}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}],
    "adam": [{}, {"amsgrad": True, "weight_decay": 0.01}],
    "rmsprop": [{}, {"momentum": 0.5}],
}
optimizers = over(variants(OPTIMIZERS, OPTIONS))
GOAL = torch.tensor([1.0, -2.0, 3.0])


def start() -> nn.Parameter:
    return nn.Parameter(torch.tensor([5.0, 5.0, 5.0]))


def loss(x: Tensor) -> Tensor:
    return (x - GOAL).pow(2).sum()


def walk(optimizer: torch.optim.Optimizer, x: nn.Parameter, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        loss(x).backward()
        optimizer.step()


@optimizers
def test_each_step_goes_downhill(variant: Variant) -> None:
    x = start()
    optimizer = variant.make([x])
    before = loss(x).item()
    walk(optimizer, x, 1)
    after = loss(x).item()
    walk(optimizer, x, 1)
    assert loss(x).item() < after < before


@optimizers
def test_groups_may_have_learning_rates_of_their_own(variant: Variant) -> None:
    slow, fast = start(), start()
    groups = [{"params": [slow]}, {"params": [fast], "lr": 2e-2}]
    optimizer = variant.make(groups, lr=1e-3)
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3, 2e-2]
    (loss(slow) + loss(fast)).backward()
    optimizer.step()
    assert loss(fast) < loss(slow) < loss(start())


@optimizers
def test_a_parameter_without_gradient_stays(variant: Variant) -> None:
    x, idle = start(), start()
    optimizer = variant.make([x, idle])
    walk(optimizer, x, 3)
    assert torch.equal(idle, start())


@optimizers
def test_the_state_is_tensors_and_numbers(variant: Variant) -> None:
    x = start()
    optimizer = variant.make([x])
    walk(optimizer, x, 2)
    values = [v for state in optimizer.state_dict()["state"].values() for v in state.values()]
    assert all(isinstance(value, Tensor | int | float | None) for value in values)


@optimizers
def test_it_goes_on_from_its_state_as_if_never_stopped(variant: Variant) -> None:
    x, other = start(), start()
    optimizer, fresh = variant.make([x]), variant.make([other])
    walk(optimizer, x, 3)
    fresh.load_state_dict(deepcopy(optimizer.state_dict()))
    other.data.copy_(x.data)
    walk(optimizer, x, 2)
    walk(fresh, other, 2)
    assert torch.equal(x, other)
