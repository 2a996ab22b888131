"""The operators of the CRF, compared with enumeration of all paths."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from mtl.ops import crf_log_partition, crf_marginals, crf_score, crf_viterbi
from tests.ops.enumeration import Chain

few = settings(max_examples=20)
lengths = st.lists(st.integers(0, 5), min_size=1, max_size=4)
labels = st.integers(1, 4)


@few
@given(lengths, labels)
def test_scores_are_sums_along_the_path(lengths: list[int], labels: int) -> None:
    chain = Chain.random(lengths, labels)
    paths = torch.randint(labels, chain.mask.shape)
    for row, length in enumerate(lengths):
        expected = chain.paths(row)[tuple(paths[row, :length].tolist())]
        assert chain.score(paths)[row].item() == pytest.approx(expected)


@few
@given(lengths, labels)
def test_the_partition_sums_over_all_paths(lengths: list[int], labels: int) -> None:
    chain = Chain.random(lengths, labels)
    expected = [chain.partition(row) for row in range(len(lengths))]
    assert crf_log_partition(*chain.arguments).tolist() == pytest.approx(expected, abs=1e-12)


@few
@given(lengths, labels)
def test_viterbi_finds_the_best_of_all_paths(lengths: list[int], labels: int) -> None:
    chain = Chain.random(lengths, labels)
    paths, scores = crf_viterbi(*chain.arguments)
    for row, length in enumerate(lengths):
        best = max(chain.paths(row).items(), key=lambda item: item[1])
        assert tuple(paths[row, :length].tolist()) == best[0]
        assert scores[row].item() == pytest.approx(best[1])
    assert not paths[~chain.mask].any()


@few
@given(lengths, labels)
def test_marginals_sum_over_the_paths_through_a_label(lengths: list[int], labels: int) -> None:
    chain = Chain.random(lengths, labels)
    found = crf_marginals(*chain.arguments)
    for row, length in enumerate(lengths):
        for token in range(length):
            expected = [chain.marginal(row, token, label) for label in range(labels)]
            assert found[row, token].tolist() == pytest.approx(expected)
    assert not found[~chain.mask].any()


def test_every_length_up_to_six_with_four_labels() -> None:
    chain = Chain.random([1, 2, 3, 4, 5, 6], 4)
    expected = [chain.partition(row) for row in range(6)]
    assert crf_log_partition(*chain.arguments).tolist() == pytest.approx(expected, rel=1e-12)


def test_among_equal_paths_the_smaller_labels_from_the_end_on_win() -> None:
    chain = Chain.random([3], 3, scale=0.0)
    assert crf_viterbi(*chain.arguments)[0].tolist() == [[0, 0, 0]]


def test_gradients_equal_finite_differences() -> None:
    chain = Chain.random([3, 1, 2, 0], 3)
    scores = [x.requires_grad_() for x in chain.arguments[:4]]
    paths = torch.randint(3, chain.mask.shape)
    assert gradcheck(lambda *s: crf_log_partition(*s, chain.mask), scores)
    assert gradcheck(lambda *s: crf_score(*s, chain.mask, paths), scores)


def test_gradients_of_the_partition_are_the_marginals() -> None:
    chain = Chain.random([4, 2], 3)
    crf_log_partition(chain.emissions.requires_grad_(), *chain.arguments[1:]).sum().backward()
    torch.testing.assert_close(crf_marginals(*chain.arguments), chain.emissions.grad)


def test_marginals_can_be_had_where_gradients_are_off() -> None:
    chain = Chain.random([4, 2], 3)
    expected = crf_marginals(*chain.arguments)
    with torch.no_grad():
        assert torch.equal(crf_marginals(*chain.arguments), expected)
    with torch.inference_mode():
        copies = [x.clone() for x in chain.arguments]
        assert torch.equal(crf_marginals(*copies), expected)
    assert not expected.requires_grad


def test_huge_scores_neither_overflow_nor_vanish() -> None:
    chain = Chain.random([6, 3], 4, scale=1e4)
    best = crf_viterbi(*chain.arguments)[1]
    total = crf_log_partition(chain.emissions.requires_grad_(), *chain.arguments[1:])
    torch.testing.assert_close(total, best)  # one path outweighs all others
    total.sum().backward()
    assert chain.emissions.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_thousand_tokens_of_equal_scores_have_k_to_the_t_paths(dtype: torch.dtype) -> None:
    chain = Chain.random([2000], 5, scale=0.0)
    scores = [x.to(dtype) for x in chain.arguments[:4]]
    total = crf_log_partition(*scores, chain.mask)
    assert total.item() == pytest.approx(2000 * math.log(5), rel=1e-5)


def test_a_sentence_without_tokens_has_one_path_of_score_zero() -> None:
    chain = Chain.random([0, 2], 3)
    paths = torch.zeros(chain.mask.shape, dtype=torch.long)
    assert chain.score(paths)[0] == 0
    assert crf_log_partition(*chain.arguments)[0] == 0
    assert crf_viterbi(*chain.arguments)[1][0] == 0
