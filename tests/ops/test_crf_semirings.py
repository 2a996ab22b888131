"""Chains in several semirings, and with a matrix of transitions per step, against all paths."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from mtl.ops import (
    crf_entropy,
    crf_log_likelihood,
    crf_log_partition,
    crf_marginals,
    crf_n_best,
    crf_sample,
    crf_viterbi,
)
from mtl.ops.crf_semirings import entropy, expectation, fold, logarithm, maximum, zeros

LENGTHS, LABELS = [4, 1, 3, 2], 3
MASK = torch.arange(4) < torch.tensor(LENGTHS).unsqueeze(1)


def chain(*, constant: bool = False, forbid: bool = False) -> tuple[Tensor, ...]:
    """Emissions, transitions per step (or one matrix), first and last labels."""
    shape = (LABELS, LABELS) if constant else (4, 3, LABELS, LABELS)
    transitions = torch.randn(shape).double()
    start = torch.randn(LABELS).double()
    if forbid:
        transitions[..., 0, 1], start[2] = -math.inf, -math.inf
    return torch.randn(4, 4, LABELS).double(), transitions, start, torch.randn(LABELS).double()


def paths_of(scores: tuple[Tensor, ...], row: int) -> dict[tuple[int, ...], float]:
    """The score of every path of a sentence, in plain Python."""
    emissions, transitions, start, end = (x.tolist() for x in scores)
    found = {}
    for path in product(range(LABELS), repeat=LENGTHS[row]):
        total = start[path[0]] + end[path[-1]]
        for t, label in enumerate(path):
            total += emissions[row][t][label]
            if t:
                matrix = transitions if scores[1].dim() == 2 else transitions[row][t - 1]
                total += matrix[path[t - 1]][label]
        found[path] = total
    return found


chains = pytest.mark.parametrize(
    "scores", [chain(constant=True), chain(), chain(forbid=True)], ids=["one", "many", "forbid"]
)


@chains
def test_the_log_partition_is_that_of_all_paths(scores: tuple[Tensor, ...]) -> None:
    found = crf_log_partition(*scores, MASK)
    by_semiring = fold(logarithm, MASK, scores)[0]
    for row in range(4):
        total = math.log(sum(map(math.exp, paths_of(scores, row).values())))
        assert found[row].item() == pytest.approx(total)
        assert by_semiring[row].item() == pytest.approx(total)


@chains
def test_the_best_paths_are_those_of_all_paths(scores: tuple[Tensor, ...]) -> None:
    viterbi, best = crf_viterbi(*scores, MASK)
    several, totals = crf_n_best(*scores, MASK, 3)
    assert torch.allclose(fold(maximum, MASK, scores)[0], best)
    for row, length in enumerate(LENGTHS):
        ranked = sorted(paths_of(scores, row).items(), key=lambda item: -item[1])
        assert tuple(viterbi[row, :length].tolist()) == ranked[0][0]
        assert best[row].item() == pytest.approx(ranked[0][1])
        for rank, (path, score) in enumerate(ranked[:3]):
            if score > -math.inf:
                assert tuple(several[row, rank, :length].tolist()) == path
            assert totals[row, rank].item() == pytest.approx(score)


@chains
def test_marginals_and_likelihoods_are_those_of_all_paths(scores: tuple[Tensor, ...]) -> None:
    found = crf_marginals(*scores, MASK)
    gold = torch.zeros(4, 4, dtype=torch.long)
    likelihood = crf_log_likelihood(*scores, MASK, gold)
    for row, length in enumerate(LENGTHS):
        own = {path: math.exp(score) for path, score in paths_of(scores, row).items()}
        total = sum(own.values())
        assert likelihood[row].item() == pytest.approx(math.log(own[(0,) * length] / total))
        for t, label in product(range(length), range(LABELS)):
            share = sum(value for path, value in own.items() if path[t] == label) / total
            assert found[row, t, label].item() == pytest.approx(share)
    assert not found[~MASK].any()


@chains
def test_expectations_and_entropy_are_those_of_all_paths(scores: tuple[Tensor, ...]) -> None:
    values = chain(constant=scores[1].dim() == 2)
    _, mean = fold(expectation, MASK, scores, values)
    found = crf_entropy(*scores, MASK)
    by_semiring = fold(entropy, MASK, scores, zeros(scores))[1]
    for row in range(4):
        own, value = paths_of(scores, row), paths_of(values, row)
        total = sum(map(math.exp, own.values()))
        share = {path: math.exp(score) / total for path, score in own.items()}
        expected = sum(share[path] * value[path] for path in own)
        assert mean[row].item() == pytest.approx(expected)
        nats = -sum(p * math.log(p) for p in share.values() if p)
        assert found[row].item() == pytest.approx(nats)
        assert by_semiring[row].item() == pytest.approx(nats)


@chains
def test_random_paths_have_their_probabilities(scores: tuple[Tensor, ...]) -> None:
    torch.manual_seed(0)
    row, count = 2, 20_000
    rows = [x[row : row + 1] if x.dim() > 2 else x for x in scores]
    many = [x.expand(count, *x.shape[1:]) if x.dim() > 2 else x for x in rows]
    drawn = crf_sample(*many, MASK[row : row + 1].expand(count, -1))
    own = {path: math.exp(score) for path, score in paths_of(scores, row).items()}
    counts = dict.fromkeys(own, 0)
    for path in drawn[:, : LENGTHS[row]].tolist():
        counts[tuple(path)] += 1
    for path, weight in own.items():
        share = weight / sum(own.values())
        assert counts[path] / count == pytest.approx(share, abs=4 * math.sqrt(share / count) + 1e-9)


@pytest.mark.parametrize("forbid", [False, True])
def test_gradients_of_varying_transitions_are_exact(forbid: bool) -> None:
    scores = [x.requires_grad_() for x in chain(forbid=forbid)]
    gold = torch.zeros(4, 4, dtype=torch.long)

    def loss(*found: Tensor) -> Tensor:
        return crf_log_likelihood(*found, MASK, gold)

    if not forbid:  # finite differences of −∞ are not numbers
        assert torch.autograd.gradcheck(loss, scores)
    loss(*scores).sum().backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in scores)


def test_padding_changes_nothing_with_varying_transitions() -> None:
    emissions, transitions, start, end = chain()
    for row, length in enumerate(LENGTHS):
        alone = emissions[row : row + 1, :length], transitions[row : row + 1, : length - 1]
        own = MASK[row : row + 1, :length]
        found = crf_log_partition(*alone, start, end, own)
        assert torch.allclose(
            found, crf_log_partition(emissions, transitions, start, end, MASK)[row]
        )
