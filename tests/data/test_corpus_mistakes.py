"""Errors for data that does not fit the corpus file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from mtl.data.readers import Conll, Conllu, Lines, Reader, Record
from mtl.data.splits import cut, fold
from mtl.errors import DataError, MtlError

DATA = Path(__file__).parents[1] / "fixtures" / "data"

NONE = ", which no sentence has"
CONLL = Conll(columns=["tokens", "pos", "ner"])


@pytest.mark.parametrize(
    ("reader", "name", "source", "message"),
    [
        (CONLL, "conll", {"column": "nre"}, f"the column 'nre'{NONE}; did you mean 'ner'?"),
        (CONLL, "conll", {"column": "zz"}, f"the column 'zz'{NONE}; expected one of: ner, pos"),
        (
            CONLL,
            "conll",
            {"metadata": "id"},
            f"the metadata 'id'{NONE}; the sentences have no metadata at all",
        ),
        (Conllu(), "conllu", {"feature": "Numbr"}, f"'Numbr'{NONE}; did you mean 'Number'?"),
        (Conllu(), "conllu", {"misc": "lang"}, f"the misc 'lang'{NONE}; did you mean 'Lang'?"),
        (
            Conllu(),
            "conllu",
            {"metadata": "sent_id", "pattern": "^(x)"},
            "the pattern '^(x)' finds nothing in 'letters-1-1'",
        ),
    ],
)
def test_unknown_labels_are_reported_with_the_known_ones(reader, name, source, message, load):
    path = DATA / f"tiny.{name}"
    with pytest.raises(DataError, match=f"{path}: task 't': .*{re.escape(message)}"):
        load(reader, {"train": path}, {"t": source})


def test_counts_that_were_not_expected_are_told(load):
    files = {"train": DATA / "tiny.lines"}
    message = r"tiny\.lines: train: expected 3 sentences, found 2; is the file whole"
    with pytest.raises(DataError, match=message):
        load(Lines(), files, {"t": {"column": "label"}}, expect={"train": 3})


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_sentences_is_told(tmp_path, content, load):
    path = tmp_path / "empty.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=r"empty\.txt: expected at least one sentence, found none"):
        load(Lines(), {"train": path}, {"t": {"column": "label"}})


class Fixed(Reader):
    """Gives the same sentences for any file."""

    def __init__(self, *labels):
        self.labels = labels

    def read(self, path):
        return iter([Record(["a", "b"], {"y": y}, {}, 10 + n) for n, y in enumerate(self.labels)])


def test_as_many_labels_as_words_are_expected(load):
    message = "tiny.txt:11: task 't': 1 labels for 2 words; expected one per word"
    with pytest.raises(DataError, match=re.escape(message)):
        load(
            Fixed(["O", "O"], ["O"]),
            {"train": DATA / "tiny.txt"},
            {"t": {"column": "y"}},
        )


def test_a_pattern_that_finds_nothing_is_told_if_the_first_word_has_no_label(load):
    with pytest.raises(DataError, match=r"the pattern 'x\(\.\)' finds nothing in 'O'; correct it"):
        load(
            Fixed([None, "O"]),
            {"train": DATA / "tiny.txt"},
            {"t": {"column": "y", "pattern": "x(.)"}},
        )


def test_labels_of_words_and_of_sentences_do_not_mix(load):
    message = "tiny.txt:11: task 't': one value per sentence here, one per token before"
    with pytest.raises(DataError, match=re.escape(message)):
        load(Fixed(["O", "O"], "O"), {"train": DATA / "tiny.txt"}, {"t": {"column": "y"}})


def test_a_cache_that_cannot_be_written_is_told(tmp_path, load):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(MtlError, match=r"cannot make the folder .*; set MTL_CACHE to a folder"):
        load(Lines(), {"train": DATA / "tiny.lines"}, {"t": {"column": "label"}})


def test_a_failed_reading_leaves_nothing_behind(tmp_path, load):
    path = tmp_path / "bad.txt"
    path.write_text("1 good\nbad\n")
    with pytest.raises(DataError, match=r"bad\.txt:2"):
        load(Lines(), {"train": path}, {"t": {"column": "label"}})
    assert list((tmp_path / "cache" / "corpora").iterdir()) == []


@pytest.mark.parametrize("shares", [{"dev": 10}, {"dev": "60%", "test": 4}, {"dev": "1%"}])
def test_parts_that_leave_nothing_are_told(shares):
    with pytest.raises(MtlError, match="of 10 sentences leaves a split without sentences"):
        cut(np.arange(10), shares)


def test_more_folds_than_sentences_are_told():
    with pytest.raises(MtlError, match="10 folds need at least 10 sentences, found 3"):
        fold(np.arange(3), 10, 0)
