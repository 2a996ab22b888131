"""Vocabularies of labels, and the schemes of span labels."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.errors import MtlError
from mtl.targets import (
    MISSING,
    BuildContext,
    SentenceLabelTarget,
    TokenLabelTarget,
    target_from_json,
    target_to_json,
)
from mtl.text.spans import PREFIXES, SCHEMES, convert

quick = settings(max_examples=50, deadline=None)
bio = st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"]), min_size=1, max_size=6)


def test_outside_is_first_and_the_rest_by_alphabet():
    labels = [("VERB", "A"), ("O", "NOUN"), ("A",)]
    assert TokenLabelTarget.build(labels, BuildContext()).labels == ("O", "A", "NOUN", "VERB")


@quick
@given(
    st.lists(bio.map(tuple), min_size=1, max_size=4).flatmap(
        lambda s: st.tuples(st.just(s), st.permutations(s))
    ),
    st.sampled_from([None, *SCHEMES]),
)
def test_the_order_of_sentences_does_not_matter(two, scheme):
    first, second = (TokenLabelTarget.build(s, BuildContext(scheme=scheme)) for s in two)
    assert first == second
    assert hash(first) == hash(second)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_type_that_occurs_has_all_its_tags(scheme):
    vocabulary = TokenLabelTarget.build([("O", "I-PER")], BuildContext(scheme=scheme))
    assert set(vocabulary.labels) == {"O", *(f"{p}-PER" for p in PREFIXES[scheme])}


def test_spans_without_a_type_are_closed_too():
    vocabulary = TokenLabelTarget.build([("O", "B")], BuildContext(scheme="iobes"))
    assert vocabulary.labels == ("O", "B", "E", "I", "S")


@quick
@given(bio, st.sampled_from(SCHEMES))
def test_span_tags_come_back_in_the_scheme_of_the_head(tags, scheme):
    vocabulary = TokenLabelTarget.build([tuple(tags)], BuildContext(scheme=scheme))
    numbers = vocabulary.encode(tuple(tags))
    assert vocabulary.decode(numbers) == tuple(convert(tags, scheme))


def test_without_a_scheme_labels_stay_as_they_are():
    vocabulary = TokenLabelTarget.build([("I-X", "O", "I-X")], BuildContext())
    assert vocabulary.decode(vocabulary.encode(("I-X", "O"))) == ("I-X", "O")
    assert vocabulary.labels == ("O", "I-X")


def test_a_sentence_label_is_one_number():
    vocabulary = SentenceLabelTarget.build(["pos", "neg", "pos"], BuildContext())
    assert vocabulary.encode("pos") == [1]
    assert vocabulary.decode([1]) == ("pos",)
    assert len(vocabulary) == 2


def test_new_labels_are_unseen_and_counted():
    vocabulary = TokenLabelTarget.build([("B-X", "O")], BuildContext(scheme="bio"))
    new = ("I-Y", "I-Y", "I-X")
    assert vocabulary.encode(new) == [MISSING, MISSING, vocabulary.labels.index("B-X")]
    assert vocabulary.unseen([new, ("O",)]) == {"B-Y": 1, "I-Y": 1}


@pytest.mark.parametrize(
    "vocabulary",
    [
        SentenceLabelTarget.build(["b", "a"], BuildContext()),
        TokenLabelTarget.build([("O", "B-X")], BuildContext(scheme="iobes")),
    ],
)
def test_json_keeps_everything(vocabulary):
    again = target_from_json(json.loads(json.dumps(target_to_json(vocabulary))))
    assert again == vocabulary
    assert (again.labels, again.level, again.scheme) == (
        vocabulary.labels,
        vocabulary.level,
        vocabulary.scheme,
    )


def test_other_labels_scheme_or_level_make_another_vocabulary():
    one = TokenLabelTarget(["O", "B-X", "I-X"], scheme="bio")
    assert one != TokenLabelTarget(["O", "B-X", "I-X"])
    assert one != TokenLabelTarget(["O"], scheme="bio")
    assert one != ("O", "B-X", "I-X")


def test_a_scheme_for_labels_that_are_no_spans_is_an_error():
    with pytest.raises(MtlError, match="'NOUN' is not a span tag"):
        TokenLabelTarget.build([("NOUN",)], BuildContext(scheme="bio"))


def test_labels_of_the_wrong_level_are_an_error():
    with pytest.raises(MtlError, match=r"expected one label per sentence, got \('A',\)"):
        SentenceLabelTarget.build([("A",)], BuildContext())
    with pytest.raises(MtlError, match="expected one label per token, got 'A'"):
        TokenLabelTarget.build(["A"], BuildContext())


def test_spans_of_words_name_the_remedy() -> None:
    with pytest.raises(ValueError, match="write a tag per word, such as B-PER, in place of spans"):
        TokenLabelTarget.read([["0", "1", "PER"], ["2", "3", "LOC"]], None)
