"""The n best paths and the entropy, by going through every path."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from mtl.ops import crf_entropy, crf_n_best, crf_viterbi
from tests.ops.enumeration import Chain

few = settings(max_examples=20)
lengths = st.lists(st.integers(0, 5), min_size=1, max_size=3)
labels = st.integers(1, 4)


@few
@given(lengths, labels, st.integers(1, 9), st.booleans())
def test_the_n_best_paths_are_the_first_of_all_in_order(lengths, labels, n, forbid) -> None:
    chain = Chain.random(lengths, labels)
    chain = chain.forbid(0.4) if forbid else chain
    paths, scores = crf_n_best(*chain.arguments, n)
    for row, length in enumerate(lengths):
        possible = {k: v for k, v in chain.paths(row).items() if v > -math.inf}
        best = sorted(possible.items(), key=lambda item: -item[1])[:n]
        found = [tuple(path) for path in paths[row, : len(best), :length].tolist()]
        assert found == [path for path, _ in best]
        assert scores[row, : len(best)].tolist() == pytest.approx([score for _, score in best])
        assert (scores[row, len(best) :] == -math.inf).all()
    assert not paths[~chain.mask.unsqueeze(1).expand_as(paths)].any()


def test_the_first_of_the_n_best_is_that_of_viterbi() -> None:
    chain = Chain.random([40, 7, 1], 9)
    paths, scores = crf_n_best(*chain.arguments, 4)
    torch.testing.assert_close((paths[:, 0], scores[:, 0]), crf_viterbi(*chain.arguments))


@settings(max_examples=8)
@given(lengths, labels, st.booleans())
def test_entropy_is_that_of_all_paths(lengths: list[int], labels: int, forbid: bool) -> None:
    chain = Chain.random(lengths, labels)
    chain = chain.forbid(0.4) if forbid else chain
    expected = [chain.entropy(row) for row in range(len(lengths))]
    assert crf_entropy(*chain.arguments).tolist() == pytest.approx(expected, abs=1e-12)


def test_equal_scores_leave_it_open_and_one_path_decides() -> None:
    chain = Chain.random([5], 3, scale=0.0)
    assert crf_entropy(*chain.arguments).item() == pytest.approx(5 * math.log(3))
    chain.transitions.fill_(-math.inf)
    assert crf_entropy(*chain.arguments).item() == 0


@pytest.mark.parametrize("token", [0, 1, 2])
def test_nan_scores_make_the_entropy_of_their_sentence_nan(token) -> None:
    chain = Chain.random([3, 3, token], 3)
    chain.emissions[1:, token:, 0] = math.nan
    found = crf_entropy(*chain.arguments)
    assert found.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_gradients_of_the_entropy_equal_finite_differences(share: float) -> None:
    chain = Chain.random([3, 1, 2, 0], 3).forbid(share)
    allowed = [x.isfinite() for x in chain.arguments[:4]]
    leaves = [x.nan_to_num(neginf=0).requires_grad_() for x in chain.arguments[:4]]

    def entropy(*scores: torch.Tensor) -> torch.Tensor:
        pairs = zip(scores, allowed, strict=True)
        return crf_entropy(*(x.masked_fill(~a, -math.inf) for x, a in pairs), chain.mask)

    assert gradcheck(entropy, leaves)
