"""The loss of a batch with gold labels and with outputs of teachers."""

from __future__ import annotations

import pytest
import torch

from mtl.data.batch import Batch
from mtl.model import ModelOutput
from mtl.targets.teacher import SoftTargets
from mtl.training.objective import LossUnit, divisor_of, mean_loss, unit_sum

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


@pytest.mark.parametrize(
    ("unit", "expected"), [("token", 2 + 3 + 0 + 1), ("sentence", 3), ("max_length", 3 * 3)]
)
def test_the_loss_is_a_mean_over_tokens_or_sentences_or_the_longest_of_them(
    unit: LossUnit, expected: int
) -> None:
    """The sums over all batches of a step, by hand; one sentence of the second has no label."""
    one = torch.tensor([[0, 1, -1, -1], [1, -1, 0, 1]])
    two = torch.tensor([[-1, -1], [-1, 1]])
    batches = [Batch({}, target >= -1, {"t": target}) for target in (one, two)]
    divisor = divisor_of(unit_sum(batches, "t", 1.0, unit))
    losses = torch.tensor([2.0, 4.0]), torch.tensor([0.0, 9.0])
    found = sum(
        mean_loss(ModelOutput({"t": own}), batch, "t", 1.0, divisor)
        for own, batch in zip(losses, batches, strict=True)
    )
    torch.testing.assert_close(found, torch.tensor(15 / expected))


@pytest.mark.parametrize("unit", ["sentence", "max_length"])
def test_a_sentence_of_weight_two_counts_twice(unit: LossUnit) -> None:
    target = torch.tensor([[0, 1, 1], [1, -1, -1]])
    weighted = Batch({}, target >= -1, {"t": target}, weights={"t": torch.tensor([2.0, 1.0])})
    copied = torch.cat([target[:1], target])
    losses = torch.tensor([2.0, 4.0])
    found, expected = (
        mean_loss(
            ModelOutput({"t": own}), batch, "t", 1.0, divisor_of(unit_sum([batch], "t", 1.0, unit))
        )
        for own, batch in (
            (losses, weighted),
            (torch.cat([losses[:1], losses]), Batch({}, copied >= -1, {"t": copied})),
        )
    )
    torch.testing.assert_close(found, expected)


def test_padding_does_not_change_the_longest_sentence() -> None:
    target = torch.tensor([[0, 1, -1], [1, -1, -1]])
    padded = torch.cat([target, torch.full((2, 4), -1)], 1)
    totals = [
        unit_sum([Batch({}, t >= -1, {"t": t})], "t", 1.0, "max_length") for t in (target, padded)
    ]
    assert totals[0].factor == totals[1].factor == 2
