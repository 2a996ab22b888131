"""The static weighting."""

from __future__ import annotations

import pytest
import torch

from mtl.weighting import WEIGHTING, Static


def test_losses_are_multiplied_by_the_weights_of_the_run_file() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    weighting = Static({"pos": 1.0, "ner": 0.25, "chunk": 9.0})
    used = weighting.backward({"pos": 2 * x, "ner": 4 * x}, [])
    assert used.weights == {"pos": 1.0, "ner": 0.25}
    assert x.grad.item() == pytest.approx(1.0 * 2 + 0.25 * 4)


def test_a_task_of_weight_zero_trains_nothing() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    Static({"pos": 0.0}).backward({"pos": 2 * x}, [])
    assert x.grad.item() == 0


def test_papers_call_it_fixed() -> None:
    assert WEIGHTING.find("fixed") is WEIGHTING.find("static") is Static


def test_it_learns_nothing_itself() -> None:
    assert not list(Static({"pos": 1.0}).parameters())
