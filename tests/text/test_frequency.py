"""Word frequencies as labels."""

from __future__ import annotations

import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.text.labels import FrequencyBins, LabelVocabulary

SENTENCES = [("the",) * 20, ("cat", "The", "cat", "cat"), ("dog", "dog")]


def test_a_bin_is_the_whole_part_of_the_logarithm_of_the_count() -> None:
    bins = FrequencyBins.of(SENTENCES)
    assert bins.labels == ("0", "1", "2")
    assert bins.read(("the", "cat", "The", "dog")) == ("2", "1", "0", "0")
    assert bins.encode(("the", "cat", "The", "dog")) == [2, 1, 0, 0]


def test_an_unknown_word_is_a_rare_one() -> None:
    bins = FrequencyBins.of(SENTENCES)
    assert bins.read(("new", "2")) == ("0", "0")
    assert FrequencyBins.of([("the",) * 3]).encode(("new", "the")) == [0, 1]


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 200), min_size=1))
def test_a_count_lies_between_two_powers_of_e(counts: dict[str, int]) -> None:
    bins = FrequencyBins.of([(word,) * count for word, count in counts.items()])
    for word, count in counts.items():
        (label,) = bins.read((word,))
        assert math.e ** int(label) <= count < math.e ** (int(label) + 1)


def test_labels_have_the_number_of_their_bin_also_beyond_ten_bins() -> None:
    bins = FrequencyBins({"the": 11, "of": 2})
    assert len(bins) == 12
    words = ("the", "of", "cat")
    assert bins.decode(bins.encode(words)) == bins.read(words) == ("11", "2", "0")


def test_they_are_kept_as_json() -> None:
    bins = FrequencyBins.of(SENTENCES)
    again = LabelVocabulary.from_json(json.loads(json.dumps(bins.to_json())))
    assert isinstance(again, FrequencyBins)
    assert again == bins
    assert again.read(("the", "cat")) == ("2", "1")


def test_other_labels_stand_for_themselves() -> None:
    assert LabelVocabulary(["a"], level="token").read(("a", "b")) == ("a", "b")
