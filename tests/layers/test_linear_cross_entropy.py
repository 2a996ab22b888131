"""torch's own cross entropy of the whole matrix is the oracle."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from mtl.layers import linear_cross_entropy

WORDS = 11


def problem(tokens: int = 6, width: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states, weight, targets, bias."""
    shapes = [(tokens, width), (WORDS, width), (WORDS,)]
    hidden, weight, bias = (torch.randn(shape).double().requires_grad_() for shape in shapes)
    return hidden, weight, torch.randint(WORDS, (tokens,)), bias


def plain(hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None = None) -> Tensor:
    scores = functional.linear(hidden, weight, bias)
    return functional.cross_entropy(scores, targets, reduction="none")


@given(st.integers(1, 5), st.integers(1, WORDS + 2))
def test_the_loss_is_the_same_in_chunks_of_any_size(tokens: int, chunk: int) -> None:
    given = problem(tokens)
    torch.testing.assert_close(linear_cross_entropy(*given, chunk=chunk), plain(*given))


@given(st.integers(1, 5), st.integers(1, WORDS + 2))
def test_so_are_the_gradients_with_another_weight_for_every_token(tokens: int, chunk: int) -> None:
    hidden, weight, targets, bias = problem(tokens)
    by_loss = torch.randn(tokens).double()
    ours = linear_cross_entropy(hidden, weight, targets, bias, chunk=chunk)
    theirs = plain(hidden, weight, targets, bias)
    inputs = (hidden, weight, bias)
    expected = torch.autograd.grad(theirs, inputs, by_loss)
    torch.testing.assert_close(torch.autograd.grad(ours, inputs, by_loss), expected)


@pytest.mark.parametrize("chunk", [1, 4, None])
def test_gradients_are_those_of_finite_differences(chunk: int | None) -> None:
    hidden, weight, targets, bias = problem()

    def loss(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return linear_cross_entropy(hidden, weight, targets, bias, chunk=chunk)

    assert torch.autograd.gradcheck(loss, (hidden, weight, bias))


def test_the_bias_may_be_left_out() -> None:
    given = problem()[:3]
    ours, theirs = linear_cross_entropy(*given, chunk=4), plain(*given)
    torch.testing.assert_close(ours, theirs)
    expected = torch.autograd.grad(theirs.sum(), given[:2])
    torch.testing.assert_close(torch.autograd.grad(ours.sum(), given[:2]), expected)


@pytest.mark.parametrize("trained", [0, 1, 3])
def test_one_input_alone_may_be_trained(trained: int) -> None:
    inputs = problem()
    for i, x in enumerate(inputs):
        x.requires_grad_(i == trained)
    (expected,) = torch.autograd.grad(plain(*inputs).sum(), inputs[trained])
    linear_cross_entropy(*inputs, chunk=4).sum().backward()
    torch.testing.assert_close(inputs[trained].grad, expected)
    assert [x.grad is not None for x in inputs] == [i == trained for i in range(4)]


def test_scores_may_be_huge_or_minus_infinity() -> None:
    weight = torch.tensor([[1e4], [-1e4], [1e4], [0.0]]).double()
    bias = torch.tensor([0.0, 0.0, 0.0, -torch.inf]).double()
    given = (torch.ones(2, 1).double(), weight, torch.tensor([0, 1]), bias)
    loss = linear_cross_entropy(*given, chunk=1)
    assert loss.tolist() == pytest.approx([math.log(2), 2e4 + math.log(2)])


def test_no_tokens_have_no_loss_and_zero_gradients() -> None:
    hidden, weight, targets, bias = problem(tokens=0)
    loss = linear_cross_entropy(hidden, weight, targets, bias)
    loss.sum().backward()
    assert loss.shape == (0,)
    assert not weight.grad.any()
    assert not bias.grad.any()


def test_the_weight_may_be_part_of_a_wider_one() -> None:
    hidden, weight, targets, _ = problem()
    wide = torch.cat([weight, weight], dim=1).detach().requires_grad_()
    ours = linear_cross_entropy(hidden, wide[:, :3], targets, chunk=4)
    theirs = plain(hidden, wide[:, :3], targets)
    torch.testing.assert_close(ours, theirs)
    expected = torch.autograd.grad(theirs.sum(), wide)
    torch.testing.assert_close(torch.autograd.grad(ours.sum(), wide), expected)


def test_bfloat16_is_summed_in_float32() -> None:
    hidden, weight, targets, bias = problem()
    half = [x.detach().bfloat16().requires_grad_() for x in (hidden, weight, bias)]
    loss = linear_cross_entropy(half[0], half[1], targets, half[2], chunk=2)
    loss.sum().backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(
        loss.double(), plain(hidden, weight, targets, bias), rtol=0.05, atol=0.05
    )
    assert [x.grad.dtype for x in half] == [torch.bfloat16] * 3


@pytest.mark.parametrize("target", [-1, WORDS])
def test_a_target_that_is_no_word_is_an_error(target: int) -> None:
    hidden, weight, targets, _ = problem()
    targets[2] = target
    with pytest.raises(ValueError, match=r"targets: expected ids in \[0, 11\), got"):
        linear_cross_entropy(hidden, weight, targets)


def test_shapes_that_do_not_fit_are_an_error() -> None:
    hidden, weight, targets, _ = problem()
    with pytest.raises(ValueError, match=r"hidden: expected shape \[5, 3\], got \[6, 3\]"):
        linear_cross_entropy(hidden, weight, targets[:5])
