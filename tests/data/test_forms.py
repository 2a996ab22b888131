"""Sets of labels and numbers: their formats in files, and error messages."""

from __future__ import annotations

import math
import re

import pytest
import torch

from mtl.data.encoding import Batcher
from mtl.data.readers import Conll, Csv, Jsonl
from mtl.errors import DataError
from mtl.targets import LabelSetTarget, NumberTarget, labelled
from mtl.text.example import Example

SETS = {"column": "topics", "form": "set"}
CUT = {**SETS, "separator": ";"}
NUMBER = {"column": "score", "form": "number"}


@pytest.fixture
def read(tmp_path, load):
    """Return a function that reads the labels `t` of a text in a format."""

    def read(reader, content, source):
        path = tmp_path / "data"
        path.write_text(content)
        return list(load(reader, {"train": path}, {"t": source}).splits["train"].labels("t"))

    return read


def test_a_cell_is_cut_into_a_set_and_may_be_empty(read):
    found = read(Csv(), "text,topics\na,art; sport;art\nb,\nc,;\n", CUT)
    assert found == [frozenset(["art", "sport"]), frozenset(), frozenset()]


def test_a_list_of_any_length_is_a_set_and_null_is_unknown(read):
    rows = '{"text": "a", "topics": ["x", "y"]}\n{"text": "a b", "topics": []}\n'
    rows += '{"text": "a b", "topics": null}\n{"text": "a", "topics": [3]}\n'
    assert read(Jsonl(), rows, SETS) == [frozenset("xy"), frozenset(), None, frozenset("3")]


def test_a_comment_may_hold_a_set_or_a_number(read):
    text = "# t = x; y, 3.5 stars\na O\n\n# s = 1\nb O\n"
    assert read(Conll(), text, {"metadata": "t", "form": "set", "separator": ";"}) == [
        frozenset(["x", "y, 3.5 stars"]),
        None,
    ]
    number = {"metadata": "t", "form": "number", "pattern": "([0-9.]+) stars"}
    assert read(Conll(), text, number) == [3.5, None]


@pytest.mark.parametrize("missing", ["", "nan", "NaN"])
def test_numbers_are_read_and_may_be_missing(read, missing):
    assert read(Csv(), f"text,score\na,-1.5\nb,{missing}\nc,1e3\n", NUMBER) == [-1.5, None, 1000]


def test_one_column_gives_classes_and_numbers(tmp_path, load):
    (tmp_path / "data").write_text("text,score\na,3\nb,\nc,4.5\n")
    both = {"class": {"column": "score"}, "number": NUMBER}
    split = load(Csv(), {"train": tmp_path / "data"}, both).splits["train"]
    found = [{"class": "3", "number": 3.0}, {}, {"class": "4.5", "number": 4.5}]
    assert [example.labels for example in split] == found


def test_numbers_of_json_keep_all_their_digits(read):
    assert read(Jsonl(), f'{{"text": "a", "score": {math.pi}}}\n', NUMBER) == [math.pi]


@pytest.mark.parametrize(
    ("reader", "content", "source", "message"),
    [
        (Csv(), "text,score\na,1\nb,x\n", NUMBER, "3: task 't': expected a number, found 'x'"),
        (Csv(), "text,score\na,inf\n", NUMBER, "2: task 't': expected a number, found 'inf'"),
        (Jsonl(), '{"text": "a", "score": [1]}', NUMBER, "1: task 't': expected a number, found"),
        (Csv(), "text,topics\na,x;y\n", SETS, "2: task 't': expected a list of labels, found "
         "'x;y'; set `separator:` to"),
        (Jsonl(), '{"text": "a b", "topics": ["x"]}', {"column": "topics"}, "1: task 't': 1 "
         "labels for 2 words; expected one per word; set `form: set` if they are labels of the "
         "sentence"),
        (Csv(), "text,topics\na,\n", {"column": "topics"}, "task 't': the column 'topics' is empty "
         "in all sentences"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_form_is_told_with_its_line(read, reader, content, source, message):
    with pytest.raises(DataError, match=re.escape(message)):
        read(reader, content, source)


def test_batches_hold_rows_of_ones_and_numbers_nan_where_missing():
    batcher = Batcher({}, {"set": LabelSetTarget("ab"), "score": NumberTarget(0.0, 1.0)})
    examples = [Example(("x",), {"set": frozenset("b"), "score": -1.0}), Example(("x",))]
    targets = batcher.batch(examples, ["set", "score"]).targets
    assert targets["set"][0].tolist() == [0, 1]
    assert targets["score"][0] == -1
    for target in targets.values():
        assert labelled(target).tolist() == [True, False]
        assert target.dtype == torch.float32


def test_a_window_of_a_long_text_has_what_the_text_has():
    labels = {"set": frozenset("ab"), "score": 2.0, "tags": ("x", "y", "z")}
    part = Example(("a", "b", "c"), labels).cut(1, 3)
    assert part.labels == {**labels, "tags": ("y", "z")}
