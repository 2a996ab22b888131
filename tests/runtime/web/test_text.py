"""The runtime for browsers reads text as the runtime for Python does."""

from __future__ import annotations

import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mtl.text.tokenizer import split_sentences, tokenize
from mtl.text.vocabulary import SubwordVocabulary
from mtl.text.vocabulary.affixes import AffixVocabulary, word_shape
from mtl.text.vocabulary.characters import CharacterVocabulary
from mtl.text.vocabulary.ngrams import NgramVocabulary
from mtl.text.vocabulary.words import WordVocabulary
from tests.runtime.models import WORDS
from tests.runtime.web.node import Node, in_units

# Newer versions of Unicode have further letters, which the two languages may not both know.
KNOWN = st.characters(
    codec="utf-8",
    categories=("L", "M", "N", "P", "S", "Z", "Cc", "Cf"),
)
WRITTEN = (
    "Mr. Smith, e-mail: a.b+c@mail.example.com!",
    "can't WON'T didn't isn't y'all gonna l'homme qu'il aujourd'hui it's Ann's",
    "$1,000.50 10:30am 5th 3/4 555-1234 800-555-1234 15-year 10kg 10kgs 4,5,6,",
    "www.example.com/a?b=c). http://x.org/(y) file.PDF report_1.docx No. 5 No. Five",
    "U.S. e.g. J. K. Rowling A&E :-) ;) <3<3 ^_^ 🙂🏽 👩‍👩‍👧 🇩🇪🇫🇷 @you #tag a#b",
    "“Yes,” she said. (No.) ... … -- —— ___ *** === +++ !?! `` '' << >> ‘‘ ’’",
    "我们在这里。他们来了！ これはペンです。 서울에서 naïve café co\u00adop",
    "İstanbul ısn't DıDnt l'ıle l'İle 5\u212aG 3\u017f \u2160\u2161 x² ½ ٣٤ ๓",
    "Dr. Who lives in the U.S. He works at Acme Inc. The end. 5 p.m. It rains",
    "a.b.c.d.e " + "x" * 70 + ".com " + "y" * 130 + "@z.org 1" + ".1" * 40,
    "one\ttwo\x1cthree\x85four\u2028five\ufeffsix\u3000seven\x0b\x0ceight\r\n\r\nnine",
)
PIECES = st.one_of(
    st.sampled_from([piece for text in WRITTEN for piece in text.split(" ")]),
    st.text(KNOWN, max_size=6),
    st.text(st.sampled_from("aZ9.,'’-@_ /:!?\n()\"İı🙂中か"), max_size=12),
)
TEXTS = st.lists(st.tuples(PIECES, st.sampled_from(["", " ", "  ", "\n", "\n\n", "."]))).map(
    lambda parts: "".join(piece + blank for piece, blank in parts)
)


def in_python(text: str) -> dict[str, Any]:
    """The answer to the request `split` for one text."""
    tokens = [
        {"text": own, "start": in_units(text, start), "end": in_units(text, end)}
        for own, start, end in tokenize(text)
    ]
    sentences = [[in_units(text, at) for at in pair] for pair in split_sentences(text)]
    return {"tokens": tokens, "sentences": sentences}


@pytest.mark.parametrize("text", WRITTEN)
def test_written_texts_are_split_as_in_python(text: str, node: Node) -> None:
    assert node.ask("split", texts=[text]) == [in_python(text)]


@given(texts=st.lists(TEXTS, max_size=30))
@settings(max_examples=12, deadline=None)
@example(texts=[" ".join(WRITTEN), "\n".join(WRITTEN)])
def test_texts_are_split_as_in_python(node: Node, texts: list[str]) -> None:
    assert node.ask("split", texts=texts) == list(map(in_python, texts))


@pytest.mark.slow
@given(texts=st.lists(TEXTS, min_size=20, max_size=100))
@settings(max_examples=600, deadline=None)
def test_many_texts_are_split_as_in_python(node: Node, texts: list[str]) -> None:
    assert node.ask("split", texts=texts) == list(map(in_python, texts))


@pytest.mark.parametrize(
    "last", [0x600, pytest.param(sys.maxunicode, marks=pytest.mark.slow)], ids=["quick", "all"]
)
def test_characters_have_the_class_that_they_have_in_python(last: int, node: Node) -> None:
    known = [
        chr(code)
        for code in range(last + 1)
        if unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co")
    ]
    # The rules for words meet each character alone, in a word, after a number and after a period.
    texts = [f"{c} a{c}b 1{c} .{c} {c}'s" for c in known]
    found = node.ask("split", texts=texts)
    expected = [[token.text for token in tokenize(text)] for text in texts]
    assert [[token["text"] for token in own["tokens"]] for own in found] == expected
    assert node.ask("shape", words=known) == list(map(word_shape, known))


COUNTS = dict.fromkeys([*WORDS, "ΟΔΟΣ", "İ", "straße", "２", "x²", "talking", "walked"], 5)
VOCABULARIES = {
    "words": WordVocabulary.build(COUNTS, digits=True),
    "cased": WordVocabulary.build(COUNTS, vectors=["Ann"], lowercase=False),
    "characters": CharacterVocabulary.build(COUNTS, max_characters=5),
    "affixes": AffixVocabulary.build(COUNTS, min_affix_count=1),
    "ngrams": NgramVocabulary.build(COUNTS, longest=5, max_word=7),
}


@given(words=st.lists(st.one_of(st.sampled_from(list(COUNTS)), PIECES), max_size=20))
@settings(max_examples=30, deadline=None)
@example(words=["ΟΔΟΣ", "ΑΣ.", "Walking", "ANN", "3²", "NEW", "🙂🙂🙂", "walkedwalked" * 9])
def test_words_have_the_ids_that_they_have_in_python(node: Node, words: list[str]) -> None:
    for own in VOCABULARIES.values():
        found = node.ask("encode", feature=own.feature, data=own.to_json(), words=words)
        assert found == [list(own.encode(word)) for word in words]


def test_subwords_have_the_ids_that_they_have_in_python(node: Node) -> None:
    pytest.importorskip("tokenizers")
    own = SubwordVocabulary.build(COUNTS, pieces=300)
    words = [*COUNTS, "walkedwalked" * 9, "🙂talk", "", "nnnnnn"]
    found = node.ask("encode", feature="subwords", data=own.to_json(), words=words)
    assert found == [own.encode(word) for word in words]
