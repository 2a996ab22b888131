"""Each loss is divided by a variance that is learned, at a price of log σ."""

from __future__ import annotations

import math

import pytest
import torch

from mtl.errors import TrainingError
from mtl.weighting import ImpartialLoss, Uncertainty


def settled(weighting: Uncertainty, losses: dict[str, float], steps: int = 600) -> dict[str, float]:
    """The variances after so many steps on losses that stay as they are."""
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        weighting.backward({task: torch.tensor(loss) for task, loss in losses.items()}, [])
        optimizer.step()
    return {task: math.exp(s.item()) for task, s in weighting.log_variances().items()}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("weight", [1.0, 0.1])
def test_the_best_variance_of_a_constant_loss_is_twice_the_loss(weight: float) -> None:
    # d/ds (L e^(−s) + s/2) = 1/2 − L e^(−s) = 0 where e^s = 2L, whatever the whole is multiplied by
    variances = settled(Uncertainty({"pos": weight, "lm": weight}), {"pos": 0.05, "lm": 6.0})
    assert variances == pytest.approx({"pos": 0.1, "lm": 12.0}, rel=1e-3)


def test_a_weighted_loss_is_that_of_the_paper() -> None:
    weighting = Uncertainty({"pos": 3.0}, initial=math.log(4.0))
    combined = weighting.combine({"pos": torch.tensor(0.7)})["pos"]
    assert combined.item() == pytest.approx(3.0 * (0.7 / 2.0**2 + math.log(2.0)))
    assert weighting.weights() == pytest.approx({"pos": 3.0 / 4})
    assert weighting.learnt()["variances"].tolist() == pytest.approx([4.0])


def test_the_scale_of_an_impartial_loss_becomes_the_loss() -> None:
    # d/ds (L e^(−s) + s) = 1 − L e^(−s) = 0 where e^s = L
    scales = settled(ImpartialLoss({"pos": 1.0, "lm": 0.3}), {"pos": 0.05, "lm": 6.0})
    assert scales == pytest.approx({"pos": 0.05, "lm": 6.0}, rel=1e-3)


def test_an_impartial_loss_is_that_of_the_paper() -> None:
    weighting = ImpartialLoss({"pos": 3.0}, initial=math.log(4.0))
    combined = weighting.combine({"pos": torch.tensor(0.7)})["pos"]
    assert combined.item() == pytest.approx(3.0 * (0.7 / 4.0 + math.log(4.0)))
    assert weighting.learnt()["scales"].tolist() == pytest.approx([4.0])
    with pytest.raises(TrainingError, match=r"'imtl': expected .* task 'pos'"):
        weighting.combine({"pos": torch.tensor(-0.1)})


def test_at_the_start_it_is_static() -> None:
    weighting = Uncertainty({"pos": 1.0, "ner": 0.5})
    combined = weighting.combine({"pos": torch.tensor(2.0), "ner": torch.tensor(3.0)})
    assert {task: loss.item() for task, loss in combined.items()} == {"pos": 2.0, "ner": 1.5}


def test_a_total_below_zero_is_legal_and_said() -> None:
    weighting = Uncertainty({"pos": 1.0}, initial=-3.0)
    assert weighting.combine({"pos": torch.tensor(0.01)})["pos"] < 0
    assert "may be negative" in weighting.note


def test_gradients_are_those_of_finite_differences() -> None:
    weighting = Uncertainty({"pos": 0.5, "ner": 2.0}, initial=0.3).double()

    def total(pos: torch.Tensor, ner: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return sum(weighting.combine({"pos": pos, "ner": ner}).values())

    losses = [torch.tensor(x, dtype=torch.double, requires_grad=True) for x in (0.4, 1.5)]
    assert torch.autograd.gradcheck(total, (*losses, *weighting.free))


def test_a_task_that_is_absent_is_neither_penalised_nor_moved() -> None:
    weighting = Uncertainty({"pos": 1.0, "ner": 1.0}, initial=1.0)
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.1)
    for tasks in (["pos", "ner"], ["pos"], ["pos"]):
        before = weighting.weights()
        optimizer.zero_grad(set_to_none=True)
        assert set(weighting.combine({task: torch.tensor(1.0) for task in tasks})) == set(tasks)
        weighting.backward({task: torch.tensor(1.0) for task in tasks}, [])
        optimizer.step()
        moved = {task for task, weight in weighting.weights().items() if weight != before[task]}
        assert moved == set(tasks)


@pytest.mark.parametrize("loss", [0.0, 1e6])
def test_variances_stay_within_the_bound(loss: float) -> None:
    weighting = Uncertainty({"pos": 1.0}, bound=2.0)
    (variance,) = settled(weighting, {"pos": loss}).values()
    assert abs(math.log(variance)) == pytest.approx(2.0, rel=0.05)
    assert abs(math.log(variance)) <= 2.0


def test_from_near_the_bound_it_still_learns() -> None:
    weighting = Uncertainty({"pos": 1.0}, initial=4.5, bound=5.0)
    assert settled(weighting, {"pos": 0.5}) == pytest.approx({"pos": 1.0}, rel=1e-3)


def test_a_start_outside_the_bound_is_refused() -> None:
    with pytest.raises(ValueError, match=r"initial: expected less than the bound \(5\), got -5"):
        Uncertainty({"pos": 1.0}, initial=-5.0)


def test_a_negative_loss_is_refused_with_the_task() -> None:
    with pytest.raises(TrainingError, match=r"'uncertainty': expected .* got -0.25 for task 'ner'"):
        Uncertainty({"pos": 1.0, "ner": 1.0}).combine({"ner": torch.tensor(-0.25)})
