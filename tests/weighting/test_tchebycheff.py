"""The gradient is that of the smooth maximum of the losses, relative to their first values."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from mtl.errors import TrainingError
from mtl.weighting import Tchebycheff

WEIGHTS = {"pos": 1.0, "ner": 3.0, "lm": 0.5}


def losses(x: Tensor, tasks: list[str]) -> dict[str, Tensor]:
    """Losses of very different scales."""
    own = {"pos": (x[0] - 1) ** 2, "ner": 1e-3 * x.exp().sum(), "lm": 50 * (x**2).sum() + 1}
    return {task: own[task] for task in tasks}


@pytest.mark.parametrize("tasks", [["pos", "ner", "lm"], ["lm", "ner"], ["lm"]])
@pytest.mark.parametrize("smoothness", [0.05, 1.0])
def test_gradients_are_those_of_the_formula(tasks: list[str], smoothness: float) -> None:
    weighting = Tchebycheff(WEIGHTS, smoothness=smoothness).double()
    first = losses(torch.tensor([0.5, 0.1], dtype=torch.double), list(WEIGHTS))
    weighting.combine(first)
    x = nn.Parameter(torch.tensor([0.3, -0.7], dtype=torch.double))
    terms = [
        math.e ** (WEIGHTS[task] * loss / first[task] / smoothness)
        for task, loss in losses(x, tasks).items()
    ]
    (expected,) = torch.autograd.grad(len(tasks) * smoothness * sum(terms).log(), x)
    found = weighting.backward(losses(x, tasks), [x], x.sum())
    torch.testing.assert_close(x.grad, expected + 1)  # the penalty is not weighted
    assert weighting.weights() | found.weights == weighting.weights()


def test_first_losses_count_by_task_and_are_kept_in_the_state() -> None:
    weighting = Tchebycheff(WEIGHTS)
    for step in ({"pos": 2.0}, {"pos": 1.0, "ner": 8.0}, {"pos": 9.0, "ner": 9.0, "lm": 0.5}):
        weighting.combine({task: torch.tensor(loss) for task, loss in step.items()})
    assert weighting.first.tolist() == [2.0, 8.0, 0.5]
    again = Tchebycheff(WEIGHTS)
    again.load_state_dict(weighting.state_dict())
    step = {"pos": torch.tensor(1.0), "lm": torch.tensor(0.4)}
    assert again.combine(step) == weighting.combine(step)


def test_a_small_smoothness_follows_the_worst_task() -> None:
    weighting = Tchebycheff({"a": 1.0, "b": 1.0}, smoothness=0.001)
    weighting.combine({"a": torch.tensor(1.0), "b": torch.tensor(4.0)})
    weighting.combine({"a": torch.tensor(0.6), "b": torch.tensor(2.0)})  # 0.6 and 0.5 of the first
    assert weighting.weights() == pytest.approx({"a": 2.0, "b": 0.0})


def test_a_preference_makes_a_task_the_worst() -> None:
    weighting = Tchebycheff({"a": 1.0, "b": 3.0}, smoothness=0.001)
    weighting.combine({"a": torch.tensor(1.0), "b": torch.tensor(4.0)})
    weighting.combine({"a": torch.tensor(0.6), "b": torch.tensor(2.0)})
    assert weighting.weights() == pytest.approx({"a": 0.0, "b": 2 * 3 / 4})


def test_scales_of_losses_do_not_matter() -> None:
    found = []
    for scale in (1.0, 1000.0):
        weighting = Tchebycheff({"a": 1.0, "b": 1.0})
        for a, b in ((1.0, 3.0), (0.7, 2.9)):
            weighting.combine({"a": torch.tensor(scale * a), "b": torch.tensor(b)})
        found.append((scale * weighting.weights()["a"], weighting.weights()["b"]))
    assert found[0] == pytest.approx(found[1])


def test_a_task_that_is_solved_at_once_has_a_finite_weight() -> None:
    x = nn.Parameter(torch.tensor([1.0, 0.0]))
    Tchebycheff(WEIGHTS).backward(losses(x, list(WEIGHTS)), [x])
    assert x.grad.isfinite().all()


def test_a_negative_loss_is_refused_with_the_task() -> None:
    with pytest.raises(TrainingError, match=r"'tchebycheff': expected .* got -1 for task 'ner'"):
        Tchebycheff(WEIGHTS).combine({"pos": torch.tensor(1.0), "ner": torch.tensor(-1.0)})
