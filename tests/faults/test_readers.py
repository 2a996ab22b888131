"""Files that are easily read as something else: the right reading, a note, or one error."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from mtl.data.readers import Conll, Conllu, Csv, Jsonl, Lines, Reader, Record, Text, Tsv
from mtl.errors import DataError, OptionError
from tests.cli.command import Result
from tests.faults.project import KINDS, READER, SPANS, TAGS, Project

CONLL = Conll(columns=["tokens", "pos"])
LAST = Conll(columns={"tokens": 0, "last": -1})


def read(reader: Reader, text: str) -> list[Record]:
    path = Path("data.txt")
    path.write_bytes(text.encode())
    return list(reader.read(path))


def check(task: dict[str, Any], text: str, reader: dict[str, Any] = READER) -> Result:
    return Project(task, {"train.txt": text}, reader=reader).check()


def assert_told(result: Result, message: str) -> None:
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1


# ---- columns


@pytest.mark.parametrize(
    ("reader", "text", "tokens"),
    [
        (CONLL, "# sent1\nDogs\tN\nbark\tV\n\n# sent2\nCats\tN\n", [["Dogs", "bark"], ["Cats"]]),
        (CONLL, "#sent1\nDogs\tN\n\n#\nCats\tN\n", [["Dogs"], ["Cats"]]),
        (CONLL, "#sent\tN\nDogs\tN\n", [["#sent", "Dogs"]]),
        (Conll(separator="\t"), "# a\nNew York\tN\n", [["New York"]]),
        (Conll(separator="|"), "# a\nNew York|N\n", [["New York"]]),
        (CONLL, "#begin document (x); part 0\nDogs N\n\n#end document x\n", [["Dogs"]]),
    ],
)
def test_hash_lines_without_the_columns_are_comments(reader, text, tokens):
    assert [record.tokens for record in read(reader, text)] == tokens


@pytest.mark.parametrize(
    ("reader", "text", "place"),
    [
        (CONLL, "We DT\n10 000 NUM\n", ":2: expected 2 columns, found 3: '10 000 NUM'"),
        (CONLL, "We DT\n\n10 000 NUM\nmen N\n", ":3: expected 2 columns, found 3"),
        (LAST, "We\tDT\nmen\tN\tx\n", ":2: expected 2 columns, found 3"),
        (CONLL, "We\tDT\nmen N\n", ":2: expected at least 2 columns, found 1: 'men N'"),
        (CONLL, "We\tDT\n# sent2\nmen\tN\n", ":2: expected at least 2 columns, found 1"),
        (Conll(separator="|"), "We|DT\na|b|N\n", ":2: expected 2 columns, found 3"),
    ],
)
def test_rows_of_a_sentence_with_other_widths_are_errors(reader, text, place):
    with pytest.raises(DataError, match=re.escape(f"data.txt{place}")):
        read(reader, text)


@pytest.mark.parametrize("swapped", [False, True])
def test_columns_count_from_the_end_of_each_row(swapped):
    wide, narrow = "a x x (0)\nb x x -\n", "c x (1)\nd x -\n"
    parts = [narrow, wide] if swapped else [wide, narrow]
    records = read(LAST, "\n".join(parts))
    found = {record.tokens[0]: record.columns["last"] for record in records}
    assert found == {"a": ["(0)", "-"], "c": ["(1)", "-"]}
    assert [bool(record.oddity) for record in records] == [False, True]


def test_two_names_are_never_one_column_in_a_narrow_sentence():
    reader = Conll(columns={"tokens": 0, "pos": 1, "last": -1})
    with pytest.raises(DataError, match=r"data.txt:3: 'pos' and 'last' are the same column"):
        read(reader, "a N x\n\nb N\n")


def test_further_columns_are_one_note_with_count_and_first_place():
    text = "a\tN\nb\tV\tx\n\nc\tN\n\nd\tN\ty\n"
    note = (
        "train: another number of columns than in the first line (2 sentences, first train.txt:1)"
    )
    assert note in check(TAGS, text).out


def test_a_comment_that_could_be_a_word_is_a_note():
    result = check(TAGS, "# sent1\nDogs N\n\n# sent2\nCats N\n")
    assert "a line that starts with # is read as a word" in result.out
    assert "(2 sentences, first train.txt:1)" in result.out


@pytest.mark.parametrize("header", ["Tokens POS", "word pos"])
def test_a_header_of_a_column_file_is_an_error(header):
    with pytest.raises(DataError, match=r"data.txt:1: the first row names the columns"):
        read(CONLL, f"{header}\nDogs N\n")


@pytest.mark.parametrize("reader", [Conll, Csv, Tsv])
def test_two_columns_of_one_name_are_refused(reader):
    with pytest.raises(OptionError, match="columns: expected different names, got 'a' twice"):
        reader(columns=["tokens", "text", "a", "a"])


# ---- CoNLL-U


def word(number: object, form: str = "x") -> str:
    return f"{number}\t{form}\t_\tX\t_\t_\t0\troot\t_\t_\n"


@pytest.mark.parametrize(
    ("ids", "place"),
    [
        ([1, 2, 1, 2], ":3: expected word number 3, found 1; is a blank line missing?"),
        ([1, 3], ":2: expected word number 2, found 3"),
        ([0], ":1: expected word number 1, found 0"),
        ([2], ":1: expected word number 1, found 2"),
        ([1, 1], ":2: expected word number 2, found 1"),
        (["01"], ":1: expected word number 1, found 01"),
        ([1, "2-"], ":2: expected a word id such as 7, 7-8 or 7.1, found '2-'"),
        ([1, "-2"], ":2: expected a word id"),
    ],
)
def test_words_are_numbered_from_one(ids, place):
    with pytest.raises(DataError, match=re.escape(f"data.txt{place}")):
        read(Conllu(), "".join(map(word, ids)))


def test_ranges_and_empty_nodes_are_no_words():
    (record,) = read(Conllu(), "".join(map(word, ["0.1", "1-2", 1, 2, "2.1", 3])))
    assert len(record.tokens) == 3


def test_an_empty_cell_of_conllu_is_an_error():
    with pytest.raises(DataError, match=r"data.txt:1: column 'form' is empty"):
        read(Conllu(), word(1, form=""))


@pytest.mark.parametrize("middle", [" ", "= ", "\t", "a ", "é"])
def test_a_long_comment_is_split_at_its_first_equals_sign(middle):
    # The time of a search that backtracks grows with the square, to hours for this line.
    key = f"a{middle * 2_000_000}b"
    (record,) = read(Conllu(), f"# {key}\n# x = 1 = 2\n#y= \n{word(1)}")
    assert record.metadata["x"] == "1 = 2"
    assert record.metadata["y"] == ""


# ---- tables


@pytest.mark.parametrize(
    ("reader", "text", "message"),
    [
        (Csv(), ",text,label,label\n0,a,pos,A\n", ":1: two columns are called 'label'"),
        (Csv(), "text,label, label\na,pos,A\n", ":1: two columns are called 'label'"),
        (Csv(), "text,text\na,b\n", ":1: two columns are called 'text'"),
        (
            Csv(columns=["text", "label"]),
            "text,label\na,A\n",
            ":1: the first row names the columns",
        ),
        (Csv(columns=["text", "label"]), "Text, Labels\na,A\n", ":1: the first row names"),
        (Tsv(columns=["label", "text"]), "LABEL\tsentence\nA\ta\n", ":1: the first row names"),
        (Csv(columns={"text": 1, "y": 0}), "y,text\nA,a\n", ":1: the first row names the columns"),
        (Csv(columns={"text": 1, "y": -1}), "A,a\n", ":1: 'text' and 'y' are the same column"),
        (Csv(), 'text,y\na,A\n"b,B\nc,C\n', ":3: not a readable table: a quote is opened and not"),
        (Csv(), "text,y\na,A\nb\rc,C\n", ":3: not a readable table: a carriage return"),
        (Lines(), "pos\ta good day\n", ":1: the label has a tab inside"),
        (Lines(), "__label__a __label__b x y\n", ":1: several labels with __label__ in one line"),
        (Lines(label="last"), "x y __label__a __label__b\n", ":1: several labels with __label__"),
        (Lines(), "__label__a x __label__b y\n", ":1: several labels with __label__"),
    ],
)
def test_a_table_that_is_not_clear_is_an_error(reader, text, message):
    with pytest.raises(DataError, match=re.escape(f"data.txt{message}")):
        read(reader, text)


def test_unnamed_columns_may_repeat_and_quoted_cells_have_any_line_end():
    (record,) = read(Csv(), 'text,,,y\n"a\rb\r\nc",0,0,A\n')
    assert (record.tokens, record.columns["y"]) == (["a", "b", "c"], "A")


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        ({"type": "csv"}, 'text,kind\na b,A\nc d,"A "\ne f, B\ng h,B\n'),
        ({"type": "tsv"}, "text\tkind\na b\tA\nc d\t A\ne f\tB\u00a0\ng h\tB\n"),
        (
            {"type": "jsonl"},
            "".join(json.dumps({"text": "a", "kind": k}) + "\n" for k in ["A", "A ", " B", "B"]),
        ),
    ],
)
def test_blanks_around_labels_make_no_new_label(reader, text):
    result = check(KINDS, text, reader)
    assert "2 labels" in result.out
    assert "blanks around labels of t removed (2 sentences, first train.txt:" in result.out


def test_an_error_does_not_print_a_long_cell():
    for text in (f"{'x' * 1_000_000},y\na,b\n", f"{','.join(map(str, range(100_000)))}\na,b\n"):
        result = check(KINDS, text, {"type": "csv"})
        assert_told(result, "train.txt:1: no column 'text'; expected one of: ")
        assert len(result.err) < 3000


# ---- line ends and other files


@pytest.mark.parametrize("reader", [Conll(), Conllu(), Tsv(), Jsonl(), Lines(), Text()])
def test_a_stray_carriage_return_is_an_error(reader):
    with pytest.raises(DataError, match=r"data.txt:1: .*\\r"):
        read(reader, "a x\rb\nc y\n")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/dev/zero", "a pipe or a device; expected an ordinary file"),
        ("pipe", "a pipe or a device; expected an ordinary file"),
        ("folder", "this is a folder; expected a file"),
        ("none", "no such file"),
    ],
)
def test_a_path_that_is_not_a_file_is_one_error(path, message):
    os.mkfifo("pipe")
    Path("folder").mkdir()
    project = Project(TAGS, {"train.txt": "a N\n"})
    for key in ("corpora.c.files.train", "embedding.words.vectors"):
        assert_told(project.train(f"{key}={path}"), message)


@pytest.mark.parametrize(
    ("reader", "task", "text"),
    [
        ({"type": "lines"}, KINDS | {"labels": "label"},
         "Dogs NOUN\nbark VERB\n\nCats NOUN\na DET\n"),
        ({"type": "text"}, KINDS | {"labels": {"text": "next"}, "head": "lm",
          "metric": "perplexity"}, "Ann NNP B-PER\nis VB O\n\nin IN O\nRome NNP B-LOC\n"),
    ],
)  # fmt: skip
def test_a_column_file_read_as_text_is_a_note(reader, task, text):
    result = check(task, text, reader)
    assert (
        "the lines look like words with tags in columns; see `reader: {type: conll}`" in result.out
    )


def test_ordinary_text_does_not_look_like_columns():
    for text in (
        "one two\nthree four\nfive six\nseven eight\n",
        "1 A\n2 B\n",
        "DESC How far ?\n" * 9,
    ):
        assert [record.oddity for record in read(Text(), text)] == [""] * text.count("\n")


# ---- spans by character offsets

TEXT = "Anna lives in New York."
JSON = {"type": "jsonl"}


@pytest.mark.parametrize(
    "fields",
    [
        {"label": [[0, 4, "PER"], [14, 22, "LOC"]]},
        {"label": [[14, 22, "LOC"], [0, 5, "PER"]]},
        {"label": [{"start_offset": 0, "end_offset": 4, "label": "PER", "id": 1},
                   {"start_offset": 14, "end_offset": 22, "label": "LOC", "id": 2}]},
        {"label": [{"start": 0, "end": 4, "text": "Anna", "labels": ["PER"]},
                   {"start": 14, "end": 22, "text": "New York", "labels": ["LOC"]}]},
        {"tokens": [{"text": word, "id": n} for n, word in enumerate(TEXT[:-1].split())],
         "label": [{"start": 0, "end": 4, "label": "PER", "token_start": 0},
                   {"start": 14, "end": 22, "label": "LOC"}]},
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("scheme", "tags"),
    [("bio", "B-PER O O B-LOC I-LOC"), ("iob1", "I-PER O O I-LOC I-LOC"),
     ("iobes", "S-PER O O B-LOC E-LOC")],
)  # fmt: skip
def test_spans_by_offsets_are_tags_of_the_scheme(fields, scheme, tags):
    rows = [{"text": TEXT, **fields}, {"text": "No name here.", "label": []}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    result = check({**SPANS, "labels": "label", "scheme": scheme}, text, JSON)
    assert f"  t: {tags}" in result.out


def test_words_may_be_given_beside_the_text_of_spans():
    rows = [
        {"text": "Ann-like", "tokens": ["Ann", "-like"], "label": [[0, 3, "PER"]]},
        {"text": "None here", "tokens": ["None", "here"], "label": []},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    assert "  t: B-PER O" in check({**SPANS, "labels": "label"}, text, JSON).out


def test_spans_and_tags_do_not_mix():
    rows = [
        {"text": "None here", "tokens": ["None", "here"], "label": []},
        {"text": "Ann here", "tokens": ["Ann", "here"], "label": ["B-PER", "O"]},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    message = "train.txt:2: task 't': some sentences have spans by offsets, others have tags"
    assert_told(check({**SPANS, "labels": "label"}, text, JSON), message)


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([[0, 3, "PER"]], "train.txt:1: task 't': the span [0, 3, 'PER'] is 'Ann', which does not"),
        ([[1, 4, "PER"]], "which does not start and end at word boundaries"),
        ([[0, 4, "PER"], [0, 10, "X"]], "the span [0, 10, 'X'] overlaps another one"),
        ([[0, 99, "PER"]], "the span [0, 99, 'PER'] is empty or outside the text"),
        ([[-4, -1, "PER"]], "empty or outside the text of 23 characters"),
        ([[4, 4, "PER"]], "empty or outside the text"),
        ([[0, 4, " "]], "has no type"),
        ([{"start": 0, "end": 4, "text": "Bonn", "labels": ["X"]}], "is 'Anna' in the text"),
        ([[0, 4, "PER"], [5, 6]], "expected one label per token, found"),
    ],
)
def test_spans_that_do_not_fit_the_text_are_errors(spans, message):
    text = json.dumps({"text": TEXT, "label": spans})
    assert_told(check({**SPANS, "labels": "label"}, text, JSON), message)


def test_spans_without_a_scheme_are_an_error_that_shows_one():
    text = json.dumps({"text": TEXT, "label": [[0, 4, "PER"]]})
    message = "the column 'label' holds spans such as [0, 4, 'PER'], expected one label; set"
    assert_told(check(KINDS | {"labels": "label"}, text, JSON), message)


def test_rejected_spans_of_prodigy_do_not_count():
    spans = [{"start": 0, "end": 4, "label": "PER"}]
    answers = ["accept", "reject", "ignore"]
    rows = [{"text": TEXT, "spans": spans, "answer": answer} for answer in answers]
    records = read(Jsonl(), "".join(json.dumps(row) + "\n" for row in rows))
    assert ["spans" in record.columns for record in records] == [True, False, False]
    assert [bool(record.oddity) for record in records] == [False, True, True]


@pytest.mark.parametrize("value", [{"a": [1]}, [[[1]]], [{"a": 1}, [2]]])
def test_a_value_of_another_type_is_shown(value):
    text = json.dumps({"text": "a b", "kind": value})
    result = check(KINDS, text, JSON)
    assert_told(result, "train.txt:1: task 't': expected one label per")
    assert "no column at all" not in result.err


def test_a_list_of_objects_is_told_to_write_one_per_line():
    with pytest.raises(DataError, match=r"expected a JSON object, found .*; write one object per"):
        read(Jsonl(), '[{"text": "a"}]\n')
