"""Residual and highway connections between layers."""

from __future__ import annotations

import torch

from mtl.layers import Highway, Residual


def test_a_residual_link_adds() -> None:
    x, y = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    assert torch.equal(Residual()(x, y), x + y)


def test_a_highway_lets_most_of_its_input_pass_at_first() -> None:
    highway, x = Highway(4), torch.zeros(1, 1, 4)
    share = 1 / (1 + torch.e)  # the gates of zeros: their bias, -1
    torch.testing.assert_close(highway(x, torch.ones(1, 1, 4)), torch.full((1, 1, 4), share))


def test_an_open_gate_gives_the_output_and_a_closed_one_the_input() -> None:
    highway, x, y = Highway(4), torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    for bias, expected in ((50.0, y), (-50.0, x)):
        torch.nn.init.constant_(highway.gates[0].bias, bias)
        torch.testing.assert_close(highway(x, y), expected)


def test_gates_of_a_group_see_that_group_alone() -> None:
    highway, x, y = Highway(6, groups=2), torch.randn(1, 1, 6), torch.randn(1, 1, 6)
    other = x.clone()
    other[..., 0] += 1
    changed = (highway(x, y) != highway(other, y)).flatten().tolist()
    assert changed == [True] * 3 + [False] * 3
