"""A task gives up that part of its gradient which stands against another task's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mtl.weighting import PCGrad, Static


class Pulls:
    """Losses whose gradients by two shared parameters, 3 and 2 numbers, are given."""

    def __init__(self, gradients: list[list[float]]) -> None:
        self.gradients = torch.tensor(gradients, dtype=torch.float)
        self.shared = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(1, 2))]
        self.own = nn.Parameter(torch.ones(5))

    def losses(self) -> dict[str, Tensor]:
        flat = torch.cat([parameter.flatten() for parameter in self.shared])
        return {f"task{i}": row @ (flat * self.own) for i, row in enumerate(self.gradients)}

    def weighting(self, **weights: float) -> PCGrad:
        return PCGrad({f"task{i}": 1.0 for i in range(len(self.gradients))} | weights)

    def found(self) -> NDArray[np.float32]:
        """The gradient of the shared parameters."""
        return torch.cat([p.grad.flatten() for p in self.shared]).numpy()


def projected(gradients: NDArray[np.float64], orders: list[list[int]]) -> NDArray[np.float64]:
    """The sum of the projected gradients, each against the others in an order of its own."""
    total = np.zeros(gradients.shape[1])
    for i, order in enumerate(orders):
        own = gradients[i].copy()
        for other in (gradients[j] for j in order if j != i):
            if own @ other < 0:
                own -= own @ other / (other @ other) * other
        total += own
    return total


def test_two_tasks_in_conflict_by_hand() -> None:
    pulls = Pulls([[1, 0, 0, 0, 0], [-1, 1, 0, 0, 0]])
    pulls.weighting().backward(pulls.losses(), pulls.shared)
    # (1, 0) loses its part along (−1, 1) and is (1/2, 1/2); (−1, 1) loses its part along (1, 0)
    assert pulls.found() == pytest.approx([0.5, 1.5, 0, 0, 0])


def test_three_tasks_are_projected_in_one_of_all_orders() -> None:
    gradients = torch.randn(3, 5)
    gradients[2] = -gradients[0] - gradients[1] + 0.3 * gradients[2]
    orders = itertools.product(itertools.permutations(range(3)), repeat=3)
    possible = np.stack([projected(gradients.double().numpy(), order) for order in orders])
    seen = set()
    for _ in range(40):
        pulls = Pulls(gradients.tolist())
        pulls.weighting().backward(pulls.losses(), pulls.shared)
        distances = np.abs(possible - pulls.found()).max(axis=1)
        assert distances.min() < 1e-5
        seen.add(int(distances.argmin()))
    assert len(seen) > 1


@given(
    st.lists(st.lists(st.integers(-9, 9), min_size=5, max_size=5), min_size=2, max_size=2),
    st.lists(st.integers(-30, 30), min_size=2, max_size=2),
)
def test_gradients_of_any_scale_are_projected(
    directions: list[list[int]], exponents: list[int]
) -> None:
    rows = np.array(directions) * 10.0 ** np.array(exponents)[:, None]
    gradients = rows.astype(np.float32)
    pulls = Pulls(gradients.tolist())
    pulls.weighting().backward(pulls.losses(), pulls.shared)
    expected = projected(gradients.astype(np.float64), [[1], [0]])
    # The gradients are added in float32, so the error is relative to the largest of them.
    assert np.abs(pulls.found() - expected).max() <= 1e-6 * np.abs(gradients).max()


@pytest.mark.parametrize("margin", [0.5, 40, 55, 60, 80, 100])
def test_a_solved_task_still_has_its_part_removed(margin: float) -> None:
    """Two classifiers of one vector; the second one is sure of its label, by `margin` nats."""
    hidden = nn.Parameter(torch.ones(1, 4))
    first = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0]])
    second = torch.tensor([[0, margin / 2, margin, 0], [margin / 2, 0, 0, 0]])

    def losses(x: Tensor) -> list[Tensor]:
        label = torch.tensor([0])
        return [functional.cross_entropy(x @ w.T.to(x), label) for w in (first, second)]

    exact = hidden.detach().double().requires_grad_()
    gradients = [torch.autograd.grad(loss, exact)[0].flatten() for loss in losses(exact)]
    expected = projected(torch.stack(gradients).numpy(), [[1], [0]])
    named = dict(zip("ab", losses(hidden), strict=True))
    PCGrad({"a": 1.0, "b": 1.0}).backward(named, [hidden])
    assert hidden.grad.flatten().numpy() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_the_same_seed_gives_the_same_orders() -> None:
    pulls = Pulls(torch.randn(4, 5).tolist())
    found = []
    for seed in (3, 3):
        torch.manual_seed(seed)
        pulls.shared = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(1, 2))]
        pulls.weighting().backward(pulls.losses(), pulls.shared)
        found.append(pulls.found())
    assert np.array_equal(*found)


def test_without_conflict_gradients_equal_those_of_the_sum() -> None:
    pulls = Pulls(torch.rand(3, 5).tolist())
    pulls.weighting().backward(pulls.losses(), pulls.shared)
    ours = pulls.found()
    pulls.shared = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(1, 2))]
    Static(pulls.weighting().tasks).backward(pulls.losses(), pulls.shared)
    assert np.array_equal(ours, pulls.found())


def test_what_is_not_shared_has_the_gradient_of_the_sum() -> None:
    pulls = Pulls([[1, 0, 0, 0, 0], [-1, 1, 0, 0, 0]])
    pulls.weighting().backward(pulls.losses(), pulls.shared)
    assert pulls.own.grad.tolist() == [0, 1, 0, 0, 0]


def test_penalties_are_not_projected() -> None:
    pulls = Pulls([[1, 0, 0, 0, 0], [-1, 1, 0, 0, 0]])
    penalty = 10 * pulls.shared[0][2] - 7 * pulls.shared[0][0]
    pulls.weighting().backward(pulls.losses(), pulls.shared, penalty)
    assert pulls.found() == pytest.approx([0.5 - 7, 1.5, 10, 0, 0])


def test_losses_have_the_weights_of_the_run_file_before() -> None:
    pulls = Pulls([[1, 0, 0, 0, 0], [-1, 1, 0, 0, 0]])
    used = pulls.weighting(task1=4.0).backward(pulls.losses(), pulls.shared)
    assert used.weights == {"task0": 1.0, "task1": 4.0}
    expected = projected(np.array([[1.0, 0, 0, 0, 0], [-4, 4, 0, 0, 0]]), [[1], [0]])
    assert pulls.found() == pytest.approx(expected)


def test_a_task_of_weight_zero_stands_against_none() -> None:
    pulls = Pulls([[1, 0, 0, 0, 0], [-1, 1, 0, 0, 0]])
    pulls.weighting(task1=0.0).backward(pulls.losses(), pulls.shared)
    assert pulls.found().tolist() == [1, 0, 0, 0, 0]


def test_a_parameter_that_no_task_of_the_step_reads_is_left_alone() -> None:
    pulls = Pulls([[1, 0, 0, 0, 0], [-1, 1, 0, 0, 0]])
    idle = nn.Parameter(torch.ones(2))
    pulls.weighting().backward(pulls.losses(), [idle, *pulls.shared])
    assert idle.grad is None
    assert pulls.found() == pytest.approx([0.5, 1.5, 0, 0, 0])
