"""One label, a set of labels or a number: what a classifier learns from its scores."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, log_loss

from mtl.heads import LabelSet, Number, PoolClassifier
from mtl.targets.label_set import best_threshold

PROBABILITIES = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.5000001, 0.7, 0.7, 1.0])
SENTENCES = st.lists(st.tuples(PROBABILITIES, st.booleans()), min_size=1, max_size=12)


def f1(probabilities: list[float], gold: list[bool], threshold: float) -> float:
    return float(f1_score(gold, [p > threshold for p in probabilities], zero_division=0))


def test_the_loss_of_a_set_is_the_sum_over_its_labels() -> None:
    scores, target = torch.randn(4, 3).double(), torch.randint(2, (4, 3)).double()
    columns = zip(target.T, scores.sigmoid().T, strict=True)
    expected = sum(log_loss(gold, p, labels=[0, 1], normalize=False) for gold, p in columns)
    assert LabelSet("abc").loss(scores, target).sum().item() == pytest.approx(expected)


def test_a_set_has_the_labels_above_their_thresholds_and_may_be_empty() -> None:
    objective = LabelSet("abc")
    objective.thresholds.copy_(torch.tensor([0.5, 0.9, 0.1]))
    scores = torch.tensor([[0.2, 2.0, -2.0], [0.0, 3.0, -3.0], [-9.0, -9.0, -9.0]])
    found = objective.named(objective.decode(scores))
    assert found == [frozenset("ac"), frozenset("b"), frozenset()]


@given(SENTENCES)
def test_no_threshold_has_a_higher_f1(pairs: list[tuple[float, bool]]) -> None:
    probabilities, gold = (list(side) for side in zip(*pairs, strict=True))
    best = best_threshold(torch.tensor(probabilities), torch.tensor(gold).float())
    tried = [-0.1, 0.5, *(p - 1e-9 for p in probabilities if p > 0), *probabilities]
    own = torch.tensor(probabilities).tolist()  # as a model gives them
    others = [f1(own, gold, t) for t in [t for t in tried if t >= 0]]
    assert f1(own, gold, best) == pytest.approx(max(others))


def test_a_threshold_stays_where_no_other_is_better() -> None:
    gold = torch.tensor([1.0, 0.0])
    assert best_threshold(torch.tensor([0.9, 0.2]), gold) == 0.5
    assert best_threshold(torch.tensor([0.9, 0.2]), torch.zeros(2)) == 0.5
    assert best_threshold(torch.tensor([0.4, 0.2]), gold) == pytest.approx(0.3)


def test_fitting_sets_a_threshold_a_label_which_is_saved() -> None:
    head = PoolClassifier(2, LabelSet("ab"))
    scores = torch.tensor([[0.4, 0.9], [0.2, 0.1]]).logit()
    head.objective.fit(scores, torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    torch.testing.assert_close(head.state_dict()["objective.thresholds"], torch.tensor([0.3, 0.5]))
    assert not any("thresholds" in name for name, _ in head.named_parameters())


def test_the_loss_of_a_number_is_a_shifted_normal_likelihood() -> None:
    scores, target = torch.randn(5, 1).double(), 10 * torch.randn(5).double()
    normal = torch.distributions.Normal(scores.squeeze(1), 1.0)
    expected = -normal.log_prob((target - 7) / 3) - math.log(2 * math.pi) / 2
    torch.testing.assert_close(Number(7, 3).loss(scores, target), expected)


def test_numbers_come_back_in_their_own_unit() -> None:
    decoded = Number(mean=100, scale=15).decode(torch.tensor([[0.0], [2.0], [-1.0]]))
    assert Number().named(decoded) == [100, 130, 85]


def test_numbers_that_do_not_vary_have_no_deviation() -> None:
    with pytest.raises(ValueError, match="scale: expected a number above 0, got 0"):
        Number(mean=1, scale=0)


def test_a_head_of_single_labels_has_no_further_weights() -> None:
    assert PoolClassifier(2, ["a", "b"]).state_dict().keys() == {"output.weight", "output.bias"}
