"""The reference and the compiled operators of the CRF, against the textbook's forward algorithm."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtl.ops import crf_reference as reference
from mtl.ops.crf import LIBRARY
from tests.ops.enumeration import Chain, partition_by_steps

NAMES = ["forward", "backward", "marginals", "viterbi"]
OPERATORS = {
    "reference": [getattr(reference, f"crf_{name}_reference") for name in NAMES],
    "compiled": [getattr(torch.ops.mtl, f"crf_{name}") for name in NAMES],
}
compiled = pytest.mark.skipif(bool(LIBRARY.missing), reason=f"compiled: {LIBRARY.missing}")
operators = pytest.mark.parametrize(
    "operators", [pytest.param("compiled", marks=compiled), "reference"]
)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
few = settings(max_examples=20)
lengths = st.lists(st.integers(0, 12), min_size=1, max_size=5)
labels = st.sampled_from([1, 2, 5, 8, 16, 17, 33, 70, 100])


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Give torch its threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def partition(operators: str, chain: Chain) -> tuple[Tensor, list[Tensor]]:
    """Return the log partition and its gradients, emissions first."""
    forward, backward, *_ = OPERATORS[operators]
    values, *saved = forward(*chain.arguments, None, True)
    return values, list(backward(torch.ones_like(values), *chain.arguments, None, *saved))


def textbook(chain: Chain) -> tuple[Tensor, list[Tensor]]:
    leaves = [x.clone().requires_grad_() for x in chain.arguments[:4]]
    values = partition_by_steps(*leaves, chain.mask)
    return values.detach(), list(torch.autograd.grad(values.sum(), leaves, materialize_grads=True))


@operators
@few
@given(lengths, labels, st.integers(0, 999), st.sampled_from([0.1, 1.0, 4.0]), st.booleans())
def test_partition_and_gradients_are_those_of_the_textbook(
    operators: str, lengths: list[int], labels: int, seed: int, scale: float, strided: bool
) -> None:
    torch.manual_seed(seed)
    chain = Chain.random(lengths, labels, scale)
    expected, slopes = textbook(chain)
    for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 2e-5)):
        ours = chain.to(dtype)
        if strided:
            across = ours.emissions.transpose(0, 2).contiguous().transpose(0, 2)
            ours = Chain(across, *ours.arguments[1:])
        found, gradients = partition(operators, ours)
        torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)
        for one, other in zip(gradients, slopes, strict=True):
            torch.testing.assert_close(one.double(), other, rtol=tolerance, atol=tolerance)


@operators
@few
@given(lengths, labels, st.integers(0, 999))
def test_a_path_has_its_score_less_the_partition(
    operators: str, lengths: list[int], labels: int, seed: int
) -> None:
    torch.manual_seed(seed)
    chain = Chain.random(lengths, labels)
    leaves = [x.requires_grad_() for x in chain.arguments[:4]]
    paths = torch.randint(labels, chain.mask.shape)
    by = torch.randn(len(lengths)).double()
    expected = chain.score(paths) - partition_by_steps(*chain.arguments)
    slopes = torch.autograd.grad(expected, leaves, by, materialize_grads=True)
    forward, backward, *_ = OPERATORS[operators]
    with torch.no_grad():
        values, *saved = forward(*chain.arguments, paths, True)
        found = backward(by, *chain.arguments, paths, *saved)
    torch.testing.assert_close([values, *found], [expected.detach(), *slopes])


@operators
@dtypes
def test_where_much_is_forbidden_sums_go_over_the_rest(operators: str, dtype) -> None:
    chain = Chain.random([6, 3, 1], 7).forbid(0.5)
    expected = partition_by_steps(*chain.arguments)
    found, gradients = partition(operators, chain.to(dtype))
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    assert not gradients[1][chain.transitions.isinf()].any()
    marginals = OPERATORS[operators][2](*chain.to(dtype).arguments)
    torch.testing.assert_close(marginals.sum(2), chain.mask.to(dtype))
    torch.testing.assert_close(marginals, gradients[0])


def vanishing() -> Chain:
    """Label 1 begins far behind and wins in the end; neither label leads to the other."""
    inf = math.inf
    emissions = torch.tensor([[[0.0, -110.0]] + 12 * [[-12.0, 0.0]]])
    transitions = torch.tensor([[0.0, -inf], [-inf, 0.0]])
    return Chain(emissions, transitions, torch.zeros(2), torch.zeros(2), torch.ones(1, 13) > 0)


@operators
def test_a_path_that_vanishes_at_first_and_wins_in_the_end_counts(operators: str) -> None:
    found, gradients = partition(operators, vanishing())
    assert found.item() == pytest.approx(-110)
    torch.testing.assert_close(gradients[0][0, :, 1], torch.ones(13))
    torch.testing.assert_close(gradients[1], torch.tensor([[0.0, 0.0], [0.0, 12.0]]))
    assert OPERATORS[operators][3](*vanishing().arguments)[0].tolist() == [13 * [1]]


@operators
@dtypes
@pytest.mark.parametrize("parts", [(1e4, 1.0), (1.0, 1e4), (1e4, 1e4)])
def test_scores_of_ten_thousand_are_computed_as_others(operators: str, dtype, parts) -> None:
    chain = Chain.random([30, 7, 1, 0], 5)
    emissions, transitions = (x * y for x, y in zip(chain.arguments[:2], parts, strict=True))
    chain = Chain(emissions, transitions, *chain.arguments[2:]).to(dtype)
    double = chain.to(torch.float64)  # of the rounded scores
    expected, slopes = textbook(double)
    found, gradients = partition(operators, chain)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)
    for one, other in zip(gradients, slopes, strict=True):
        torch.testing.assert_close(
            one.double(), other, rtol=0, atol=2e-2 * (dtype.itemsize == 4) + 1e-8
        )


@operators
@dtypes
def test_minus_ten_thousand_is_as_good_as_forbidden(operators: str, dtype) -> None:
    forbidden = Chain.random([9, 4], 6).forbid(0.4)
    low = [x.nan_to_num(neginf=-10000) for x in forbidden.arguments[:4]]
    expected = partition(operators, forbidden.to(dtype))
    found = partition(operators, Chain(*low, forbidden.mask).to(dtype))
    torch.testing.assert_close(found, expected)


@operators
@dtypes
def test_where_no_path_is_possible_the_sum_is_zero_and_so_are_gradients(
    operators: str, dtype
) -> None:
    chain = Chain.random([3, 1], 2).to(dtype)
    chain.transitions.fill_(-math.inf)
    found, gradients = partition(operators, chain)
    assert found[0] == -math.inf
    assert found[1].isfinite()
    assert not gradients[0][0].any()
    assert not any(x.isnan().any() for x in gradients)
    assert OPERATORS[operators][3](*chain.arguments)[1][0] == -math.inf


@operators
def test_nan_stays_nan_in_its_sentence(operators: str) -> None:
    chain = Chain.random([3, 3, 3], 4).to(torch.float32)
    chain.emissions[1, 1, 2] = math.nan
    found, gradients = partition(operators, chain)
    assert found.isnan().tolist() == [False, True, False]
    assert not gradients[0][[0, 2]].isnan().any()


@pytest.mark.slow
@operators
@dtypes
def test_twenty_thousand_tokens_are_as_exact_as_two(operators: str, dtype) -> None:
    chain = Chain.random([20_000], 3)
    expected = partition_by_steps(*chain.arguments)
    found, (by_emissions, *_) = partition(operators, chain.to(dtype))
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=0)
    # The rounding errors of 20,000 products add up like a random walk, by an amount that depends on
    # the processor: 1e-5 of float32 has been seen with the reference.
    rtol = 20_000**0.5 * torch.finfo(dtype).eps * 10
    torch.testing.assert_close(
        by_emissions.sum(2), torch.ones(1, 20_000, dtype=dtype), rtol=rtol, atol=0
    )
    paths, scores = OPERATORS[operators][3](*chain.to(dtype).arguments)
    torch.testing.assert_close(chain.score(paths), scores.double(), rtol=1e-6, atol=0)


@operators
def test_five_hundred_labels_are_computed_as_five(operators: str) -> None:
    chain = Chain.random([4, 2], 500)
    expected, slopes = textbook(chain)
    found, gradients = partition(operators, chain.to(torch.float32))
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradients[1].double(), slopes[1], rtol=0, atol=1e-6)


@operators
@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_without_sentences_or_tokens_there_is_nothing(operators: str, shape) -> None:
    chain = Chain.random([1], 3)
    chain = Chain(torch.zeros(*shape, 3).double(), *chain.arguments[1:4], torch.ones(shape) > 0)
    found, gradients = partition(operators, chain)
    assert torch.equal(found, torch.zeros(shape[0]).double())
    assert not any(x.any() for x in gradients)
    assert OPERATORS[operators][3](*chain.arguments)[0].shape == shape


@few
@given(lengths, labels, st.integers(0, 999), st.sampled_from([0, 0.3]), st.sampled_from([0.5, 3]))
@compiled
def test_the_compiled_operator_finds_the_path_of_the_reference(
    lengths: list[int], labels: int, seed: int, forbidden: float, scale: float
) -> None:
    torch.manual_seed(seed)
    chain = Chain.random(lengths, labels, scale).forbid(forbidden).to(torch.float32)
    equal = Chain(*(x.round() for x in chain.arguments[:4]), chain.mask)  # many paths are as good
    for scores in (chain.arguments, equal.arguments):
        expected, found = (OPERATORS[name][3](*scores) for name in ("reference", "compiled"))
        torch.testing.assert_close(found, expected)


@compiled
@dtypes
@pytest.mark.parametrize("labels", [3, 40])
def test_paths_through_nan_are_of_known_labels(labels: int, dtype) -> None:
    chain = Chain.random([9, 2], labels).to(dtype)
    chain.emissions[:, 1:] = math.nan
    paths, _ = OPERATORS["compiled"][3](*chain.arguments)
    assert paths.min() >= 0
    assert paths.max() < labels


@operators
@pytest.mark.parametrize("mask", [[[False, True]], [[True, True, False, False, True]]])
def test_a_mask_with_a_hole_is_refused(operators: str, mask: list) -> None:
    chain = Chain.random([len(mask[0])], 3)
    scores = *chain.arguments[:4], torch.tensor(mask)
    forward, _, marginals, viterbi = OPERATORS[operators]
    for call, more in ((forward, (None, True)), (marginals, ()), (viterbi, ())):
        with pytest.raises(ValueError, match="mask: expected the real tokens of a sentence first"):
            call(*scores, *more)


@compiled
@pytest.mark.parametrize("chain", [Chain.random([40, 3, 0, 25, 17], 19), vanishing()])
def test_one_thread_and_two_give_the_same_bits(chain: Chain) -> None:
    chain = Chain(
        *(x.repeat(40, 1, 1) for x in chain.arguments[:1]),
        *chain.arguments[1:4],
        chain.mask.repeat(40, 1),
    ).to(torch.float32)
    found: list[list[Tensor]] = []
    for count in (1, 2):
        torch.set_num_threads(count)
        values, gradients = partition("compiled", chain)
        rest: list[Callable] = OPERATORS["compiled"][2:]
        found.append([values, *gradients, rest[0](*chain.arguments), *rest[1](*chain.arguments)])
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


@compiled
@pytest.mark.skipif("MTL_ISA" in os.environ, reason="this is such a run already")
@pytest.mark.parametrize("wanted", [pytest.param("base", marks=pytest.mark.slow), "avx2"])
def test_every_instruction_set_passes_these_tests(wanted: str) -> None:
    if LIBRARY.instruction_set == "base" or wanted == LIBRARY.instruction_set:
        pytest.skip("these tests ran on it, or the processor has none but the base")
    environment = os.environ | {"MTL_ISA": wanted}
    python = [sys.executable, "-m"]
    tests = [*python, "pytest", "-p", "no:cacheprovider", "-m", "not slow", "-k", "compiled"]
    done = subprocess.run(
        [*tests, __file__], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.sampled(2)
@dtypes
def test_the_operators_keep_their_promises_to_torch(dtype) -> None:
    chain, paths = Chain.random([3, 1], 4).to(dtype), torch.ones(2, 3).long()
    operators = torch.ops.mtl
    for labels in (None, paths):
        values, *saved = operators.crf_forward(*chain.arguments, labels, True)
        for save in (False, True):
            torch.library.opcheck(operators.crf_forward, (*chain.arguments, labels, save))
        torch.library.opcheck(operators.crf_backward, (values, *chain.arguments, labels, *saved))
    torch.library.opcheck(operators.crf_marginals, chain.arguments)
    torch.library.opcheck(operators.crf_viterbi, chain.arguments)


@compiled
def test_what_does_not_fit_is_refused() -> None:
    chain, forward = Chain.random([3, 1], 4), torch.ops.mtl.crf_forward
    with pytest.raises(RuntimeError, match="transitions does not fit"):
        forward(chain.emissions, chain.transitions[1:], *chain.arguments[2:], None, False)
    with pytest.raises(RuntimeError, match="expected labels below 4, got 4"):
        forward(*chain.arguments, torch.full((2, 3), 4), False)
    with pytest.raises(RuntimeError, match="must be float32 or float64"):
        forward(*(x.half() for x in chain.arguments[:4]), chain.mask, None, False)
