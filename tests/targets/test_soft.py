"""Soft labels: distributions over labels per sentence and per token."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import rel_entr
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional

from mtl.heads import CRFTagger, SoftmaxTagger
from mtl.metrics.divergence import Divergence
from mtl.targets import SoftLabelTarget, TokenSoftLabelTarget
from mtl.targets.soft import SoftLabel


def test_the_loss_is_the_kl_divergence() -> None:
    scores, target = torch.randn(5, 3).double(), torch.rand(5, 3).double()
    target = target / target.sum(1, keepdim=True)
    expected = kl_divergence(Categorical(target), Categorical(logits=scores))
    torch.testing.assert_close(SoftLabel("abc").loss(scores, target), expected)


def test_a_label_with_all_the_weight_is_learned_as_a_single_label() -> None:
    scores = torch.randn(4, 3).double()
    ids = torch.tensor([0, 2, 1, 1])
    target = functional.one_hot(ids, 3).double()
    expected = functional.cross_entropy(scores, ids, reduction="none")
    torch.testing.assert_close(SoftLabel("abc").loss(scores, target), expected)


def test_a_perfect_prediction_costs_nothing() -> None:
    target = torch.tensor([[0.2, 0.8], [1.0, 0.0]]).double()
    loss = SoftLabel("ab").loss(target.clamp(min=1e-30).log(), target)
    torch.testing.assert_close(loss, torch.zeros(2).double())


def test_votes_are_divided_by_their_sum() -> None:
    assert SoftLabelTarget.read({"a": 3.0, "b": 1.0, "c": 0.0}, None) == {"a": 0.75, "b": 0.25}
    assert SoftLabelTarget.read("a=3; b=1", ";") == {"a": 0.75, "b": 0.25}
    assert SoftLabelTarget.read("", ";") is None
    assert TokenSoftLabelTarget.read(["a=1|b=1", "_"], "|") == ({"a": 0.5, "b": 0.5}, None)


@pytest.mark.parametrize(
    ("value", "separator", "message"),
    [
        ("a=1", None, "set `separator:` to the sign between the labels"),
        ("a=1;b", ";", "expected label=number, found 'b'"),
        ("a=1;b=x", ";", "expected label=number, found 'b=x'"),
        ("a=1;b=2", ",", "expected label=number, found 'a=1;b=2'; see `separator:`"),
        ("a=1;a=2", ";", "the label 'a' occurs twice in 'a=1;a=2'"),
        ({"a": 10**400, "b": 0.5}, None, "expected numbers of at least 0 with a finite sum"),
        ({"a": "1"}, None, "expected an object of label to number such as"),
        ({"a": None, "b": 1}, None, "expected an object of label to number such as"),
        ({"a": True}, None, "expected an object of label to number such as"),
        ({"": 1}, None, "expected an object of label to number such as"),
        ({"a": -1.0, "b": 2.0}, None, "expected numbers of at least 0 with a finite sum above 0"),
        ({"a": 0.0}, None, "expected numbers of at least 0 with a finite sum above 0"),
        ({"a": math.inf}, None, "expected numbers of at least 0 with a finite sum above 0"),
        ({"a": math.nan}, None, "expected numbers of at least 0 with a finite sum above 0"),
    ],
)
def test_other_values_are_errors(value: object, separator: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SoftLabelTarget.read(value, separator)


def test_a_tagger_sums_the_divergence_of_labelled_tokens() -> None:
    target = TokenSoftLabelTarget("ab")
    head = SoftmaxTagger(4, target.labelling()).double().eval()
    hidden, mask = torch.randn(2, 3, 4).double(), torch.tensor([[True] * 3, [True, True, False]])
    gold = target.tensor([({"a": 1.0}, None, {"a": 0.5, "b": 0.5}), None], 3).double()
    p = head.scores(hidden, mask)[0].softmax(1).tolist()
    loss = head.loss(hidden, mask, gold)
    first = rel_entr([1.0, 0.0], p[0]).sum() + rel_entr([0.5, 0.5], p[2]).sum()
    torch.testing.assert_close(loss, torch.tensor([first, 0.0]).double())
    assert head.decode(hidden, mask).shape == (2, 3, 2)


def test_heads_of_whole_sequences_take_no_distributions() -> None:
    assert SoftmaxTagger.accepts(TokenSoftLabelTarget)
    assert not CRFTagger.accepts(TokenSoftLabelTarget)
    with pytest.raises(ValueError, match="CRFTagger expects label names, got an objective"):
        CRFTagger(4, SoftLabel("ab"))


def test_options_of_single_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="expects one label per token"):
        SoftmaxTagger(4, SoftLabel("ab"), label_smoothing=0.1)


def test_the_metric_agrees_with_its_formulas() -> None:
    metric = Divergence()
    metric.update([{"a": 0.25, "b": 0.75}], [{"a": 0.5, "b": 0.5}])
    metric.update([({"a": 1.0}, None)], [({"a": 0.5, "b": 0.5}, {"a": 1.0})])
    q, p, m = [0.25, 0.75], [0.5, 0.5], [0.375, 0.625]
    second = [0.75, 0.25]
    kl = [rel_entr(q, p).sum(), math.log(2)]
    js = [
        (rel_entr(q, m).sum() + rel_entr(p, m).sum()) / 2,
        (rel_entr([1.0, 0.0], second).sum() + rel_entr([0.5, 0.5], second).sum()) / 2,
    ]
    found = metric.compute()
    assert found["divergence"] == pytest.approx(sum(kl) / 2)
    assert found["jensen_shannon"] == pytest.approx(sum(js) / 2 / math.log(2))
    halves = Divergence(), Divergence()
    halves[0].update([{"a": 0.25, "b": 0.75}], [{"a": 0.5, "b": 0.5}])
    halves[1].update([({"a": 1.0}, None)], [({"a": 0.5, "b": 0.5}, {"a": 1.0})])
    halves[0].merge(halves[1])
    assert halves[0].compute() == found


def test_a_label_that_training_never_saw_has_a_finite_divergence() -> None:
    metric = Divergence()
    metric.update([{"new": 1.0}], [{"a": 1.0}])
    assert metric.compute()["divergence"] == pytest.approx(12 * math.log(10))
