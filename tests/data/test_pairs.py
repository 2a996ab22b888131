"""Pairs of sentences in files and in corpora."""

from __future__ import annotations

import pytest

from mtl.data.readers import Csv, Jsonl
from mtl.errors import DataError
from mtl.text.example import Example

LABELS = {"same": {"column": "same"}}


@pytest.fixture
def read(tmp_path, load):
    """Return a function that reads the sentences of a text in a format."""

    def read(reader, content):
        path = tmp_path / "data"
        path.write_text(content)
        return load(reader, {"train": path}, LABELS).splits["train"]

    return read


def test_a_table_has_a_second_column_of_text(read):
    (found,) = read(Csv(pair="other"), "other,text,same\nb c,a,yes\n")
    assert found == Example.pair(["a"], ["b", "c"], {"same": "yes"}, 2)
    assert found.texts == (("a",), ("b", "c"))


@pytest.mark.parametrize("other", ['["b", "c"]', '"b c"'])
def test_json_has_the_words_or_the_text_of_the_second(read, other):
    row = f'{{"text": "a", "b": {other}, "same": "no"}}\n'
    assert read(Jsonl(pair="b"), row)[0] == Example.pair(["a"], ["b", "c"], {"same": "no"}, 1)


def test_words_and_lengths_are_those_of_both(read):
    found = read(Csv(pair="other"), "text,other,same\na b,b c,yes\nd,e,no\n")
    assert found.word_counts() == {"a": 1, "b": 2, "c": 1, "d": 1, "e": 1}
    assert found.lengths.tolist() == [4, 2]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"text": "a"}', "1: expected a field 'b' with words or text"),
        ('{"text": "a", "b": 3}', "1: field 'b' contains 3; expected words or text"),
    ],
)
def test_a_row_without_a_second_sentence_is_told(read, row, message):
    with pytest.raises(DataError, match=message):
        read(Jsonl(pair="b"), row)
