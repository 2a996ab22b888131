"""Numberings of sets of labels and of numbers."""

from __future__ import annotations

import json

import pytest

from mtl.errors import MtlError
from mtl.targets import (
    LabelSetTarget,
    NumberTarget,
    SentenceLabelTarget,
    target_from_json,
    target_to_json,
)


def test_a_set_is_a_row_of_ones_and_zeros():
    labels = LabelSetTarget(["sport", "art", "art"])
    assert labels.labels == ("art", "sport")
    gold = [frozenset(["sport"]), frozenset()]
    assert labels.tensor(gold, 1).tolist() == [[0.0, 1.0], [0.0, 0.0]]


def test_new_labels_of_sets_have_no_place_and_are_counted():
    labels = LabelSetTarget(["art"])
    assert labels.tensor([frozenset(["art", "war"])], 1).tolist() == [[1.0]]
    assert labels.unseen([frozenset(["art", "war"]), frozenset(["war"])]) == {"war": 2}


def test_numbers_are_measured_as_a_population():
    labels = NumberTarget.of([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert (labels.mean, labels.scale) == (5.0, 2.0)
    assert labels.tensor([7.5], 1).tolist() == [7.5]
    assert labels.unseen([1e9]) == {}


def test_numbers_that_are_all_the_same_keep_their_unit():
    assert NumberTarget.of([3.0, 3.0]) == NumberTarget(3.0, 1.0)


def test_what_is_missing_is_no_number():
    assert LabelSetTarget("ab").tensor([None], 1).isnan().all()
    assert NumberTarget(0.0, 1.0).tensor([None], 1).isnan().all()


@pytest.mark.parametrize("vocabulary", [LabelSetTarget("ba"), NumberTarget(0.1, 0.3)])
def test_json_keeps_everything(vocabulary):
    again = target_from_json(json.loads(json.dumps(target_to_json(vocabulary))))
    assert type(again) is type(vocabulary)
    assert again == vocabulary


def test_sets_are_not_single_labels():
    assert LabelSetTarget("ab") != SentenceLabelTarget("ab")


def test_another_form_is_an_error():
    with pytest.raises(MtlError, match="expected a set of labels per sentence, got 'a'"):
        LabelSetTarget("a").tensor(["a"], 1)
    with pytest.raises(MtlError, match="expected a number per sentence, got 'a'"):
        NumberTarget(0.0, 1.0).tensor(["a"], 1)
    with pytest.raises(MtlError, match="expected one label per sentence, got 1"):
        SentenceLabelTarget("a").encode(1.5)
