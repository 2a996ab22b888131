"""Transitions that see the input, and locally normalised steps, by their formulas."""

from __future__ import annotations

import math
from itertools import pairwise, product

import pytest
import torch

from mtl.layers import CRF, MEMM, InputCRF

K, R = 3, 2
MASK = torch.tensor([[True, True, True], [True, True, False]])


def paths(length: int) -> list[tuple[int, ...]]:
    return list(product(range(K), repeat=length))


def likelihoods(layer: CRF, emissions: torch.Tensor, row: int, length: int) -> list[float]:
    every = torch.tensor(paths(length))
    copies = emissions[row : row + 1, :length].expand(len(every), -1, -1)
    return layer(copies, every).exp().tolist()


def shaken(layer: CRF) -> CRF:
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.requires_grad:
                parameter.normal_()
    return layer.double()


@torch.no_grad()
def test_each_pair_of_labels_has_a_weight_vector_of_low_rank() -> None:
    # The form of Ma and Hovy: exp Σ_t W_ij · h_t + b_ij, with W of rank R.
    layer = shaken(InputCRF(K, R))
    states, gate = torch.randn(2, 3, 4).double(), torch.randn(R, 4).double()
    weights = torch.einsum("rij,rh->ijh", layer.matrices, gate)  # [K, K, H]
    scores = torch.randn(2, 3, K).double()
    emissions = torch.cat([scores, states @ gate.T], dim=2)
    for row, length in enumerate([3, 2]):
        totals = []
        for path in paths(length):
            total = layer.start_transitions[path[0]] + layer.end_transitions[path[-1]]
            total = total + sum(scores[row, t, k] for t, k in enumerate(path))
            for t in range(1, length):
                i, j = path[t - 1], path[t]
                total = total + weights[i, j] @ states[row, t] + layer.transitions[i, j]
            totals.append(math.exp(total))
        expected = [total / sum(totals) for total in totals]
        assert likelihoods(layer, emissions, row, length) == pytest.approx(expected)
        best = layer.decode(emissions, MASK)[row, :length].tolist()
        assert tuple(best) == paths(length)[expected.index(max(expected))]
        for t, label in product(range(length), range(K)):
            by_path = zip(expected, paths(length), strict=True)
            own = sum(p for p, path in by_path if path[t] == label)
            assert layer.marginals(emissions, MASK)[row, t, label].item() == pytest.approx(own)


def test_without_matrices_it_is_a_crf() -> None:
    layer, plain = InputCRF(K, R).double(), CRF(K).double()
    plain.load_state_dict(layer.state_dict(), strict=False)
    emissions = torch.randn(2, 3, K + R).double()
    torch.testing.assert_close(
        layer.log_partition(emissions, MASK), plain.log_partition(emissions[..., :K], MASK)
    )


def test_forbidden_paths_stay_forbidden_whatever_the_input() -> None:
    allowed = torch.ones(K, K, dtype=torch.bool)
    allowed[0, 1] = False
    layer = shaken(InputCRF(K, R, allowed_transitions=allowed))
    found = likelihoods(layer, 9 * torch.randn(1, 3, K + R).double(), 0, 3)
    assert sum(found) == pytest.approx(1)
    for probability, path in zip(found, paths(3), strict=True):
        assert (probability == 0) == ((0, 1) in pairwise(path))


@torch.no_grad()
def test_a_memm_is_a_product_of_softmaxes() -> None:
    layer, emissions = shaken(MEMM(K)), torch.randn(2, 3, K).double()
    expected = []
    for path in paths(3):
        scores = emissions[0, 0] + layer.start_transitions
        probability = scores.softmax(0)[path[0]].item()
        for t in (1, 2):
            scores = emissions[0, t] + layer.transitions[path[t - 1]]
            probability *= scores.softmax(0)[path[t]].item()
        expected.append(probability)
    assert likelihoods(layer, emissions, 0, 3) == pytest.approx(expected)
    assert layer.log_partition(emissions, MASK).tolist() == pytest.approx([0, 0], abs=1e-12)


def test_a_memm_has_the_label_bias_and_a_crf_has_not() -> None:
    # "rib" and "rob" (Lafferty et al. 2001): after labels 1 and 2 only one successor is likely, so
    # the middle letter, which alone tells the words apart, is ignored by the softmax of its step.
    labels = 5  # 0: r of rib, 1: i, 2: r of rob, 3: o, 4: b
    emissions = torch.zeros(1, 3, labels).double()
    emissions[0, 0, [0, 2]] = torch.tensor([10.0, 10.1]).double()  # r, with a light preference
    emissions[0, 1, 1] = 3.0  # the letter i
    emissions[0, 2, 4] = 10.0
    steps = torch.full((labels, labels), -20.0).double()
    for i, j in [(0, 1), (1, 4), (2, 3), (3, 4)]:
        steps[i, j] = 0.0
    found = {}
    for kind in (MEMM, CRF):
        layer = kind(labels).double()
        with torch.no_grad():
            layer.transitions.copy_(steps)
            layer.start_transitions.zero_()
            layer.end_transitions.zero_()
        found[kind] = layer.decode(emissions)[0].tolist()
    assert found == {MEMM: [2, 3, 4], CRF: [0, 1, 4]}


def test_ranks_are_positive() -> None:
    with pytest.raises(ValueError, match="rank: expected at least 1, got 0"):
        InputCRF(K, 0)
