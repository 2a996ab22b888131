"""Spans with their confidence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

import pytest
import torch

from mtl.errors import MtlError
from mtl.heads import ConstrainedTagger, CRFTagger, SoftmaxTagger, Tagger
from mtl.text.spans import Span, read_spans

LABELS = ["O", "B-X", "I-X"]
TAGGERS = [
    SoftmaxTagger,
    partial(ConstrainedTagger, scheme="bio"),
    CRFTagger,
    partial(CRFTagger, scheme="bio", constrained=True),
]
taggers = pytest.mark.parametrize("head", TAGGERS)


def made(head: Callable[..., Tagger]) -> Tagger:
    return head(4, LABELS).double().eval()


@taggers
def test_the_confidence_is_the_probability_of_all_paths_so_labelled(
    head: Callable[..., Tagger],
) -> None:
    tagger, mask = made(head), torch.ones(27, 3, dtype=torch.bool)
    paths = torch.tensor(list(product(range(3), repeat=3)))
    for _ in range(20):
        hidden = 3 * torch.randn(1, 3, 4).double()
        likelihoods = tagger.loss(hidden.expand(27, -1, -1), mask, paths).neg().exp()
        decoded = tagger.decode(hidden, mask[:1])[0]
        for (_, start, end), confidence in tagger.spans(hidden, mask[:1])[0]:
            same = (paths[:, start:end] == decoded[start:end]).all(1)
            assert confidence == pytest.approx(likelihoods[same].sum().item())


@taggers
def test_spans_are_those_of_the_labels_given(head: Callable[..., Tagger]) -> None:
    tagger, hidden = made(head), 3 * torch.randn(8, 6, 4).double()
    mask = torch.arange(6) < torch.tensor([6, 5, 4, 3, 2, 1, 0, 6]).unsqueeze(1)
    found = tagger.spans(hidden, mask)
    for row, own in enumerate(found):
        tags = [LABELS[i] for i in tagger.decode(hidden, mask)[row][mask[row]]]
        assert [span for span, _ in own] == read_spans(tags)
    assert sum(map(len, found)) > 0


def test_without_spans_there_are_none() -> None:
    tagger = SoftmaxTagger(1, LABELS).eval()
    torch.nn.init.zeros_(tagger.output.weight)
    tagger.output.bias.data = torch.tensor([1.0, 0.0, 0.0])
    assert tagger.spans(torch.ones(2, 3, 1), torch.ones(2, 3, dtype=torch.bool)) == [[], []]


def test_a_certain_span_has_confidence_one() -> None:
    tagger = SoftmaxTagger(1, LABELS).eval()
    tagger.output.load_state_dict({"weight": torch.zeros(3, 1), "bias": torch.tensor([0.0, 99, 0])})
    (found,) = tagger.spans(torch.ones(1, 1, 1), torch.ones(1, 1, dtype=torch.bool))
    assert found == [(Span("X", 0, 1), 1.0)]


def test_labels_that_are_no_spans_are_an_error() -> None:
    tagger = SoftmaxTagger(1, ["NOUN", "VERB"]).eval()
    with pytest.raises(MtlError, match="is not a span tag"):
        tagger.spans(torch.ones(1, 1, 1), torch.ones(1, 1, dtype=torch.bool))


def test_the_confidence_is_exact_in_long_documents() -> None:
    torch.manual_seed(0)
    tagger, mask = CRFTagger(4, LABELS).eval(), torch.ones(1, 600, dtype=torch.bool)
    scores, labels = 3 * torch.randn(1, 600, 3) + 9, torch.randint(0, 3, (1, 600))
    chosen = torch.zeros_like(mask)
    chosen[0, 300] = True
    labels[0, 300] = scores[0, 300].argmax()
    with torch.no_grad():
        found = tagger.log_prob_of(scores, mask, labels, chosen)
        exact = tagger.double().log_prob_of(scores.double(), mask, labels, chosen)
    torch.testing.assert_close(found.double(), exact, atol=2e-5, rtol=0)
