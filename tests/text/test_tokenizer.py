"""The tokenizer and the sentence splitter."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.data.readers import Conllu
from mtl.text import tokenizer
from mtl.text.tokenizer import split_sentences, tokenize, words_of

TEXTS = st.text(max_size=40) | st.text("aB1.,'’-@#:/!?…\")( \n\te\u0301日。", max_size=40)


@given(TEXTS)
@settings(max_examples=100)
def test_tokens_are_exact_pieces_in_order(text):
    tokens = tokenize(text)
    assert all(text[t.start : t.end] == t.text != "" for t in tokens)
    assert all(a.end <= b.start for a, b in pairwise(tokens))


@given(TEXTS)
@settings(max_examples=100)
def test_tokens_hold_all_but_the_blanks(text):
    assert "".join(token.text for token in tokenize(text)) == "".join(text.split())


BLANKS = st.sampled_from([" ", "  ", "\n", "\u3000", "\t \x1c"])
CHUNKS = st.sampled_from(
    ["Mr.", "No.", "no.", "J.", "U.S.", "etc.", "x" * 40, "A", "a", "5", "٣", "É", ".", ",", ")"]
)


@given(st.lists(CHUNKS | BLANKS | st.text(max_size=3)).map("".join))
@settings(max_examples=500)
def test_words_are_those_of_the_rules_over_the_whole_text(text):
    """Chunks between blanks are cut by themselves; the rules may look beyond these."""
    found = []
    for match in tokenizer._TOKEN.finditer(text):
        pieces = tokenizer._CONTRACTIONS.fullmatch(match[0])
        found += filter(None, pieces.groups()) if pieces else [match[0]]
    assert words_of(text, True) == [token.text for token in tokenize(text)] == found


@given(TEXTS)
@settings(max_examples=100)
def test_sentences_hold_all_but_the_blanks_and_cut_no_word(text):
    spans = split_sentences(text)
    inside = [t for a, b in spans for t in tokenize(text) if a <= t.start and t.end <= b]
    assert inside == tokenize(text)
    assert all(text[a:b].strip() == text[a:b] != "" for a, b in spans)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't, it's; we’re", "I do n't , it 's ; we ’re"),
        ("You cannot, can't, won't", "You can not , ca n't , wo n't"),
        ("Mr. Li lives in the U.S., e.g. here.", "Mr. Li lives in the U.S. , e.g. here ."),
        ("J. R. Smith Jr. left.", "J. R. Smith Jr. left ."),
        ("$1,000.50, 3/4 at 10:30", "$ 1,000.50 , 3/4 at 10:30"),
        ("7:30pm on the 5th, 50%", "7:30 pm on the 5th , 50 %"),
        ("(see https://a.org/b?c=1).", "( see https://a.org/b?c=1 ) ."),
        ("bob.x@mail.co.uk, now!", "bob.x@mail.co.uk , now !"),
        ("@ann loves #nlp :-) <3", "@ann loves #nlp :-) <3"),
        ("a 15-year-old e-mail", "a 15 - year - old e-mail"),
        ("“No,” she said... ok?!", "“ No , ” she said ... ok ?!"),
        ("O'Reilly's dogs' tails", "O'Reilly 's dogs ' tails"),
        ("L'homme d'État", "L' homme d' État"),
        ("東京に行く。", "東 京 に 行 く 。"),
        ("cafe\u0301 👍🏽", "cafe\u0301 👍🏽"),
    ],
)
def test_words_are_those_of_the_treebanks(text, words):
    assert words_of(text, cut=True) == words.split(" ")


def test_words_without_rules_are_what_stands_between_blanks():
    assert words_of(" don't  stop. \n", cut=False) == ["don't", "stop."]


@pytest.mark.parametrize(
    "sentences",
    [
        ["He came.", "She left!", "Why?", "42 did."],
        ["Dr. No met Mr. J. Smith at 5 p.m. sharp.", "So what?"],
        ["He works at Acme Inc.", "It pays."],
        ['"Go away."', '"Never!" he said.'],
        ["See fig. 3 ... and go on.", "(It is there.)"],
    ],
)
def test_sentences_end_where_readers_say(sentences):
    text = " ".join(sentences)
    assert [text[a:b] for a, b in split_sentences(text)] == sentences


def test_a_blank_line_ends_a_sentence_and_a_line_end_does_not():
    text = "A title\n \nand\nits text"
    assert [text[a:b] for a, b in split_sentences(text)] == ["A title", "and\nits text"]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("unit", ["a-", "a@", "1:", "a'", ")", "www.", "A&", "n't", "."])
def test_long_runs_without_a_blank_take_linear_time(unit):
    start = process_time()
    split_sentences(unit * 50_000)
    assert process_time() - start < 5  # seconds; in quadratic time it would be minutes


@pytest.mark.data
def test_words_agree_with_those_of_english_ewt():
    root = os.environ.get("MTL_DATA")
    if not root:
        pytest.skip("MTL_DATA is not set")
    records = list(Conllu().read(Path(root) / "ud_english_ewt/en_ewt-ud-dev.conllu"))
    agree = [words_of(r.metadata["text"], cut=True) == r.tokens for r in records]
    assert sum(agree) > 0.93 * len(agree)


PARTS = [
    *"aZé漢カ1.@-_+'’:/,;!?#()[]<>&\u0301",
    ".com",
    "www.",
    "http://",
    "Mr.",
    "n't",
    "e-",
    ".pdf",
]
LONG = [character * length for character in "a漢" for length in (61, 62, 63, 64, 65, 66)]


@given(st.lists(st.sampled_from(PARTS + LONG), max_size=30).map("".join), st.sampled_from("aA1"))
def test_the_shorter_expression_finds_the_same_words(chunk: str, following: str) -> None:
    text = f"{chunk} {following}"
    found = (match for match in tokenizer._TOKEN.finditer(text) if match.start() < len(chunk))
    assert list(tokenizer._whole_words(chunk, following)) == [match[0] for match in found]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("unit", ["漢", "a-", "é-"])
def test_text_without_blanks_is_quicker_than_as_many_words(unit: str) -> None:
    def seconds(text: str) -> float:
        tokenizer._cut_cached.cache_clear()
        start = process_time()
        tokenize(text)
        return process_time() - start

    words = " ".join(f"{unit}{number}" for number in range(5_000))
    count = len(tokenize(words))
    times = [(seconds((unit * count)[:count]), seconds(words)) for _ in range(5)]
    assert min(alone for alone, _ in times) < 0.85 * min(apart for _, apart in times)
