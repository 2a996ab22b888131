"""Losses of imitation against formulas, the enumeration of all paths, and finite differences."""

from __future__ import annotations

import math
from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from mtl.layers import CRF
from mtl.layers.imitation import imitation_loss
from tests.ops.enumeration import Chain

LENGTHS = [3, 1, 4, 2]
MASK = torch.arange(4) < torch.tensor(LENGTHS).unsqueeze(1)


def distributions(*shape: int) -> Tensor:
    return (2 * torch.randn(*shape, dtype=torch.float64)).softmax(-1)


def crf(labels: int, forbid: bool = False) -> CRF:
    allowed = torch.ones(labels, labels, dtype=torch.bool)
    allowed[0, 1] = allowed[2, 2] = not forbid
    start = torch.tensor([True, not forbid, *[True] * (labels - 2)])
    return CRF(labels, allowed_transitions=allowed, allowed_start=start).double()


def score(layer: CRF, emissions: Tensor, path: tuple[int, ...]) -> Tensor:
    transitions, start, end = layer.steps()
    total = start[path[0]] + end[path[-1]] + sum(emissions[t, y] for t, y in enumerate(path))
    return total + sum(transitions[a, b] for a, b in pairwise(path))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_divergence_is_the_one_of_the_formula(temperature: float) -> None:
    student, teacher = torch.randn(6, 5).double(), distributions(6, 5)
    p = teacher ** (1 / temperature)
    p = p / p.sum(1, keepdim=True)
    q = (student / temperature).softmax(1)
    expected = temperature**2 * (p * (p / q).log()).sum(1)
    torch.testing.assert_close(imitation_loss(student, teacher.log(), temperature), expected)


def test_a_high_temperature_is_the_distance_of_logits() -> None:
    student, teacher = torch.randn(6, 5).double(), torch.randn(6, 5).double()
    centred = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    expected = centred.square().sum(1) / (2 * 5)
    torch.testing.assert_close(imitation_loss(student, teacher, math.inf), expected)
    near = imitation_loss(student, teacher, 1e4)
    torch.testing.assert_close(near, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0, math.inf])
def test_the_teacher_itself_has_no_loss(temperature: float) -> None:
    teacher = distributions(4, 3).log()
    found = imitation_loss(teacher + 7, teacher, temperature)
    torch.testing.assert_close(found, torch.zeros(4).double())


def test_the_expected_loss_of_a_crf_is_the_one_over_all_paths() -> None:
    layer, emissions, marginals = crf(3), torch.randn(4, 4, 3).double(), distributions(4, 4, 3)
    found = layer.cross_entropy(emissions, marginals, MASK)
    for row, length in enumerate(LENGTHS):
        paths = list(product(range(3), repeat=length))
        scores = torch.stack([score(layer, emissions[row], path) for path in paths])
        chances = torch.tensor(
            [math.prod(marginals[row, t, y].item() for t, y in enumerate(path)) for path in paths]
        ).double()
        expected = scores.logsumexp(0) - (chances * scores).sum()
        torch.testing.assert_close(found[row], expected)


def test_forbidden_pairs_give_their_probability_to_allowed_ones() -> None:
    layer, emissions, marginals = (
        crf(3, True),
        torch.randn(4, 4, 3).double(),
        distributions(4, 4, 3),
    )
    transitions, start, end = layer.steps()
    found = layer.cross_entropy(emissions, marginals, MASK)
    for row, length in enumerate(LENGTHS):
        m = marginals[row]
        expected = sum(m[t] @ emissions[row, t] for t in range(length))
        allowed = m[0] * start.isfinite()
        expected = expected + (allowed @ layer.start_transitions) / allowed.sum()
        expected = expected + m[length - 1] @ end
        for t in range(length - 1):
            pairs = torch.outer(m[t], m[t + 1]) * transitions.isfinite()
            expected = expected + (pairs * layer.transitions).sum() / pairs.sum()
        paths = product(range(3), repeat=length)
        partition = torch.stack([score(layer, emissions[row], path) for path in paths]).logsumexp(0)
        torch.testing.assert_close(found[row], partition - expected)


def test_certain_labels_have_the_loss_of_gold_labels() -> None:
    layer, emissions = crf(3), torch.randn(4, 4, 3).double()
    tags = torch.randint(3, (4, 4))
    certain = torch.nn.functional.one_hot(tags, 3).double()
    found = layer.cross_entropy(emissions, certain, MASK)
    torch.testing.assert_close(found, -layer(emissions, tags, MASK))


def test_the_loss_is_above_the_entropy_of_the_teacher() -> None:
    layer, emissions, marginals = crf(3), torch.randn(4, 4, 3).double(), distributions(4, 4, 3)
    entropy = -(marginals * marginals.log()).sum(2)
    found = layer.cross_entropy(emissions, marginals, MASK)
    assert (found >= (entropy * MASK).sum(1)).all()


@pytest.mark.parametrize("forbid", [False, True])
def test_padding_and_the_batch_have_no_influence(forbid: bool) -> None:
    layer, emissions, marginals = (
        crf(3, forbid),
        torch.randn(4, 4, 3).double(),
        distributions(4, 4, 3),
    )
    whole = layer.cross_entropy(emissions, marginals, MASK)
    dirty = torch.where(MASK.unsqueeze(2), emissions, 1e3)
    torch.testing.assert_close(layer.cross_entropy(dirty, marginals, MASK), whole)
    for row, length in enumerate(LENGTHS):
        alone = layer.cross_entropy(
            emissions[row : row + 1, :length], marginals[row : row + 1, :length]
        )
        torch.testing.assert_close(alone[0], whole[row])


@pytest.mark.parametrize("forbid", [False, True])
def test_gradients_are_those_of_finite_differences(forbid: bool) -> None:
    layer, marginals = crf(3, forbid), distributions(4, 4, 3)
    emissions = torch.randn(4, 4, 3, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(lambda e: layer.cross_entropy(e, marginals, MASK), emissions)
    names = ["transitions", "start_transitions", "end_transitions"]

    def of_parameters(*values: Tensor) -> Tensor:
        given = dict(zip(names, values, strict=True))
        own = torch.func.functional_call
        return own(
            Loss(layer, emissions.detach(), marginals),
            {f"layer.{n}": v for n, v in given.items()},
            (),
        )

    parameters = [layer.get_parameter(name).detach().clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(of_parameters, parameters)


class Loss(torch.nn.Module):
    def __init__(self, layer: CRF, emissions: Tensor, marginals: Tensor) -> None:
        super().__init__()
        self.layer, self.emissions, self.marginals = layer, emissions, marginals

    def forward(self) -> Tensor:
        return self.layer.cross_entropy(self.emissions, self.marginals, MASK)


def test_wrong_shapes_are_errors() -> None:
    with pytest.raises(ValueError, match=r"marginals: expected \[4, 4, 3\], got \[4, 4, 2\]"):
        crf(3).cross_entropy(torch.zeros(4, 4, 3), torch.zeros(4, 4, 2), MASK)


def test_chains_of_other_tests_agree() -> None:
    chain = Chain.random(LENGTHS, 3)
    layer = CRF(3).double()
    with torch.no_grad():
        layer.transitions.copy_(chain.transitions)
        layer.start_transitions.copy_(chain.start)
        layer.end_transitions.copy_(chain.end)
    uniform = torch.full_like(chain.emissions, 1 / 3)
    found = layer.cross_entropy(chain.emissions, uniform, chain.mask)
    for row in range(len(LENGTHS)):
        scores = list(chain.paths(row).values())
        expected = chain.partition(row) - sum(scores) / len(scores)
        assert found[row].item() == pytest.approx(expected)
