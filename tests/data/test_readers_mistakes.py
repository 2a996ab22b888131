"""Errors of the readers for malformed files."""

from __future__ import annotations

import re

import pytest

from mtl.data.readers import Conll, Conllu, Csv, Jsonl, Lines, Text, Tsv
from mtl.errors import DataError

ROW = "1\tWe\twe\tPRON\tPRP\t_\t0\troot\t_\t_\n"

MISTAKES = [
    (
        Conll(columns=["tokens", "pos", "ner"]),
        "a DT O\n\nb NN O\nc\n",
        "4: expected 3 columns, found 1: 'c'; correct the line, or set `separator:` and `columns:`",
    ),
    (
        Csv(),
        "text,a,b\nGood, but late,x,y\n",
        "2: expected 3 columns, found 4: 'Good, but late,x,y'; correct the line, with quotes "
        "around a cell that has a ',', or set `separator:` and `quotes:`",
    ),
    (Conll(), "a\tDT\tO\nb\tO\n", "2: expected 3 columns, found 2: 'b O'"),
    (
        Conll(columns={"tokens": 0, "ner": 5}),
        "\na DT O\n",
        "2: no column 5 for 'ner': this line has 3 columns (from 0): 'a DT O'",
    ),
    (
        Conll(columns={"tokens": 0, "ner": -4}),
        "a DT O\n",
        "1: no column -4 for 'ner': this line has 3 columns",
    ),
    (Conll(), "a\nb\n", "1: 'tokens' and 'labels' are the same column: this line has 1 column"),
    (
        Conll(columns={"tokens": 0, "ner": -3}),
        "#a\n",
        "1: no column -3 for 'ner': this line has 1 column",
    ),
    (Conll(), "a\tO\n\tO\n", "2: column 'tokens' is empty"),
    (Conll(), "a O\n#hashtag\n", "2: expected 2 columns, found 1: '#hashtag'"),
    (Conllu(), ROW + "2 We we\n", "2: expected 10 tab-separated columns, found 1: '2 We we'"),
    (Csv(), "txt,y\na,b\n", "1: no column 'text'; did you mean 'txt'?"),
    (Csv(), "text,y\na,b\na,b,c\n", "3: expected 2 columns, found 3: 'a,b,c'"),
    (Tsv(columns={"text": 3}), "a\tb\n", "1: no column 3 for 'text': this line has 2"),
    (Jsonl(), '{"text": "a"}\n[1]\n', "2: expected a JSON object, found [1]"),
    (Jsonl(), "{'text': 1}\n", "1: expected a JSON object on each line: Expecting property name"),
    (Jsonl(), '{"text": "\\ud83d"}\n', "1: expected a JSON object on each line: 'utf-8' codec"),
    (Jsonl(), '{"tokns": ["a"]}\n', "1: expected a field 'tokens' (words) or 'text' (text)"),
    (Jsonl(), '{"tokens": ["a", ""]}\n', '1: field \'tokens\' contains ["a", ""]; expected a list'),
    (Jsonl(), '{"text": 3}\n', "1: field 'text' contains 3; expected a string"),
    (
        Jsonl(columns=["ner"]),
        '{"tokens": ["a"], "ner": [[{"x": 1}]]}\n',
        "1: field 'ner' contains [[{\"x\": 1}]]; expected a value, a list of values, or an object",
    ),
    (Lines(), "1 good\nbad\n", "2: no label in 'bad'; expected label and text with ' ' between"),
    (Lines(separator="\t", label="last"), "good 1\n", "1: no label in 'good 1'; expected text and"),
    (Text(), b"one\ncaf\xe9\n", "2: byte 0xe9 at position 3 of the line is not UTF-8"),
    (Conll(), b"\x7fELF\0\0", "1: binary content"),
]


@pytest.mark.parametrize(("reader", "content", "message"), MISTAKES)
def test_an_error_names_file_and_line(tmp_path, reader, content, message):
    path = tmp_path / "file.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=re.escape(f"{path}:{message}")):
        list(reader.read(path))


@pytest.mark.parametrize("reader", [Conll(), Conllu(), Csv(), Jsonl(), Lines(), Text()])
def test_a_missing_file_is_told(tmp_path, reader):
    with pytest.raises(DataError, match=r"none\.txt: there is no such file"):
        list(reader.read(tmp_path / "none.txt"))
    with pytest.raises(DataError, match=r"none\.txt: there is no such file"):
        reader.digest(tmp_path / "none.txt")


@pytest.mark.parametrize("reader", [Conll, Csv, Lines, Tsv])
def test_no_separator_at_all_is_refused(reader):
    with pytest.raises(ValueError, match="separator: expected "):
        reader(separator="")


def test_a_separator_of_a_table_is_one_character():
    with pytest.raises(ValueError, match="separator: expected one character, got '::'"):
        Csv(separator="::")
