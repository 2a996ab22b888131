"""Numberings of sets of labels and of numbers."""

from __future__ import annotations

import json
import math

import pytest

from mtl.errors import MtlError
from mtl.text.labels import LabelSets, LabelVocabulary, Numbers


def test_a_set_is_a_row_of_ones_and_zeros():
    labels = LabelSets(["sport", "art", "art"])
    assert labels.labels == ("art", "sport")
    assert labels.encode(frozenset(["sport"])) == [0.0, 1.0]
    assert labels.encode(frozenset()) == [0.0, 0.0]


def test_new_labels_of_sets_have_no_place_and_are_counted():
    labels = LabelSets(["art"])
    assert labels.encode(frozenset(["art", "war"])) == [1.0]
    assert labels.unseen([frozenset(["art", "war"]), frozenset(["war"])]) == {"war": 2}


def test_numbers_are_measured_as_a_population():
    labels = Numbers.of([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert (labels.mean, labels.scale) == (5.0, 2.0)
    assert labels.encode(7.5) == 7.5
    assert labels.unseen([1e9]) == {}


def test_numbers_that_are_all_the_same_keep_their_unit():
    assert Numbers.of([3.0, 3.0]) == Numbers(3.0, 1.0)


def test_what_is_missing_is_no_number():
    assert all(math.isnan(part) for part in LabelSets("ab").missing)
    assert math.isnan(Numbers(0.0, 1.0).missing)


@pytest.mark.parametrize("vocabulary", [LabelSets("ba"), Numbers(0.1, 0.3)])
def test_json_keeps_everything(vocabulary):
    again = LabelVocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert type(again) is type(vocabulary)
    assert again == vocabulary


def test_sets_are_not_single_labels():
    assert LabelSets("ab") != LabelVocabulary("ab", level="sentence")


def test_another_form_is_an_error():
    with pytest.raises(MtlError, match="expected a set of labels a sentence, got 'a'"):
        LabelSets("a").encode("a")
    with pytest.raises(MtlError, match="expected a number a sentence, got 'a'"):
        Numbers(0.0, 1.0).encode("a")
    with pytest.raises(MtlError, match="expected one label a sentence, got 1"):
        LabelVocabulary("a", level="sentence").encode(1.5)
