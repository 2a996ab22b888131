"""Span schemes: decoding, encoding, conversion and transitions."""

from __future__ import annotations

import os
from itertools import pairwise, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, Entities

from mtl.errors import MtlError
from mtl.text.spans import (
    PREFIXES,
    SCHEMES,
    Span,
    convert,
    convert_known,
    letters_problem,
    malformed,
    read_spans,
    transitions,
    write_tags,
)
from tests.oracles import conlleval_chunks

TAGS = ["O", *(f"{p}-{t}" for t in ("X", "Y") for p in "BIES")]
any_tags = st.lists(st.sampled_from(TAGS), max_size=8)
quick = settings(max_examples=100, deadline=None)


@quick
@given(any_tags)
def test_reading_equals_conlleval_also_on_broken_sequences(tags):
    assert set(read_spans(tags)) == conlleval_chunks(tags)


@quick
@given(any_tags)
def test_reading_equals_seqeval(tags):
    assert [(s.type, s.start, s.end - 1) for s in read_spans(tags)] == get_entities(tags)


@quick
@given(any_tags, st.permutations(SCHEMES))
def test_converting_through_all_schemes_loses_nothing(tags, schemes):
    spans, passed = read_spans(tags), tags
    for scheme in schemes:
        passed = convert(passed, scheme)
        assert malformed(passed, scheme) == 0
        assert read_spans(passed) == spans


def test_each_scheme_writes_what_its_definition_says():
    spans = [Span("X", 0, 1), Span("X", 1, 3), Span("Y", 3, 4), Span("X", 5, 7)]
    written = {scheme: " ".join(write_tags(spans, 7, scheme)) for scheme in SCHEMES}
    assert written == {
        "bio": "B-X B-X I-X B-Y O B-X I-X",
        "iob1": "I-X B-X I-X I-Y O I-X I-X",
        "iobes": "S-X B-X E-X S-Y O B-X E-X",
        "bilou": "U-X B-X L-X U-Y O B-X L-X",
        "bmes": "S-X B-X E-X S-Y O B-X E-X",
    }


def test_tags_without_a_type_are_spans_too():
    assert read_spans(["B", "I", "O"]) == [Span("", 0, 2)]
    assert convert(["B", "B", "I"], "iob1") == ["I", "B", "I"]
    assert convert(["B", "I", "I", "O", "B"], "iobes") == ["B", "I", "E", "O", "S"]


def test_a_type_may_hold_a_hyphen():
    assert convert(["B-geo-loc", "I-geo-loc"], "iobes") == ["B-geo-loc", "E-geo-loc"]


@pytest.mark.parametrize("tag", ["PER", "", "B-", "o", "X-PER", "-LRB-", "BI-PER"])
def test_what_is_no_tag_is_an_error_that_names_it(tag):
    with pytest.raises(MtlError, match=f"'{tag}' is not a span tag: expected O, or B"):
        read_spans(["O", tag])


@pytest.mark.parametrize("spans", [[("X", 0, 2), ("X", 1, 3)], [("X", 2, 5)], [("X", 1, 1)]])
def test_spans_that_overlap_or_do_not_fit_cannot_be_written(spans):
    with pytest.raises(ValueError, match="expected spans in order within 4 tokens"):
        write_tags([Span(*span) for span in spans], 4, "bio")


def test_an_unknown_scheme_is_an_error():
    for call in (lambda: write_tags([], 0, "iob2"), lambda: transitions([], "iob2")):
        with pytest.raises(ValueError, match=r"schemes bio, iob1, .*, got 'iob2'"):
            call()


@pytest.mark.parametrize(
    ("tags", "counts"),
    [
        ("O O", "0 0 0 0 0"),
        ("B-X I-X I-X", "0 1 1 1 2"),
        ("O I-X I-X", "1 0 2 2 2"),
        ("B-X I-Y E-Y", "2 2 2 3 2"),
        ("B-X M-X E-X", "2 3 1 2 0"),
        ("U-X B-X L-X", "2 2 2 0 2"),
    ],
)
def test_malformed_tags_are_counted(tags, counts):
    assert [malformed(tags.split(), scheme) for scheme in SCHEMES] == list(map(int, counts.split()))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_transitions_allow_exactly_the_well_formed_sequences(scheme):
    labels = ["O", *(f"{prefix}-{kind}" for kind in "XY" for prefix in PREFIXES[scheme])]
    allowed, start, end = transitions(labels, scheme)
    for path in product(range(len(labels)), repeat=3):
        steps = all(allowed[a][b] for a, b in pairwise(path))
        fine = start[path[0]] and steps and end[path[-1]]
        assert fine == (malformed([labels[i] for i in path], scheme) == 0)


def test_transitions_refuse_labels_of_another_scheme():
    for scheme in ("bio", "bilou"):
        with pytest.raises(MtlError, match=f"'S-X' is not a tag of the scheme {scheme}"):
            transitions(["O", "S-X"], scheme)


@quick
@given(any_tags)
def test_reading_bilou_equals_seqeval(tags):
    # seqeval leaves out the spans of tags that are not well formed.
    tags = convert(tags, "bilou")
    gold = Entities([tags], BILOU, False).entities[0]
    assert [(s.type, s.start, s.end) for s in read_spans(tags)] == [e.to_tuple()[1:] for e in gold]


def test_tags_of_another_language_of_letters_name_the_scheme_that_fits():
    assert letters_problem(["O", "B-X", "I-X", "S-X"], "bio") is None
    assert letters_problem(["O", "M"], "iobes").endswith("set `scheme: bmes`")
    assert letters_problem(["U-X"], "bio").endswith("set `scheme: bilou`")
    assert letters_problem(["U-X", "M-X"], "bio").endswith("write all tags in one scheme")
    with pytest.raises(MtlError, match=r"'PER-B' is not a span tag.*write the letter first: B-PER"):
        read_spans(["PER-B"])


@quick
@given(any_tags, st.sampled_from(SCHEMES), st.sampled_from(SCHEMES), st.data())
def test_known_tags_of_partly_labelled_sentences_do_not_depend_on_the_unknown(
    tags, scheme, other, data
):
    whole = convert(tags, scheme)
    hidden = data.draw(st.lists(st.booleans(), min_size=len(tags), max_size=len(tags)))
    partly = [None if hide else tag for hide, tag in zip(hidden, whole, strict=True)]
    converted, complete = convert_known(partly, other), convert(whole, other)
    for position, (tag, right) in enumerate(zip(converted, complete, strict=True)):
        # In IOB1, I after an unknown tag may begin a span; it is read as its continuation.
        begins = scheme == "iob1" and position and partly[position - 1] is None
        assert tag in (None, right) or begins
        assert tag is None or partly[position] is not None
        assert tag == "O" or partly[position] != "O"
    for _, start, end in read_spans(whole):
        # The tags of a span depend on those of the span and of its two neighbours alone.
        if None not in partly[max(start - 1, 0) : end + 1]:
            assert converted[start:end] == complete[start:end]
    assert convert_known(whole, other) == complete
    assert malformed(partly, scheme) == 0


@pytest.mark.data
def test_the_labels_of_conll_2000_are_bio_without_a_fault():
    root = os.environ.get("MTL_DATA") or pytest.skip("MTL_DATA is not set")
    text = Path(root, "conll2000", "test.txt").read_text()
    sentences = [[line.split()[-1] for line in s.splitlines()] for s in text.split("\n\n")]
    assert sum(len(read_spans(tags)) for tags in sentences) == 23852
