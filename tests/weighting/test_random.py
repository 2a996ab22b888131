"""Random weights are equal on average, and the same in all parts of a step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mtl.weighting import RandomWeights

TASKS = {"pos": 1.0, "ner": 1.0, "lm": 0.5}


def steps(weighting: RandomWeights, count: int) -> torch.Tensor:
    """The weights of so many steps, `[count, K]`."""
    rows = []
    for _ in range(count):
        x = nn.Parameter(torch.ones(()))
        found = weighting.backward({task: x.clone() for task in TASKS}, [])
        assert x.grad.item() == pytest.approx(sum(found.weights.values()))
        rows.append([found.weights[task] for task in TASKS])
    return torch.tensor(rows, dtype=torch.double)


def test_weights_are_a_softmax_of_normal_numbers() -> None:
    torch.manual_seed(1)
    found = steps(RandomWeights(TASKS), 4000) / torch.tensor([1.0, 1.0, 0.5])
    assert found.sum(1).numpy() == pytest.approx(3.0, rel=1e-6)
    # Differences of logarithms of a softmax are differences of the normal numbers.
    differences = (found[:, 0] / found[:, 1]).log()
    assert abs(differences.mean()) < 0.1
    assert differences.var().item() == pytest.approx(2.0, rel=0.15)


def test_parts_of_a_step_have_the_same_weights() -> None:
    x = nn.Parameter(torch.ones(()))
    weighting = RandomWeights(TASKS)
    own = weighting.weights()
    for _ in range(2):
        weighting.add({"pos": 0.5 * x, "lm": 0.5 * x}, [])
    found = weighting.finish({"pos": torch.ones(()), "lm": torch.ones(())}, [])
    assert found.weights == {"pos": own["pos"], "lm": own["lm"]}
    assert x.grad.item() == pytest.approx(own["pos"] + own["lm"])
    assert weighting.weights() != own


def test_a_resumed_run_has_the_weights_of_the_run() -> None:
    first = RandomWeights(TASKS)
    steps(first, 3)
    second = RandomWeights(TASKS)
    second.load_state_dict(first.state_dict())
    assert torch.equal(steps(first, 3), steps(second, 3))
