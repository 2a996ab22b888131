"""`mtl predict` on tables: each row and each column comes back."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pytest

import mtl as library
from mtl.cli.inputs import read_jsonl
from mtl.data.readers import Jsonl
from tests.cli.command import mtl

ROWS = [
    ["id", "text", "note"],
    ["1", 'This is great food. Nice, "really" good!', "a, b"],
    ["2", "This is bad\nnews.", ""],
    ["3", "", 'say "x"'],
]


def as_csv(rows: list[list[str]], separator: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    return text.getvalue()


def rows_of(text: str, separator: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))


def train(text: str, reader: str, file: str = "data.csv") -> str:
    """Train a classifier on a table, and return its run folder."""
    Path(file).write_text(text)
    Path("run.yaml").write_text(
        "embedding: {words: {dim: 8}}\ntrunk: {type: lstm, num_layers: 1, hidden_size: 8}\n"
        f"corpora: {{c: {{reader: {reader}, files: {{train: {file}, dev: {file}}}, "
        "tasks: {y: {labels: y, head: pool, metric: accuracy}}}}\n"
        "tasks: {y: {use: c/y}}\ntraining: {epochs: 1}\n"
    )
    result = mtl("train", "run.yaml")
    assert result.code == 0, result.err
    return "runs/run"


@pytest.mark.parametrize("packed", [False, True])
def test_a_table_keeps_its_cells_and_gets_the_predictions(model: str, packed: bool) -> None:
    data = as_csv(ROWS).encode()
    path = Path("new.csv.gz" if packed else "new.csv")
    path.write_bytes(gzip.compress(data) if packed else data)
    found = mtl("predict", model, str(path), "--task", "mood", "--confidence")
    assert (found.code, found.err) == (0, "note: 1 text has no words, and so no label\n")
    header, *rows = rows_of(found.out)
    assert header == [*ROWS[0], "mood", "mood.confidence"]
    assert rows.pop() == [*ROWS[3], "", ""]
    assert [row[:3] for row in rows] == ROWS[1:3]
    labels = library.load(model).predict([row[1] for row in ROWS[1:3]], ["mood"])["mood"]
    assert [row[3] for row in rows] == labels
    assert all(0.5 <= float(row[4]) <= 1 for row in rows)


def test_tags_are_lists_beside_their_words(model: str) -> None:
    text = as_csv([["text"], ["Ann left Rome. Bob saw Lima!"]])
    found = mtl("predict", model, "--input", "csv", "--task", "pos", "--confidence", stdin=text)
    header, row = rows_of(found.out)
    assert header == ["text", "tokens", "pos", "pos.confidence"]
    tokens, tags, confidence = map(json.loads, row[1:])
    assert tokens == ["Ann", "left", "Rome", ".", "Bob", "saw", "Lima", "!"]
    assert tags == library.load(model).predict([row[0]], ["pos"])["pos"][0]
    assert len(confidence) == 8


def test_formats_can_be_changed(model: str) -> None:
    Path("new.csv").write_text(as_csv(ROWS))
    found = mtl("predict", model, "new.csv", "--task", "mood", "--format", "jsonl")
    records = [json.loads(line) for line in found.out.splitlines()]
    assert [(own["id"], own["text"], own["note"]) for own in records] == [*map(tuple, ROWS[1:])]
    table = mtl("predict", model, "new.csv", "--task", "mood", "--format", "tsv").out
    header, *rows = (line.split("\t") for line in table.splitlines())
    assert header == [*ROWS[0], "mood"]
    assert [row[1] for row in rows] == [ROWS[1][1], "This is bad news.", ""]
    lines = '{"id": 1, "text": "a,\\r\\nb"}\n{"id": null, "text": ""}\n{"text": "x", "id": [2]}\n'
    options = ["--input", "jsonl", "--format", "csv", "--task", "mood"]
    header, *rows = rows_of(mtl("predict", model, *options, stdin=lines).out)
    assert header == ["id", "text", "mood"]
    assert [row[:2] for row in rows] == [["1", "a,\nb"], ["", ""], ["[2]", "x"]]


def test_a_header_alone_is_a_table(model: str) -> None:
    found = mtl("predict", model, "--input", "csv", "--task", "mood", stdin="a,text\n")
    assert (found.code, found.out) == (0, "a,text,mood\n")
    assert mtl("predict", model, "--input", "csv", "--task", "mood", stdin="").out == ""


def test_the_settings_are_those_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = train(
        "review;y\ngood, nice;a\nbad;b\n",
        "{type: csv, text: review, separator: ';', tokenize: false}",
    )
    Path("new.csv").write_text('x;review\n1;"good,nice; cheap"\n')
    found = mtl("predict", folder, "new.csv")
    assert (found.code, found.err) == (0, "")
    header, row = rows_of(found.out, ";")
    assert header == ["x", "review", "y"]
    assert row[:2] == ["1", "good,nice; cheap"]
    (record,) = mtl("predict", folder, "new.csv", "--format", "jsonl").out.splitlines()
    assert json.loads(record)["tokens"] == ["good,nice;", "cheap"]
    assert json.loads(record)["offsets"] == [[0, 10], [11, 16]]
    # A table of the other format has its own separator, and the same columns.
    Path("new.tsv").write_text("x\treview\n1\tgood\n")
    assert mtl("predict", folder, "new.tsv").out.splitlines()[0] == "x\treview\ty"


def test_a_table_without_header_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = train("a,good\nb,bad\n", "{type: csv, columns: [y, text]}")
    found = mtl("predict", folder, "data.csv")
    assert found.code == 0
    assert [row[:2] for row in rows_of(found.out)] == [["a", "good"], ["b", "bad"]]
    assert all(len(row) == 3 for row in rows_of(found.out))
    assert "note: the table has no header; its last columns: predicted_y" in found.err


def test_a_column_with_the_name_of_a_task_keeps_its_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = train("text,y\ngood,a\nbad,b\n", "csv")
    found = mtl("predict", folder, "data.csv", "--confidence")
    header, *rows = rows_of(found.out)
    assert header == ["text", "y", "predicted_y", "predicted_y.confidence"]
    assert [row[:2] for row in rows] == [["good", "a"], ["bad", "b"]]
    assert "note: the input has a field 'y'; the prediction is in 'predicted_y'" in found.err
    Path("again.csv").write_text(found.out)
    found = mtl("predict", folder, "again.csv")
    assert rows_of(found.out)[0] == [*header, "predicted_y_2"]
    assert "note: the input has a field 'y'; the prediction is in 'predicted_y_2'" in found.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\nx,y\n", "<stdin>:1: no column 'text', which the model reads"),
        ("text,a\nx\n", "<stdin>:2: expected 2 columns, found 1: 'x'"),
        ("text,a,a\nx,y,z\n", "<stdin>:1: two columns are named 'a'"),
        ('text,a\n"x"y,z\n', "<stdin>:2: not a readable table"),
    ],
)
def test_tables_that_cannot_be_read_are_errors(model: str, text: str, message: str) -> None:
    found = mtl("predict", model, "--input", "csv", "--task", "mood", stdin=text)
    assert found.code == 2
    assert found.err.startswith(f"error: {message}")


def test_attention_is_not_written_to_tables(model: str) -> None:
    assert mtl("predict", model, "--format", "csv", "--explain", stdin="a").code == 2


@pytest.mark.parametrize(
    ("file", "reader", "text"),
    [
        ("a.jsonl", "jsonl", '{"body": "good", "y": "a"}\n{"body": "bad", "y": "b"}\n'),
        ("a.csv", "csv", "body,y\ngood,a\nbad,b\n"),
    ],
)
def test_objects_may_have_the_fields_of_the_training_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, reader: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = train(text, f"{{type: {reader}, text: body}}", file)
    options = ["--input", "jsonl", "--format", "jsonl"]
    found = mtl("predict", folder, *options, stdin='{"body": "good one", "id": 7}\n')
    assert found.code == 0, found.err
    record = json.loads(found.out)
    assert (record["body"], record["id"], record["tokens"]) == ("good one", 7, ["good", "one"])
    assert record["y"] in ("a", "b")
    # The usual field comes first.
    found = mtl("predict", folder, *options, stdin='{"body": "good", "text": "bad"}\n')
    assert json.loads(found.out)["tokens"] == ["bad"]


def test_pairs_of_objects_may_have_the_fields_of_the_training_data() -> None:
    readers = [Jsonl(text="premise", pair="hypothesis")]
    line = '{"premise": "a b", "hypothesis": "c"}'
    (found,) = read_jsonl([line], "in", pairs=True, readers=readers)
    assert (found.tokens, found.tokens_b) == (("a", "b"), ("c",))
    (found,) = read_jsonl(['{"words": ["a"]}'], "in", pairs=False, readers=[Jsonl(tokens="words")])
    assert found.tokens == ("a",)
