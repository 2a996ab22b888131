"""The losses and parameters that weightings accept outside of the trainer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mtl.weighting import WEIGHTING

TASKS = {"pos": 1.0, "ner": 1.0}
names = pytest.mark.parametrize("name", list(WEIGHTING))


@names
@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ({}, "losses: expected at least one task, got none"),
        ({"mood": torch.ones(())}, "losses: the weighting has no task 'mood'"),
        ({"pos": torch.ones(()), "mood": torch.ones(())}, "losses: the weighting has no task 'm"),
        ({"pos": torch.ones(3)}, r"losses: expected a scalar for task 'pos', got shape \[3\]"),
        ({"ner": torch.ones(()), "pos": torch.ones(3)}, "losses: expected a scalar for task 'pos'"),
    ],
)
def test_losses_are_scalars_of_known_tasks(
    name: str, losses: dict[str, Tensor], message: str
) -> None:
    x = nn.Parameter(torch.ones(()))
    with pytest.raises(ValueError, match=message):
        WEIGHTING.find(name)(TASKS).backward({t: x * loss for t, loss in losses.items()}, [x])


@names
def test_shared_parameters_may_be_an_iterator(name: str) -> None:
    trunk = nn.Linear(3, 2)
    pos, ner = trunk(torch.tensor([1.0, 2.0, 3.0])).sigmoid().unbind()
    WEIGHTING.find(name)(TASKS).backward({"pos": pos, "ner": ner}, trunk.parameters())
    assert trunk.weight.grad.isfinite().all()
