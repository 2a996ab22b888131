"""Sets of labels per token."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from mtl.heads import SoftmaxTagger
from mtl.metrics import SetF1
from mtl.targets import TokenSetTarget


def test_cells_are_cut_and_the_sign_of_no_value_is_the_empty_set() -> None:
    found = TokenSetTarget.read(["a|b", "_", "c"], "|")
    assert found == (frozenset("ab"), frozenset(), frozenset("c"))
    assert TokenSetTarget.read([["a"], [], None], None) == (frozenset("a"), frozenset(), None)


def test_a_set_of_the_sentence_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected a set of labels per token, found 'a'"):
        TokenSetTarget.read("a", "|")


def test_the_loss_is_the_binary_cross_entropy_of_labelled_tokens() -> None:
    target = TokenSetTarget("ab")
    head = SoftmaxTagger(4, target.labelling()).double().eval()
    hidden, mask = torch.randn(2, 3, 4).double(), torch.tensor([[True] * 3, [True, False, False]])
    gold = target.tensor([(frozenset("a"), None, frozenset()), (frozenset("ab"),)], 3).double()
    scores = head.scores(hidden, mask)
    bce = functional.binary_cross_entropy_with_logits(scores, gold.nan_to_num(), reduction="none")
    expected = torch.stack([bce[0, 0].sum() + bce[0, 2].sum(), bce[1, 0].sum()])
    torch.testing.assert_close(head.loss(hidden, mask, gold), expected)
    chosen = head.objective.named(head.decode(hidden, mask)[0])
    above = scores[0] > 0
    assert chosen == [frozenset(k for k, on in zip("ab", row, strict=True) if on) for row in above]


def test_f1_is_over_the_tokens_that_have_a_gold_set() -> None:
    metric = SetF1()
    metric.update(
        [(frozenset("a"), None, frozenset())], [(frozenset("ab"), frozenset("a"), frozenset())]
    )
    assert metric.compute()["set_f1"] == pytest.approx(2 / 3)
    assert metric.compute()["subset_accuracy"] == 0.5
