"""Selection of the best epoch, and patience."""

from __future__ import annotations

import json
import math

import pytest

from mtl.training.selection import Selection, waited


def fed(selection: Selection, *epochs: dict[str, float]) -> list[bool]:
    """Give a selection the score of each task in each epoch; return which epochs were best."""
    return [
        selection.update({task: {"score": score} for task, score in scores.items()})
        for scores in epochs
    ]


def test_the_score_is_the_mean_over_the_tasks() -> None:
    selection = Selection("mean", {"a": True, "b": True})
    best = fed(selection, {"a": 0.2, "b": 0.4}, {"a": 0.9, "b": 0.0}, {"a": 0.1, "b": 0.1})
    assert selection.scores == pytest.approx([0.3, 0.45, 0.1])
    assert best == [True, True, False]


def test_an_adversary_has_no_share_in_the_mean() -> None:
    selection = Selection("mean", {"a": True, "genre": True}, adversaries={"genre"})
    best = fed(selection, {"a": 0.2, "genre": 0.9}, {"a": 0.3, "genre": 0.1})
    assert selection.scores == [0.2, 0.3]
    assert best == [True, True]


def test_one_score_of_one_task_may_decide() -> None:
    selection = Selection("a.recall", {"a": True, "b": True})
    selection.update({"a": {"f1": 0.5, "recall": 0.7}, "b": {"f1": 0.1}})
    assert selection.scores == [0.7]


def test_a_task_alone_decides_by_its_own_score() -> None:
    selection = Selection("a", {"a": True})
    selection.update({"a": {"f1": 0.5, "recall": 0.7}})
    assert selection.scores == [0.5]


def test_a_lower_loss_is_better_whatever_the_metric_is() -> None:
    selection = Selection("a.loss", {"a": True, "b": True}, patience=1)
    scores = {"a": {"f1": 0.5}, "b": {"f1": 0.1}}
    assert [selection.update(scores, {"a": loss}) for loss in (0.9, 0.7, 0.8)] == [1, 1, 0]
    assert selection.scores == [-0.9, -0.7, -0.8]
    assert (selection.best, selection.finished) == (1, True)


def test_a_score_of_a_metric_may_be_named_loss() -> None:
    selection = Selection("a.loss", {"a": False})
    assert [selection.update({"a": {"loss": loss}}) for loss in (0.9, 0.7, 0.8)] == [1, 1, 0]


@pytest.mark.parametrize("metric", ["mean", "a", "a.score"])
def test_lower_is_better_where_the_metric_says_so(metric: str) -> None:
    selection = Selection(metric, {"a": False})
    assert fed(selection, {"a": 9.0}, {"a": 5.0}, {"a": 7.0}) == [True, True, False]


def test_of_equal_scores_the_last_is_the_best_and_patience_counts_from_the_first() -> None:
    selection = Selection("mean", {"a": True}, patience=2)
    assert fed(selection, {"a": 0.5}, {"a": 0.5}, {"a": 0.5}) == [True, True, True]
    assert selection.best == 2
    reason = "no better dev score than in epoch 1, training.patience is 2 epochs"
    assert selection.reason == reason


def test_a_score_that_is_no_number_never_wins() -> None:
    selection = Selection("mean", {"a": True})
    assert fed(selection, {"a": 0.1}, {"a": math.nan}, {"a": 0.2}) == [True, False, True]


def test_the_run_stops_when_its_patience_is_out() -> None:
    selection = Selection("mean", {"a": True}, patience=2)
    fed(selection, {"a": 0.5}, {"a": 0.4})
    assert not selection.finished
    fed(selection, {"a": 0.5})
    assert selection.finished


def test_without_patience_the_run_never_stops() -> None:
    selection = Selection("mean", {"a": True})
    fed(selection, *[{"a": 0.5}] * 50)
    assert not selection.finished


def test_a_task_rests_when_its_own_patience_is_out_and_stays_so() -> None:
    selection = Selection("mean", {"a": True, "b": True}, task_patience={"a": 1})
    fed(selection, {"a": 0.5, "b": 0.1})
    assert selection.stopped == set()
    fed(selection, {"a": 0.4, "b": 0.2})
    assert selection.stopped == {"a"}
    fed(selection, {"a": 0.9, "b": 0.3})
    assert selection.stopped == {"a"}
    assert not selection.finished


def test_the_run_stops_when_every_task_rests() -> None:
    selection = Selection("mean", {"a": True, "b": True}, task_patience={"a": 1, "b": 2})
    fed(selection, *[{"a": 0.5, "b": 0.5}] * 2)
    assert not selection.finished
    fed(selection, {"a": 0.5, "b": 0.5})
    assert selection.finished
    assert selection.reason == "all tasks have stopped by their patience"


def test_it_goes_on_from_json_as_if_never_stopped() -> None:
    scores = [{"a": 0.5}, {"a": 0.4}, {"a": 0.3}]
    whole, first = (Selection("mean", {"a": True}, patience=2) for _ in range(2))
    fed(whole, *scores)
    fed(first, *scores[:2])
    second = Selection("mean", {"a": True}, patience=2)
    second.restore(json.loads(json.dumps(first.to_json())))
    fed(second, scores[2])
    assert second.finished == whole.finished is True
    assert second.to_json() == whole.to_json()


def test_waiting_is_counted_from_the_first_of_equal_bests() -> None:
    assert waited([]) == waited([math.nan]) == waited([0.1, 0.2]) == 0
    assert waited([0.3, 0.3, 0.2]) == 2
