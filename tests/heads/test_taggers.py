"""The softmax and CRF taggers: losses, transitions, hidden layer and dropout."""

from __future__ import annotations

import math

import pytest
import torch
from torchcrf import CRF as TorchCRF

from mtl.heads import ConstrainedTagger, CRFTagger, SoftmaxTagger, Tagger

LABELS = ["O", "B-X", "I-X"]
TAGGERS = [SoftmaxTagger, ConstrainedTagger, CRFTagger]
MASK = torch.tensor([[True, True, True], [True, False, False]])


def scores_as_given(head: torch.nn.Module) -> None:
    """Make the output layer the identity, so that hidden states are scores."""
    head.output.load_state_dict({"weight": torch.eye(3), "bias": torch.zeros(3)})
    head.eval()


def test_softmax_losses_add_up_over_the_tokens() -> None:
    head = SoftmaxTagger(3, LABELS)
    scores_as_given(head)
    loss = head.loss(torch.zeros(2, 3, 3), MASK, torch.zeros(2, 3, dtype=torch.long))
    assert loss.tolist() == pytest.approx([3 * math.log(3), math.log(3)])


def test_crf_losses_equal_those_of_pytorch_crf() -> None:
    head, oracle = CRFTagger(3, LABELS), TorchCRF(3, batch_first=True)
    scores_as_given(head)
    oracle.load_state_dict(head.crf.state_dict())
    hidden, target = torch.randn(2, 3, 3), torch.tensor([[0, 1, 2], [2, -1, -1]])
    known = target.clamp(min=0)
    expected = -oracle(hidden, known, MASK, reduction="none")
    torch.testing.assert_close(head.loss(hidden, MASK, target), expected)


def test_transitions_overrule_what_tokens_say_by_themselves() -> None:
    head = CRFTagger(3, LABELS)
    scores_as_given(head)
    with torch.no_grad():
        head.crf.transitions[0, 2] = -100  # no I-X after O
        head.crf.start_transitions[2] = -100
    hidden = torch.tensor([[[1.0, 0.8, 0.0], [0.0, 0.5, 1.0], [0.0, 0.5, 1.0]]])
    assert hidden.argmax(2).tolist() == [[0, 2, 2]]
    assert head.decode(hidden, MASK[:1]).tolist() == [[1, 2, 2]]


@pytest.mark.parametrize("head", TAGGERS)
def test_a_hidden_layer_has_tanh_units(head: type[Tagger]) -> None:
    made = head(3, LABELS, hidden_size=7).eval()
    hidden = torch.randn(1, 2, 3)
    inner = torch.tanh(made.hidden[0](hidden))
    torch.testing.assert_close(made.scores(hidden, MASK[:1, :2]), made.output(inner))
    assert made.output.in_features == 7


@pytest.mark.parametrize("head", TAGGERS)
def test_dropout_takes_the_same_units_from_all_tokens(head: type[Tagger]) -> None:
    made = head(3, LABELS, dropout=0.5)
    hidden, mask = torch.ones(1, 9, 3), torch.ones(1, 9, dtype=torch.bool)
    scores = made.train().scores(hidden, mask)
    assert torch.equal(scores, scores[:, :1].expand_as(scores))
