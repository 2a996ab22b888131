"""Vocabularies of words, characters, n-grams, affixes and subwords."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.errors import OptionError
from mtl.text.vocabulary import (
    PAD,
    UNKNOWN,
    AffixVocabulary,
    CharacterVocabulary,
    NgramVocabulary,
    SubwordVocabulary,
    WordVocabulary,
    word_shape,
)

quick = settings(max_examples=30, deadline=None)
ALL = [
    WordVocabulary,
    CharacterVocabulary,
    NgramVocabulary,
    AffixVocabulary,
    SubwordVocabulary,
]
every = pytest.mark.parametrize("kind", ALL)
COUNTS = {"The": 5, "the": 4, "cat": 3, "Cats": 3, "1984": 2, "naïve": 1}
words = st.text(st.characters(codec="utf-8", exclude_categories=["Zs", "Cc"]), min_size=1)


@every
def test_the_order_of_the_words_does_not_matter(kind):
    backwards = dict(reversed(COUNTS.items()))
    assert kind.build(COUNTS).to_json() == kind.build(backwards).to_json()


@every
@quick
@given(word=words)
def test_json_keeps_everything(kind, word):
    vocabulary = kind.build(COUNTS)
    again = kind.from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert again.encode(word) == vocabulary.encode(word)
    assert again.sizes() == vocabulary.sizes()


@every
@quick
@given(word=words)
def test_numbers_index_the_tables(kind, word):
    vocabulary = kind.build(COUNTS)
    numbers, sizes = list(vocabulary.encode(word)), vocabulary.sizes()
    limits = sizes if len(sizes) > 1 else sizes * len(numbers)
    assert all(PAD < number < limit for number, limit in zip(numbers, limits, strict=True))
    assert vocabulary.width in (None, len(numbers))


def test_words_are_numbered_by_frequency_then_alphabet():
    vocabulary = WordVocabulary.build({"b": 2, "c": 9, "a": 2})
    assert vocabulary.words == ["<pad>", "<unk>", "c", "a", "b"]
    assert vocabulary.encode("a") == (3,)


def test_rare_and_new_words_are_unknown():
    vocabulary = WordVocabulary.build(COUNTS, min_count=3)
    assert vocabulary.encode("1984") == vocabulary.encode("dog") == (UNKNOWN,)


def test_forms_that_differ_in_case_are_counted_together():
    assert WordVocabulary.build({"A": 1, "a": 1}, min_count=2).encode("A") != (UNKNOWN,)
    cased = WordVocabulary.build({"A": 1, "a": 1}, lowercase=False)
    assert cased.encode("A") != cased.encode("a")


def test_digits_may_be_taken_as_one():
    vocabulary = WordVocabulary.build(COUNTS, digits=True)
    assert vocabulary.encode("2026") == vocabulary.encode("1984") != (UNKNOWN,)
    assert WordVocabulary.build(COUNTS).encode("2026") == (UNKNOWN,)


def test_further_words_are_known_and_come_last():
    vocabulary = WordVocabulary.build(
        {"cat": 2, "rare": 1}, None, ["Dog", "cat", "dog"], min_count=2
    )
    assert vocabulary.words[2:] == ["cat", "dog"]


def test_an_unknown_word_still_has_its_characters():
    vocabulary = CharacterVocabulary.build(COUNTS)
    start, *inner, end = vocabulary.encode("tact")
    assert UNKNOWN not in inner
    assert inner[0] == inner[3]
    assert len({start, end, *inner}) == 5


def test_rare_characters_are_unknown():
    assert CharacterVocabulary.build(COUNTS).encode("ï")[1] == UNKNOWN
    assert CharacterVocabulary.build(COUNTS, min_character_count=1).encode("ï")[1] != UNKNOWN


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_a_long_word_keeps_its_first_and_last_characters(limit):
    vocabulary = CharacterVocabulary.build({"abcdef": 2}, max_characters=limit)
    kept = {1: "a", 2: "af", 3: "abf", 4: "abef"}[limit]
    assert vocabulary.encode("abcdef") == vocabulary.encode(kept)


def test_ngrams_are_counted_with_the_borders_of_words():
    vocabulary = NgramVocabulary.build({"ox": 2, "fox": 1}, min_ngram_count=3, longest=3)
    assert vocabulary.ngrams == ["ox", "ox>", "x>"]
    assert len(vocabulary.encode("box")) == 3
    assert vocabulary.encode("ηθ") == [UNKNOWN]


def test_a_long_word_has_the_ngrams_of_its_ends():
    vocabulary = NgramVocabulary.build({"abcdef": 3}, max_word=4)
    assert vocabulary.encode("abcdef") == vocabulary.encode("abef")


def test_ngrams_have_a_length():
    with pytest.raises(OptionError, match="longest: expected at least shortest = 3, got 2"):
        NgramVocabulary.build({"ox": 3}, shortest=3, longest=2)


def test_affixes_are_known_from_other_words():
    vocabulary = AffixVocabulary.build({"walking": 2, "talked": 2}, min_affix_count=2)
    prefix, short, long, shape = vocabulary.encode("Waning")
    assert (prefix, shape) == (UNKNOWN, UNKNOWN)
    assert UNKNOWN not in (short, long)


@pytest.mark.parametrize(
    ("word", "shape"), [("USA", "XXX"), ("iPhone5", "xXxxxd"), ("$3.50", "$d.dd"), ("", "")]
)
def test_the_shape_of_a_word_is_its_cases_and_digits(word, shape):
    assert word_shape(word) == shape


def test_frequent_pairs_become_subwords():
    vocabulary = SubwordVocabulary.build({"low": 5, "lower": 3, "newest": 3}, pieces=300)
    assert len(vocabulary.encode("low")) == 1
    assert len(vocabulary.encode("lowest")) < len("lowest")


def test_every_byte_is_a_subword_so_that_nothing_is_unknown():
    vocabulary = SubwordVocabulary.build({"a": 2}, pieces=258)
    assert vocabulary.sizes() == [258]
    assert len(vocabulary.encode("ï")) == 2
    assert UNKNOWN not in vocabulary.encode("日本")
