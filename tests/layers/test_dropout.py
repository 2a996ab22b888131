from __future__ import annotations

import pytest
import torch

from mtl.layers import VariationalDropout


def test_all_tokens_of_a_sentence_lose_the_same_units() -> None:
    y = VariationalDropout(0.5)(torch.ones(3, 7, 20))
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert not torch.equal(y[0], y[1])


def test_what_is_kept_is_scaled_up() -> None:
    y = VariationalDropout(0.75)(torch.ones(4, 1, 50))
    assert set(y.unique().tolist()) == {0.0, 4.0}


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_the_mean_stays(p: float) -> None:
    y = VariationalDropout(p)(torch.ones(200, 1, 200))
    assert y.mean().item() == pytest.approx(1, abs=0.02)
    assert (y == 0).double().mean().item() == pytest.approx(p, abs=0.02)


def test_evaluation_and_probability_zero_give_the_input_itself() -> None:
    x = torch.randn(2, 3, 4)
    assert VariationalDropout(0.5).eval()(x) is x
    assert VariationalDropout(0.0)(x) is x


def test_gradients_pass_where_units_are_kept() -> None:
    x = torch.ones(2, 3, 8, requires_grad=True)
    y = VariationalDropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_it_prints_its_probability() -> None:
    assert repr(VariationalDropout(0.3)) == "VariationalDropout(p=0.3)"
