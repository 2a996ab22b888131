"""Labels drawn from heads have the probabilities of the model."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from mtl.heads import CRFTagger, SoftmaxTagger
from mtl.heads.pool import PoolClassifier

DRAWS = 4000


@pytest.mark.parametrize("cls", [SoftmaxTagger, CRFTagger])
def test_sequences_have_the_probabilities_of_the_loss(
    cls: type[SoftmaxTagger] | type[CRFTagger],
) -> None:
    head = cls(4, ["a", "b", "c"]).double().eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_()
    hidden = torch.randn(1, 2, 4, dtype=torch.float64)
    mask = torch.ones(1, 2, dtype=torch.bool)
    paths = list(product(range(3), repeat=2))
    with torch.no_grad():
        many = hidden.expand(DRAWS, -1, -1), mask.expand(DRAWS, -1)
        drawn = [tuple(row) for row in head.sample(*many).tolist()]
        targets = torch.tensor(paths)
        count = len(paths)
        losses = head.loss(hidden.expand(count, -1, -1), mask.expand(count, -1), targets)
    expected = (-losses).exp()
    torch.testing.assert_close(expected.sum().item(), 1.0)
    found = torch.tensor([drawn.count(path) / DRAWS for path in paths], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=4 / DRAWS**0.5)


def test_padding_is_zero_and_classifiers_draw_one_label_per_sentence() -> None:
    hidden, mask = torch.randn(2, 3, 4), torch.tensor([[True, True, True], [True, False, False]])
    for tagger in (SoftmaxTagger(4, ["a", "b"]), CRFTagger(4, ["a", "b"])):
        drawn = tagger.eval().sample(hidden, mask)
        assert drawn.shape == mask.shape
        assert not drawn[~mask].any()
    classifier = PoolClassifier(4, ["a", "b"]).eval()
    assert classifier.sample(hidden, mask).shape == (2,)
