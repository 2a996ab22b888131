"""Subwords of language models."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.text.running import END, JOINER, continues_word, detokenize, length, whole_words
from mtl.text.subwords import BYTES, Subwords
from mtl.text.tokenizer import words_of

quick = settings(max_examples=50, deadline=None)
COUNTS = {"walk": 5, "walked": 4, "talked": 4, "naïve": 3, "日本": 2, "日本語": 2, JOINER: 2}
SUBWORDS = Subwords.learn(COUNTS, BYTES + 20)
odd = st.sampled_from([*COUNTS, "walking", "日", "é", "\U0010ffe9", "\U0010ff80", f"{JOINER}x"])
texts = st.lists(odd | st.text(max_size=6), max_size=6).map(" ".join)


def test_a_subword_begins_a_word_or_goes_on_with_one() -> None:
    walks = Subwords.learn({"walk": 9, "walked": 9}, BYTES + 4)
    assert walks.cut("walked  walk") == ["walk", "￭e", "￭d", "walk"]
    assert walks.cut("owl") == ["", "￭o", "￭w", "￭l"]


@quick
@given(texts)
def test_subwords_spell_any_text(text: str) -> None:
    assert "".join(detokenize(SUBWORDS.cut(text))) == " ".join(text.split())
    assert [*whole_words(SUBWORDS.cut(text))] == text.split()


@quick
@given(texts)
def test_words_and_characters_are_as_many_as_in_the_text(text: str) -> None:
    tokens = SUBWORDS.cut(text)
    assert sum(not continues_word(token) for token in tokens) == len(text.split())
    assert sum(map(length, tokens)) == sum(len(word) + 1 for word in text.split())


@quick
@given(texts)
def test_all_that_text_is_cut_into_is_known_and_no_two_are_written_alike(text: str) -> None:
    assert set(SUBWORDS.cut(text)) <= set(SUBWORDS.tokens)
    assert len(set(SUBWORDS.tokens)) == len(SUBWORDS.tokens)


def test_there_are_as_many_as_asked_for_if_the_text_repeats_as_many() -> None:
    assert len(SUBWORDS.tokens) == BYTES + 20
    assert len(Subwords.learn(COUNTS, BYTES).tokens) == BYTES
    assert len(Subwords.learn({"ox": 2, "y": 1}, BYTES + 20).tokens) == BYTES + 2


@quick
@given(texts)
def test_json_keeps_them(text: str) -> None:
    again = Subwords.from_json(json.loads(json.dumps(SUBWORDS.to_json())))
    assert again.cut(text) == SUBWORDS.cut(text)


def test_a_character_is_written_when_it_is_whole_and_a_broken_one_as_such() -> None:
    first, *later = Subwords.learn({}, BYTES).cut("€")[1:]
    assert [*detokenize(["", first, *later])] == ["", "", "", "€", ""]
    assert "".join(detokenize([first, "ox", END, *later])) == "\ufffd ox\n\ufffd\ufffd"


def test_what_is_to_be_cut_into_subwords_needs_some() -> None:
    assert words_of("walk on", "subwords", SUBWORDS) == SUBWORDS.cut("walk on")
    with pytest.raises(ValueError, match="expected learned subwords"):
        words_of("walk on", "subwords")
