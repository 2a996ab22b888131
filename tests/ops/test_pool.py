"""The pooling operators against the formulas of the paper, one step and one sentence at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.ops import f_pool, fo_pool, ifo_pool
from tests.ops.formula import by_formula

POOLS = {"f": (f_pool, 2), "fo": (fo_pool, 3), "ifo": (ifo_pool, 4)}
pools = pytest.mark.parametrize("kind", POOLS)


@pools
@given(seed=st.integers(0, 999), steps=st.integers(1, 6), reverse=st.booleans())
def test_pools_are_their_formula(kind: str, seed: int, steps: int, reverse: bool) -> None:
    pool, count = POOLS[kind]
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, steps + 1, (3,), generator=random)
    gates = torch.randn(3, steps, count * 5, generator=random, dtype=torch.float64)
    c0 = torch.randn(3, 5, generator=random, dtype=torch.float64)
    keep = torch.rand(3, steps, 5, generator=random) < 0.3
    found = pool(gates, c0, lengths, reverse=reverse, zoneout_mask=keep)
    expected = by_formula(kind, gates, c0, lengths.tolist(), reverse, keep)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pools
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_are_those_of_finite_differences(kind: str, reverse: bool) -> None:
    pool, count = POOLS[kind]
    gates = torch.randn(2, 4, count * 3, dtype=torch.float64, requires_grad=True)
    c0 = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([4, 2])
    assert torch.autograd.gradcheck(lambda g, c: pool(g, c, lengths, reverse=reverse), (gates, c0))


@pools
def test_strided_gates_give_the_same(kind: str) -> None:
    pool, count = POOLS[kind]
    gates = torch.randn(6, 3, count * 4).transpose(0, 1)
    torch.testing.assert_close(pool(gates), pool(gates.contiguous()))


@pools
def test_no_steps_leave_the_state(kind: str) -> None:
    pool, count = POOLS[kind]
    c0 = torch.randn(2, 4)
    h, c = pool(torch.zeros(2, 0, count * 4), c0)
    assert h.shape == (2, 0, 4)
    assert torch.equal(c, c0)


@pools
def test_an_empty_batch_is_handled(kind: str) -> None:
    pool, count = POOLS[kind]
    h, c = pool(torch.zeros(0, 3, count * 4))
    assert h.shape == (0, 3, 4)
    assert c.shape == (0, 4)


def test_a_wide_open_gate_keeps_the_past_and_not_the_present() -> None:
    # The trap: the code released with the paper has the gate the other way round.
    gates = torch.tensor([[[5.0, 30.0, 30.0]]])
    h, _ = fo_pool(gates, torch.tensor([[0.25]]))
    torch.testing.assert_close(h, torch.tensor([[[0.25]]]))


def test_a_width_that_does_not_fit_is_told() -> None:
    with pytest.raises(ValueError, match=r"expected \[B, T, 3·H\], got \[1, 2, 4\]"):
        fo_pool(torch.zeros(1, 2, 4))


def test_second_derivatives_are_refused() -> None:
    gates = torch.randn(1, 2, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(fo_pool(gates)[0].sum(), gates, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        gradient.sum().backward()
