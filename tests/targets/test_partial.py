"""Partly labelled tokens: the likelihood of all label sequences that the sets allow."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from mtl.errors import MtlError
from mtl.heads import ConstrainedTagger, CRFTagger, SoftmaxTagger, Tagger
from mtl.targets import BuildContext, PartialLabelTarget, labelled

LABELS = "abc"
SETS = [
    (frozenset("ab"), frozenset(), frozenset("c")),
    (frozenset("b"), frozenset("ac")),
    (frozenset(),),
]


def batch(head: Tagger) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(2)
    mask = torch.tensor([[t < len(sets) for t in range(3)] for sets in SETS])
    target = PartialLabelTarget(LABELS).tensor(SETS, 3)
    return torch.randn(3, 3, 4, dtype=torch.float64), mask, target


def log_prob(head: Tagger, hidden: Tensor, path: tuple[int, ...]) -> float:
    """Return the log-probability of a whole path, from the loss of single labels."""
    mask = torch.ones(1, len(path), dtype=torch.bool)
    return -head.loss(hidden[:, : len(path)], mask, torch.tensor([path])).item()


@pytest.mark.parametrize("cls", [SoftmaxTagger, ConstrainedTagger, CRFTagger])
def test_the_likelihood_is_the_sum_over_all_allowed_paths(cls: type[Tagger]) -> None:
    head = cls(4, LABELS).double().eval()
    assert cls.accepts(PartialLabelTarget)
    hidden, mask, target = batch(head)
    losses = head.loss(hidden, mask, target)
    for row, sets in enumerate(SETS):
        allowed = [[LABELS.index(k) for k in (s or LABELS)] for s in sets]
        paths = [log_prob(head, hidden[row : row + 1], path) for path in product(*allowed)]
        expected = -torch.tensor(paths).double().logsumexp(0)
        torch.testing.assert_close(losses[row], expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("cls", [SoftmaxTagger, CRFTagger])
def test_one_possible_label_per_token_is_a_label(cls: type[Tagger]) -> None:
    head = cls(4, LABELS).double().eval()
    hidden, mask = torch.randn(1, 2, 4).double(), torch.ones(1, 2, dtype=torch.bool)
    target = PartialLabelTarget(LABELS).tensor([(frozenset("b"), frozenset("c"))], 2)
    expected = head.loss(hidden, mask, torch.tensor([[1, 2]]))
    torch.testing.assert_close(head.loss(hidden, mask, target), expected)


@pytest.mark.parametrize("cls", [SoftmaxTagger, CRFTagger])
def test_gradients_are_finite_also_beside_padding(cls: type[Tagger]) -> None:
    head = cls(4, LABELS).double()
    hidden, mask, target = batch(head)
    head.loss(hidden, mask, target).sum().backward()
    assert all(p.grad.isfinite().all() for p in head.parameters() if p.grad is not None)


def test_open_tokens_are_not_labelled() -> None:
    known = labelled(PartialLabelTarget(LABELS).tensor(SETS, 3))
    assert known.tolist() == [[True, False, True], [True, True, False], [False] * 3]


def test_only_sentences_with_one_label_per_token_are_compared() -> None:
    target = PartialLabelTarget(LABELS)
    assert target.comparable((frozenset("a"), frozenset("b"))) == ("a", "b")
    assert target.comparable((frozenset("a"), frozenset("ab"))) is None
    assert target.comparable((frozenset(),)) is None


def test_span_tags_get_all_tags_of_their_types() -> None:
    gold = [(frozenset(["B-X", "O"]), frozenset())]
    target = PartialLabelTarget.build(gold, BuildContext(scheme="bio"))
    assert target.labels == ("O", "B-X", "I-X")


def test_tags_of_another_scheme_are_an_error() -> None:
    target = PartialLabelTarget.build([(frozenset(["B-X"]),)], BuildContext(scheme="bio"))
    with pytest.raises(MtlError, match=r"none of the labels S-X is known; .* as bio tags"):
        target.tensor([(frozenset(["S-X"]),)], 1)
