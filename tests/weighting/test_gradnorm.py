"""Weights move until each task pulls as hard at what is shared as its loss is slow to fall."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from mtl.errors import TrainingError
from mtl.weighting import GradNorm

SCALES = {"pos": 1.0, "ner": 0.1, "lm": 5.0}
"""The norm of each task's gradient."""
EVEN = dict.fromkeys(SCALES, 1.0)


class Slopes:
    """Losses that are linear in the shared weights, so that gradients stay as they are.

    Nothing moves these weights, so that the losses are what a test says.
    """

    def __init__(self) -> None:
        self.weight = nn.Parameter(torch.zeros(4, 3))
        self.bias = nn.Parameter(torch.zeros(7))
        ways = torch.randn(3, 19)
        self.ways = dict(zip(SCALES, ways / ways.norm(dim=1, keepdim=True), strict=True))

    def losses(self, tasks: Sequence[str], values: dict[str, float] = EVEN) -> dict[str, Tensor]:
        shared = torch.cat([self.weight.flatten(), self.bias])
        return {task: values[task] + SCALES[task] * (self.ways[task] @ shared) for task in tasks}

    def balance(self, weighting: GradNorm, steps: Sequence[Sequence[str]]) -> dict[str, float]:
        """Run steps with such tasks and return w_t · ‖∇L_t‖, what is to be balanced."""
        for tasks in steps:
            weighting.backward(self.losses(tasks), [self.weight, self.bias])
        return {task: weight * SCALES[task] for task, weight in weighting.weights().items()}


def test_gradients_of_all_tasks_become_alike() -> None:
    weighting = GradNorm(EVEN, lr=0.01)
    norms = Slopes().balance(weighting, [list(SCALES)] * 800)
    assert list(norms.values()) == pytest.approx([norms["pos"]] * 3, rel=0.05)
    # w_t ∝ 1 / scale_t, and their sum is 3
    assert weighting.weights()["ner"] == pytest.approx(3 * 10 / (1 + 10 + 0.2), rel=0.05)


def test_weights_add_up_to_the_number_of_tasks_at_every_step() -> None:
    weighting, slopes = GradNorm(EVEN), Slopes()
    for _ in range(20):
        slopes.balance(weighting, [list(SCALES)])
        assert sum(weighting.weights().values()) == pytest.approx(3, rel=1e-5)


def test_steps_of_single_tasks_reach_the_same_balance() -> None:
    norms = Slopes().balance(GradNorm(EVEN, lr=0.01), [["pos"], ["ner"], ["lm"]] * 270)
    assert list(norms.values()) == pytest.approx([norms["pos"]] * 3, rel=0.05)


def test_weights_are_unchanged_until_all_tasks_occurred() -> None:
    weighting, slopes = GradNorm(EVEN), Slopes()
    slopes.balance(weighting, [["pos"], ["lm"], ["pos", "lm"]])
    assert weighting.weights() == EVEN
    slopes.balance(weighting, [["ner"]])
    assert weighting.weights() != EVEN
    assert weighting.learnt()["weights"].tolist() == pytest.approx([*weighting.weights().values()])


def test_one_step_goes_down_the_slope_of_the_papers_sum() -> None:
    weighting, slopes = GradNorm(EVEN, alpha=0.5, lr=0.1), Slopes()
    slopes.balance(weighting, [list(SCALES)])
    w = torch.ones(3, dtype=torch.double, requires_grad=True)
    norms = w.log().exp() * torch.tensor([*SCALES.values()]).double()
    mean = norms.mean().detach()
    (norms - mean).abs().sum().backward()  # r_t = 1 at the first step
    moved = torch.exp(-0.1 * w.grad / mean)  # at w = 1 the slopes by w and by log w are one
    expected = 3 * moved / moved.sum()
    assert list(weighting.weights().values()) == pytest.approx(expected.tolist(), rel=1e-5)


@pytest.mark.parametrize(
    "alpha", [1.5, *(pytest.param(alpha, marks=pytest.mark.slow) for alpha in (0.0, 0.5, 1.0))]
)
def test_tasks_whose_loss_is_slow_to_fall_get_more(alpha: float) -> None:
    weighting, slopes = GradNorm(EVEN, alpha=alpha, lr=0.005), Slopes()
    slopes.balance(weighting, [list(SCALES)])
    values = {"pos": 0.5, "ner": 0.9, "lm": 0.1}  # by the first losses, 1
    for _ in range(1500):
        weighting.backward(slopes.losses(list(SCALES), values), [slopes.weight, slopes.bias])
    norms = {task: weight * SCALES[task] for task, weight in weighting.weights().items()}
    assert norms["ner"] / norms["pos"] == pytest.approx((0.9 / 0.5) ** alpha, rel=0.05)
    assert norms["ner"] / norms["lm"] == pytest.approx((0.9 / 0.1) ** alpha, rel=0.05)


def test_weights_of_the_run_file_multiply_what_was_balanced() -> None:
    plain = Slopes().balance(GradNorm(EVEN), [list(SCALES)] * 5)
    torch.manual_seed(1)
    given = Slopes().balance(GradNorm({**EVEN, "lm": 0.0, "pos": 2.0}), [list(SCALES)] * 5)
    assert given == pytest.approx({**plain, "lm": 0.0, "pos": 2 * plain["pos"]})


def test_the_step_at_hand_has_the_weights_from_before_it() -> None:
    weighting, slopes = GradNorm(EVEN), Slopes()
    used = weighting.backward(slopes.losses(["pos", "lm", "ner"]), [slopes.weight, slopes.bias])
    assert used.weights == EVEN
    expected = sum(SCALES[task] * slopes.ways[task] for task in SCALES)
    torch.testing.assert_close(slopes.weight.grad.flatten(), expected[:12])


def test_while_nothing_shared_trains_the_weights_stay() -> None:
    weighting, slopes = GradNorm(EVEN), Slopes()
    weighting.backward(slopes.losses(["pos", "lm", "ner"]), [])
    assert weighting.weights() == EVEN


def test_a_negative_loss_is_refused_with_the_task() -> None:
    slopes = Slopes()
    with pytest.raises(TrainingError, match=r"'gradnorm': expected .* got -2 for task 'ner'"):
        GradNorm(EVEN).backward(slopes.losses(["ner"], {"ner": -2.0}), [slopes.weight])


@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e15])
def test_the_scale_of_all_gradients_changes_nothing(scale: float) -> None:
    plain, slopes = GradNorm(EVEN), Slopes()
    slopes.balance(plain, [list(SCALES)] * 3)
    scaled = GradNorm(EVEN)
    for _ in range(3):
        losses = slopes.losses(list(SCALES))
        small = {task: 1 + scale * (loss - 1) for task, loss in losses.items()}
        scaled.backward(small, [slopes.weight, slopes.bias])
    assert scaled.weights() == pytest.approx(plain.weights(), rel=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 20.0, 1e6, 1e38])
@pytest.mark.parametrize("loss", [0.0, 1e-38, 1e38])
def test_no_exponent_and_no_loss_gives_weights_that_are_not_finite(
    alpha: float, loss: float
) -> None:
    weighting, slopes = GradNorm(EVEN, alpha=alpha), Slopes()
    slopes.balance(weighting, [list(SCALES)])
    values = {"pos": loss, "ner": 0.5, "lm": 1.0}
    for _ in range(3):
        weighting.backward(slopes.losses(list(SCALES), values), [slopes.weight, slopes.bias])
    assert sum(weighting.weights().values()) == pytest.approx(3, rel=1e-4)
