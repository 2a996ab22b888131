"""How frequent words are, as labels."""

from __future__ import annotations

import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.targets import (
    BuildContext,
    FrequencyTarget,
    TokenLabelTarget,
    target_from_json,
    target_to_json,
)

SENTENCES = [("the",) * 20, ("cat", "The", "cat", "cat"), ("dog", "dog")]


def test_a_bin_is_the_whole_part_of_the_logarithm_of_the_count() -> None:
    bins = FrequencyTarget.build(SENTENCES, BuildContext())
    assert bins.labels == ("0", "1", "2")
    assert bins.comparable(("the", "cat", "The", "dog")) == ("2", "1", "0", "0")
    assert bins.encode(("the", "cat", "The", "dog")) == [2, 1, 0, 0]


def test_an_unknown_word_is_a_rare_one() -> None:
    bins = FrequencyTarget.build(SENTENCES, BuildContext())
    assert bins.comparable(("new", "2")) == ("0", "0")
    assert FrequencyTarget.build([("the",) * 3], BuildContext()).encode(("new", "the")) == [0, 1]


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 200), min_size=1))
def test_a_count_lies_between_two_powers_of_e(counts: dict[str, int]) -> None:
    bins = FrequencyTarget.build(
        [(word,) * count for word, count in counts.items()], BuildContext()
    )
    for word, count in counts.items():
        (label,) = bins.comparable((word,))
        assert math.e ** int(label) <= count < math.e ** (int(label) + 1)


def test_labels_have_the_number_of_their_bin_also_beyond_ten_bins() -> None:
    bins = FrequencyTarget({"the": 11, "of": 2})
    assert len(bins) == 12
    words = ("the", "of", "cat")
    assert bins.decode(bins.encode(words)) == bins.comparable(words) == ("11", "2", "0")


def test_they_are_kept_as_json() -> None:
    bins = FrequencyTarget.build(SENTENCES, BuildContext())
    again = target_from_json(json.loads(json.dumps(target_to_json(bins))))
    assert isinstance(again, FrequencyTarget)
    assert again == bins
    assert again.comparable(("the", "cat")) == ("2", "1")


def test_other_labels_stand_for_themselves() -> None:
    assert TokenLabelTarget(["a"]).comparable(("a", "b")) == ("a", "b")
