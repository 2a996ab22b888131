"""The gradient of each task alone, by all that the tasks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtl.weighting import task_gradients

A = nn.Parameter(torch.tensor([0.3, -0.7], dtype=torch.double))
B = nn.Parameter(torch.tensor([[1.1], [0.2]], dtype=torch.double))


def losses() -> dict[str, Tensor]:
    """Two losses; the second one does not depend on A."""
    return {"pos": (A.tanh() @ B).square().sum(), "ner": B.exp().sum()}


def test_rows_are_the_gradients_by_finite_differences() -> None:
    rows = []
    for task in losses():
        slopes = []
        for parameter in (A, B):
            for number in parameter.data.view(-1):
                ends = []
                for step in (1e-6, -2e-6):
                    number += step
                    ends.append(losses()[task].item())
                number += 1e-6
                slopes.append((ends[0] - ends[1]) / 2e-6)
        rows.append(slopes)
    torch.testing.assert_close(task_gradients(losses(), [A, B]), torch.tensor(rows).double())


def test_a_parameter_that_a_task_does_not_read_has_gradient_zero() -> None:
    assert task_gradients(losses(), [A, B])[1, :2].tolist() == [0, 0]


def test_gradients_of_the_step_are_left_for_its_own_backward_pass() -> None:
    found = losses()
    task_gradients(found, [A, B])
    assert (A.grad, B.grad) == (None, None)
    again = torch.autograd.grad(found["pos"], A)
    torch.testing.assert_close(again, torch.autograd.grad(losses()["pos"], A))
