"""The loss of a batch with gold labels and with outputs of teachers."""

from __future__ import annotations

import pytest
import torch

from mtl.data.batch import Batch
from mtl.model import ModelOutput
from mtl.targets.teacher import SoftTargets
from mtl.training.objective import mean_loss

MASK = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 0]]).bool()
GOLD, TAUGHT = torch.tensor([2.0, 0.0, 5.0]), torch.tensor([3.0, 7.0, 0.0])


def batch(level: str) -> Batch:
    """Return a batch whose first sentence has both, the others only one of the two."""
    log_probs = torch.zeros(3, 2) if level == "sentence" else torch.zeros(3, 3, 2)
    log_probs[2] = torch.nan
    if level == "sentence":
        target = torch.tensor([0, -1, 1])
    else:
        target = torch.tensor([[0, 1, -1], [-1, -1, -1], [1, -1, -1]])
    return Batch({}, MASK, {"t": target}, teacher={"t": SoftTargets(log_probs, 1.0)})


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_counts_where_there_are_both(share: float) -> None:
    output = ModelOutput({"t": GOLD}, imitation={"t": TAUGHT})
    total = share * 2 + (1 - share) * 3 + 7 + 5
    found = mean_loss(output, batch("sentence"), "t", share)
    torch.testing.assert_close(found, torch.tensor(total / 3))
    found = mean_loss(output, batch("token"), "t", share)
    torch.testing.assert_close(found, torch.tensor(total / 6))


def test_text_without_labels_has_the_loss_of_the_teacher() -> None:
    unlabelled = Batch({}, MASK, {}, teacher={"t": SoftTargets(torch.zeros(3, 2), 1.0)})
    assert unlabelled.tasks == ["t"]
    found = mean_loss(ModelOutput({}, imitation={"t": TAUGHT}), unlabelled, "t", 0.9)
    torch.testing.assert_close(found, TAUGHT.mean())
