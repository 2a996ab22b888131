"""Labels that follow from the words: hints, the words themselves, and when they are made anew."""

from __future__ import annotations

import gzip

import pytest

from mtl.data.hints import Hint, read_lexicon
from mtl.data.readers import Conll, Lines, Record, Tsv
from mtl.errors import DataError
from mtl.targets import TokenLabelTarget

TEXT = "Ada bought 3 fine Ships .\nNo ships\nfine 2b\n"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("".join(f"label {line}\n" for line in TEXT.splitlines()))
    return path


@pytest.fixture
def lexicon(tmp_path):
    path = tmp_path / "lexicon.txt"
    path.write_text("Ada\nships\n\n  fine \nabsent\nFINE\n")
    return path


@pytest.fixture
def labels(text, load):
    """Return a function that loads the labels of the three sentences of the text."""

    def labels(source):
        return list(load(Lines(), {"train": text}, {"t": source}).splits["train"].labels("t"))

    return labels


def test_a_pattern_is_looked_for_anywhere_in_each_word(labels):
    assert labels({"hint": {"pattern": "[0-9]"}}) == [
        ("no", "no", "yes", "no", "no", "no"),
        ("no", "no"),
        ("no", "yes"),
    ]
    assert labels({"hint": {"pattern": "^[0-9]+$"}})[2] == ("no", "no")


def test_a_sentence_has_what_any_of_its_words_is(labels):
    assert labels({"hint": {"pattern": "^[0-9]+$", "level": "sentence"}}) == ["yes", "no", "no"]


def test_lower_case_words_of_a_lexicon_match_any_case(labels, lexicon):
    assert labels({"hint": {"lexicon": str(lexicon)}}) == [
        ("yes", "no", "no", "yes", "yes", "no"),
        ("no", "yes"),
        ("yes", "no"),
    ]
    lexicon.write_text("Ships\n")
    assert labels({"hint": {"lexicon": str(lexicon)}})[:2] == [
        ("no", "no", "no", "no", "yes", "no"),
        ("no", "no"),
    ]


def test_both_sentences_of_a_pair_are_searched(tmp_path, load):
    (tmp_path / "pairs").write_text("a\tb\tl\nno one\tAda came\tx\nno\tnone\tx\nAda\tis in\ty\n")
    source = {"hint": {"pattern": "Ada", "level": "sentence"}}
    corpus = load(Tsv(text="a", pair="b"), {"train": tmp_path / "pairs"}, {"t": source})
    assert list(corpus.splits["train"].labels("t")) == ["yes", "no", "yes"]


def test_the_words_are_their_own_labels(labels):
    words = [tuple(line.split()) for line in TEXT.splitlines()]
    assert labels({"text": "same"}) == labels({"word": "frequency"}) == words


def test_words_that_look_like_no_value_are_words_all_the_same(tmp_path, load):
    (tmp_path / "text").write_text("_ O\n\n")
    corpus = load(Conll(), {"train": tmp_path / "text"}, {"t": {"word": "frequency"}})
    assert list(corpus.splits["train"].labels("t")) == [("_",)]


def test_a_lexicon_or_pattern_that_changes_is_not_taken_from_the_cache(labels, lexicon):
    source = {"hint": {"lexicon": str(lexicon), "level": "sentence"}}
    assert labels(source) == ["yes", "yes", "yes"]
    lexicon.write_text("no\n")
    assert labels(source) == ["no", "yes", "no"]
    assert labels({"hint": {"pattern": "2", "level": "sentence"}}) == ["no", "no", "yes"]
    assert labels({"hint": {"pattern": "3", "level": "sentence"}}) == ["yes", "no", "no"]
    assert labels({"hint": {"pattern": "2"}})[2] == ("no", "yes")


def test_the_order_and_the_place_of_a_lexicon_make_no_difference(labels, lexicon, tmp_path):
    labels({"hint": {"lexicon": str(lexicon)}})
    (tmp_path / "other.txt").write_text("fine\nabsent\nships\nAda\nFINE\nfine\n")
    labels({"hint": {"lexicon": str(tmp_path / "other.txt")}})
    assert len(list((tmp_path / "cache" / "corpora").glob("*.arrow"))) == 1


def test_what_is_found_nowhere_is_no_mistake_of_a_file(labels):
    assert labels({"hint": {"pattern": "^x", "level": "sentence"}}) == ["no", "no", "no"]


def test_an_empty_lexicon_is_told(labels, lexicon):
    lexicon.write_text("\n \n")
    with pytest.raises(
        DataError, match=r"lexicon\.txt: the file contains no words; expected one word per l"
    ):
        labels({"hint": {"lexicon": str(lexicon)}})


def test_a_lexicon_that_has_gone_is_told(labels, lexicon):
    lexicon.unlink()
    with pytest.raises(DataError, match=r"lexicon\.txt: there is no such file"):
        labels({"hint": {"lexicon": str(lexicon)}})


def test_a_lexicon_may_be_packed(tmp_path):
    path = tmp_path / "words.gz"
    path.write_bytes(gzip.compress(b"b\na\nb\n"))
    hint = Hint("token", lexicon=read_lexicon(path))
    assert hint.lexicon == ("a", "b")
    assert hint.read(Record(["A", "c"])) == (TokenLabelTarget, ("yes", "no"))
