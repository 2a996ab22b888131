"""Numbers per token."""

from __future__ import annotations

import pytest
import torch

from mtl.errors import MtlError
from mtl.heads import SoftmaxTagger
from mtl.metrics import SquaredError
from mtl.targets import BuildContext, TokenNumberTarget


def test_tokens_may_lack_a_number() -> None:
    assert TokenNumberTarget.read(["1.5", "_", "-2e1", "", "nan"], None) == (
        1.5,
        None,
        -20.0,
        None,
        None,
    )


@pytest.mark.parametrize("value", [["x"], ["inf"], [["1"]], "1.5"])
def test_other_values_are_errors(value: object) -> None:
    with pytest.raises(ValueError, match="expected a number"):
        TokenNumberTarget.read(value, None)


def test_mean_and_deviation_are_over_the_tokens_that_have_a_number() -> None:
    target = TokenNumberTarget.build([(1.0, None), (3.0,)], BuildContext())
    assert (target.mean, target.scale) == (2.0, 1.0)
    with pytest.raises(MtlError, match="no token of the training data has a number"):
        TokenNumberTarget.build([(None,)], BuildContext())


def test_equal_numbers_have_the_scale_one() -> None:
    target = TokenNumberTarget.build([(0.1, 0.1, 0.1)], BuildContext())
    assert (target.mean, target.scale) == (0.1, 1.0)


def test_the_loss_is_half_the_squared_error_in_deviations() -> None:
    target = TokenNumberTarget(10.0, 2.0)
    head = SoftmaxTagger(4, target.labelling()).double().eval()
    hidden, mask = torch.randn(2, 3, 4).double(), torch.tensor([[True] * 3, [True, False, False]])
    gold = target.tensor([(12.0, None, 8.0), (10.0,)], 3).double()
    s = head.scores(hidden, mask).squeeze(2)
    expected = torch.stack([(1 - s[0, 0]) ** 2 / 2 + (-1 - s[0, 2]) ** 2 / 2, s[1, 0] ** 2 / 2])
    torch.testing.assert_close(head.loss(hidden, mask, gold), expected)
    torch.testing.assert_close(head.decode(hidden, mask), 10 + 2 * s)


def test_errors_are_over_the_tokens_that_have_a_number() -> None:
    metric = SquaredError()
    metric.update([(1.0, None, 3.0)], [(2.0, 9.0, 3.0)])
    assert metric.compute()["squared_error"] == 0.5
