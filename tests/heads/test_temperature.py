"""Probabilities at a temperature, against the enumeration of all label sequences."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from mtl.heads import ConstrainedTagger, CRFTagger, SoftmaxTagger, Tagger

LABELS = ["O", "B-X", "I-X"]
TAGGERS = [
    SoftmaxTagger,
    partial(ConstrainedTagger, scheme="bio"),
    CRFTagger,
    partial(CRFTagger, scheme="bio", constrained=True),
]
taggers = pytest.mark.parametrize("head", TAGGERS)
temperatures = pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7])
LENGTH = 4
PATHS = list(product(range(3), repeat=LENGTH))


def made(head: Callable[..., Tagger]) -> Tagger:
    torch.manual_seed(1)
    return head(4, LABELS).double().eval()


def sequences(tagger: Tagger, scores: Tensor, temperature: float) -> Tensor:
    """Return the probability of each sequence of `PATHS`: softmax of its score / temperature."""
    steps = tagger.steps() if isinstance(tagger, CRFTagger) else None
    totals = []
    for path in PATHS:
        total = sum(scores[place, label] for place, label in enumerate(path))
        if steps:
            transitions, start, end = steps
            total = total + start[path[0]] + end[path[-1]]
            for before, after in pairwise(path):
                total = total + transitions[before, after]
        totals.append(total / temperature)
    return torch.stack(totals).softmax(0)


@taggers
@temperatures
@torch.no_grad()
def test_marginals_and_spans_are_sums_over_sequences(
    head: Callable[..., Tagger], temperature: float
) -> None:
    tagger, mask = made(head), torch.ones(1, LENGTH, dtype=torch.bool)
    hidden = 3 * torch.randn(1, LENGTH, 4).double()
    scores = tagger.scores(hidden, mask)
    own = sequences(tagger, scores[0], temperature)
    paths = torch.tensor(PATHS)
    found = tagger.log_marginals(scores, mask, temperature).exp()[0]
    for place, label in product(range(LENGTH), range(3)):
        expected = own[paths[:, place] == label].sum()
        torch.testing.assert_close(found[place, label], expected, atol=1e-9, rtol=1e-6)
    labels = torch.tensor([[1, 1, 2, 0]])
    for start, end in ((0, 1), (1, 3), (0, 4)):
        chosen = torch.zeros_like(mask)
        chosen[0, start:end] = True
        joint = tagger.log_prob_of(scores, mask, labels, chosen, temperature).exp()
        same = (paths[:, start:end] == labels[:, start:end]).all(1)
        torch.testing.assert_close(joint[0], own[same].sum(), atol=1e-9, rtol=1e-6)


@taggers
@torch.no_grad()
def test_padding_does_not_matter(head: Callable[..., Tagger]) -> None:
    tagger = made(head)
    mask = torch.arange(6) < torch.tensor([6, 3, 0]).unsqueeze(1)
    hidden = torch.randn(3, 6, 4).double()
    other = torch.where(mask.unsqueeze(2), hidden, 100.0)
    found, again = (
        tagger.log_marginals(tagger.scores(states, mask), mask, 2.0) for states in (hidden, other)
    )
    assert torch.equal(found, again)
    assert not found[~mask].any()


@taggers
@torch.no_grad()
def test_temperature_one_changes_nothing(head: Callable[..., Tagger]) -> None:
    tagger, mask = made(head), torch.ones(2, 5, dtype=torch.bool)
    hidden = torch.randn(2, 5, 4).double()
    found = tagger.log_marginals(tagger.scores(hidden, mask), mask, 1.0)
    assert torch.equal(found, tagger.log_probs(hidden, mask))
