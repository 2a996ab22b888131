"""The gradient is that of the geometric mean of the losses."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from mtl.errors import TrainingError
from mtl.weighting import GeometricLoss

WEIGHTS = {"pos": 1.0, "ner": 3.0, "lm": 0.5}


def losses(x: Tensor) -> dict[str, Tensor]:
    """Losses of very different scales."""
    return {"pos": (x[0] - 1) ** 2, "ner": 1e-3 * x.exp().sum(), "lm": 50 * (x**2).sum() + 1}


@pytest.mark.parametrize("tasks", [["pos", "ner", "lm"], ["ner", "lm"], ["lm"]])
def test_gradients_are_those_of_the_formula(tasks: list[str]) -> None:
    x = nn.Parameter(torch.tensor([0.3, -0.7], dtype=torch.double))
    total = sum(WEIGHTS[task] for task in tasks)
    own = {task: loss for task, loss in losses(x).items() if task in tasks}
    mean = math.prod(loss ** (WEIGHTS[task] / total) for task, loss in own.items())
    (expected,) = torch.autograd.grad(mean, x)
    found = GeometricLoss(WEIGHTS).backward(
        {task: loss for task, loss in losses(x).items() if task in tasks}, [x], x.sum()
    )
    torch.testing.assert_close(x.grad, expected + 1)  # the penalty is not weighted
    assert sum(found.losses.values()).item() == pytest.approx(mean.item())
    for task, weight in found.weights.items():
        assert weight == pytest.approx(WEIGHTS[task] / total * (mean / own[task]).item())


def test_scales_of_losses_do_not_matter() -> None:
    gradients = []
    for scale in (1.0, 1000.0):
        x = nn.Parameter(torch.tensor([0.3, -0.7], dtype=torch.double))
        own = losses(x)
        own["pos"] = scale * own["pos"]
        GeometricLoss(dict.fromkeys(own, 1.0)).backward(own, [x])
        gradients.append(x.grad / x.grad.norm())
    torch.testing.assert_close(*gradients)


def test_a_solved_task_gives_finite_gradients() -> None:
    x = nn.Parameter(torch.tensor([1.0, 0.0]))
    GeometricLoss(dict.fromkeys(WEIGHTS, 1.0)).backward(losses(x), [x])
    assert x.grad.isfinite().all()


def test_a_negative_loss_is_refused_with_the_task() -> None:
    with pytest.raises(TrainingError, match=r"'gls': expected .* got -1 for task 'ner'"):
        GeometricLoss(WEIGHTS).backward({"pos": torch.tensor(1.0), "ner": torch.tensor(-1.0)}, [])
