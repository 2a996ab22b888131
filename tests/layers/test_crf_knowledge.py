"""CRFs with constraints and with partly known labels."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from mtl.layers import CRF
from tests.ops.enumeration import Chain

few = settings(max_examples=20)
lengths = st.lists(st.integers(1, 5), min_size=1, max_size=3)
# O, B, I of a BIO scheme: I follows B or I and never comes first; here no sentence ends with B.
TRANSITIONS = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 1, 1]]) > 0
START, END = torch.tensor([True, True, False]), torch.tensor([True, False, True])


def constrained() -> CRF:
    layer = CRF(3, allowed_transitions=TRANSITIONS, allowed_start=START, allowed_end=END)
    return layer.double()


def chain_of(layer: CRF, emissions: Tensor, mask: Tensor) -> Chain:
    """The scores of a layer without constraints."""
    weights = layer.transitions, layer.start_transitions, layer.end_transitions
    return Chain(emissions, *(x.detach() for x in weights), mask)


def follows(path: tuple[int, ...]) -> bool:
    """Whether the scheme allows the path, in words of its own."""
    text = "".join("OBI"[label] for label in path)
    return text[0] != "I" and "OI" not in text and text[-1] != "B"


@few
@given(lengths, st.integers(0, 999))
def test_only_allowed_paths_have_a_share(lengths: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    layer, chain = constrained(), Chain.random(lengths, 3)
    given = chain_of(layer, chain.emissions, chain.mask)
    paths, scores = layer.decode_n_best(chain.emissions, chain.mask, 3)
    totals = layer.log_partition(chain.emissions, chain.mask).tolist()
    for row, length in enumerate(lengths):
        allowed = {path: s for path, s in given.paths(row).items() if follows(path)}
        total = math.log(sum(math.exp(score) for score in allowed.values()))
        assert totals[row] == pytest.approx(total)
        best = max(allowed, key=lambda path: allowed[path])
        assert tuple(layer.decode(chain.emissions, chain.mask)[row, :length].tolist()) == best
        assert tuple(paths[row, 0, :length].tolist()) == best
        assert scores[row, 0].item() == pytest.approx(allowed[best])


@few
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(0, 999))
def test_whatever_the_scores_no_forbidden_path_is_decoded(lengths, seed: int) -> None:
    torch.manual_seed(seed)
    layer, chain = constrained(), Chain.random(lengths, 3, scale=100.0)
    for row, path in enumerate(layer.decode(chain.emissions, chain.mask).tolist()):
        assert follows(tuple(path[: lengths[row]]))


def test_training_under_constraints_has_the_right_gradients() -> None:
    layer, mask = constrained(), torch.arange(4) < torch.tensor([[4], [2]])
    emissions = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    tags = torch.tensor([[0, 1, 2, 0], [1, 2, 0, 0]])

    def loss(emissions: Tensor, *weights: Tensor) -> Tensor:
        names = [name for name, _ in layer.named_parameters()]
        given = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(layer, given, (emissions, tags, mask))

    assert gradcheck(loss, (emissions, *layer.parameters()))


def test_a_forbidden_label_sequence_has_probability_zero() -> None:
    emissions, tags = torch.zeros(1, 2, 3).double(), torch.tensor([[0, 2]])
    assert constrained()(emissions, tags).item() == -math.inf


def test_constraints_are_no_part_of_the_state_dict() -> None:
    free, layer = CRF(3).double(), constrained()
    layer.load_state_dict(free.state_dict())
    free.load_state_dict(layer.state_dict())
    emissions = torch.tensor([[[0.0, 0, 9], [9, 0, 8]]]).double()
    assert free.decode(emissions).tolist() == [[2, 0]]
    assert layer.decode(emissions).tolist() == [[0, 0]]


@few
@given(lengths, st.integers(1, 4), st.integers(0, 999))
def test_labels_known_in_part_sum_over_what_is_possible(lengths, labels: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer, chain = CRF(labels).double(), Chain.random(lengths, labels)
    possible = torch.rand(chain.emissions.shape) < 0.6
    possible[..., 0] = True
    given = chain_of(layer, chain.emissions, chain.mask)
    found = layer(chain.emissions, possible, chain.mask)
    for row, length in enumerate(lengths):
        among = product(*(possible[row, t].nonzero().flatten().tolist() for t in range(length)))
        scores = given.paths(row)
        expected = math.log(sum(math.exp(scores[path]) for path in among)) - given.partition(row)
        assert found[row].item() == pytest.approx(expected, abs=1e-12)


def test_labels_known_in_part_have_the_right_gradients() -> None:
    layer, mask = CRF(3).double(), torch.arange(4) < torch.tensor([[4], [2]])
    possible = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 1, 1]]).expand(2, 4, 3) > 0
    emissions = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda e: layer(e, possible, mask), emissions)


def test_known_labels_in_either_form_are_the_same() -> None:
    layer, tags = CRF(4).double(), torch.randint(4, (3, 5))
    emissions = torch.randn(3, 5, 4).double()
    known = torch.nn.functional.one_hot(tags, 4).bool()
    torch.testing.assert_close(layer(emissions, known), layer(emissions, tags))


def test_nothing_known_is_certain() -> None:
    emissions = torch.randn(3, 5, 4)
    found = CRF(4)(emissions, torch.ones(3, 5, 4, dtype=torch.bool))
    assert torch.equal(found, torch.zeros(3))


def test_allowed_of_another_shape_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"allowed_start: expected bool \[3\], got torch.bool \[2\]"
    ):
        CRF(3, allowed_start=torch.ones(2) > 0)


@pytest.mark.parametrize("name", ["allowed_start", "allowed_end"])
def test_no_allowed_label_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected at least one label"):
        CRF(3, **{name: torch.zeros(3) > 0})
