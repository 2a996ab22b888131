"""`mtl predict` on input that is damaged, or of another format: one error, or valid output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtl.cli.inputs import check_prose, read_jsonl
from mtl.errors import DataError
from tests.cli.command import mtl, process

JSONL = ["--input", "jsonl", "--format", "jsonl"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (r'{"tokens": ["a\ud800b"]}', r"contains an incomplete character, \ud800; remove"),
        (r'{"text": "a", "\uDC00": 1}', r"contains an incomplete character, \udc00; remove"),
        ("[" * 100_000, "expected JSON of at most 200 levels"),
        (
            '{"text": "a", "x": ' + "[" * 300 + "]" * 300 + "}",
            "expected JSON of at most 200 levels",
        ),
        ('{"text": "a", "n": NaN}', "expected a JSON object on each line: NaN is not JSON"),
        ('{"text": "a", "n": [-Infinity]}', "expected a JSON object on each line: -Infinity is"),
        ('{"text": "a", "n": 1e999}', "expected a JSON object on each line: 1e999 is beyond"),
        ('{"text": "a", "n": ' + "9" * 5000 + "}", "expected a JSON object on each line: Exceeds"),
        ('{"text": "a", "tokens": [1]}', 'expected "tokens" to be a list of words'),
        ("\0", "binary content"),
    ],
)
def test_json_that_cannot_be_written_again_is_an_error(model: str, line: str, message: str) -> None:
    found = mtl("predict", model, *JSONL, stdin=f'{{"text": ""}}\n{line}\n')
    assert found.code == 2
    assert found.err.startswith(f"error: <stdin>:2: {message}")
    assert found.err.count("\n") == 1


def test_nul_beyond_the_start_of_a_file_is_an_error(model: str) -> None:
    Path("in.txt").write_bytes(b"Ann left.\n" * 10_000 + b"a\0b\n")
    found = mtl("predict", model, "in.txt")
    assert found.code == 2
    assert found.err.startswith("error: in.txt:10001: binary content")


def test_names_of_fields_stay_on_their_line(model: str) -> None:
    line = json.dumps({"tokens": ["a", "b"], "na\nme": "v", "k\n\nx\tO": 1, "n\0": "\0"})
    found = mtl("predict", model, "--input", "jsonl", stdin=line)
    assert (found.code, found.err) == (0, "")
    lines = found.out.split("\n")
    assert lines[:3] == ["# na me = v", "# k x O = 1", "# n = "]
    assert [row.split("\t")[0] for row in lines if not row.startswith("#")] == ["a", "b", "", ""]


def test_each_word_is_a_row(model: str) -> None:
    tokens = ["a\x85b", "c\u2028d", " ", "\t", "", "\0", "\r\n"]
    options = ["--input", "jsonl", "--task", "mood"]
    found = mtl("predict", model, *options, stdin=json.dumps({"tokens": tokens}))
    rows = [row for row in found.out.split("\n")[:-2] if not row.startswith("#")]
    assert rows == ["a\x85b", "c\u2028d", "_", "_", "_", "_", "_"]


def test_fields_of_the_input_keep_their_values(model: str) -> None:
    row = {"id": 9, "text": "Ann left.", "mood": "gold", "spans": ["mine"], "tokens": None}
    found = mtl("predict", model, *JSONL, stdin=json.dumps(row))
    own = json.loads(found.out)
    assert {key: own[key] for key in row} == row
    assert own["predicted_mood"] in ("glad", "sad")
    assert own["predicted_tokens"] == ["Ann", "left", "."]
    assert set(own["predicted_spans"]) == {"ner"}
    assert found.err.splitlines() == [
        f"note: the input has a field {name!r}; the prediction is in 'predicted_{name}'"
        for name in ("mood", "spans", "tokens")
    ]
    comments = mtl("predict", model, "--input", "jsonl", stdin=json.dumps(row)).out
    assert "# mood = gold\n" in comments
    assert "# predicted_mood = " in comments


def test_all_records_have_the_same_names(model: str) -> None:
    lines = '{"text": "Ann left."}\n{"text": "Bob left.", "mood": "gold"}\n'
    found = mtl("predict", model, *JSONL, stdin=lines)
    records = list(map(json.loads, found.out.splitlines()))
    assert "mood" not in records[0]
    assert records[1]["mood"] == "gold"
    assert all(own["predicted_mood"] in ("glad", "sad") for own in records)
    late = '{"text": "Ann left."}\n' * 5000 + '{"text": "Bob left.", "mood": "gold"}\n'
    found = mtl("predict", model, *JSONL, stdin=late)
    assert found.code == 2
    assert "the field 'mood' has the name of a prediction" in found.err


def test_comments_that_describe_columns_are_not_copied(model: str) -> None:
    text = "# global.columns = ID FORM UPOS\n# sent_id = 1\n" + "1\tAnn" + "\t_" * 8 + "\n\n"
    found = mtl("predict", model, "--input", "conll", "--task", "pos", stdin=text)
    assert found.out == "# sent_id = 1\n# columns = token pos\nAnn\tNNP\n\n"
    again = mtl("predict", model, "--input", "conll", "--task", "pos", stdin=found.out)
    assert again == found


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    ["PYTHONIOENCODING=ascii", pytest.param("LC_ALL=C PYTHONUTF8=0", marks=pytest.mark.slow)],
)
def test_the_output_is_utf_8_on_any_terminal(model: str, environment: str) -> None:
    found = process("predict", model, stdin="Zoë saw Köln 漢.\n", shell=f"export {environment}")
    assert found.code == 0, found.err
    assert "Köln" in found.out


OTHERS = {
    "tagged": "Ann NNP B-PER\nleft VBD O\n. . O\n\nBob NNP B-PER\n",
    "tabs": "# text = x\nAnn\tNNP\nleft\tVBD\n",
    "conllu": "# text = Ann\n1\tAnn" + "\t_" * 8 + "\n2\tleft" + "\t_" * 8 + "\n",
    "lower case": "".join(f"w{n} {'nv'[n % 2]}\n" + "\n" * (n % 4 == 3) for n in range(20)),
    "table": "text\tlabel\nGood food\tpos\n",
    "jsonl": '{"text": "Ann left."}\n',
    "json": '[\n  {"text": "Ann left."}\n]\n',
}
PROSE = [
    "Ann left Rome.\nBob saw Lima.\n",
    "Ann Smith\nBob Jones\n" * 30,
    "# Title\n\nSome words, (and more).\n",
    "[Music] plays\n[Applause]\n",
    "A line\twith a tab\nand one without\n",
    "Hello !\nBye !\n",
    "",
    "\n\n",
    *(f"{n} left.\n" for n in range(3)),
]


@pytest.mark.parametrize("name", OTHERS)
def test_other_formats_are_not_read_as_text(model: str, name: str) -> None:
    Path("in.txt").write_text(OTHERS[name])
    for arguments, stdin in ((["in.txt"], ""), ([], OTHERS[name])):
        found = mtl("predict", model, *arguments, stdin=stdin)
        assert (found.code, found.out) == (2, "")
        assert "not like text; name its format with --input, or add --input text" in found.err
    assert mtl("predict", model, "in.txt", "--input", "text").code == 0


@pytest.mark.parametrize("text", PROSE)
def test_text_is_text(text: str) -> None:
    lines = text.splitlines(keepends=True)
    assert list(check_prose(lines, "in", pairs=False)) == lines


def test_a_conll_file_called_tsv_is_no_table(model: str) -> None:
    Path("in.tsv").write_text("# text = cela\ncela\tPRON\n")
    found = mtl("predict", model, "in.tsv")
    assert found.code == 2
    assert "--input conll" in found.err


def test_the_word_is_in_the_column_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.conll").write_text("doc 0 Ann NNP\ndoc 1 left VBD\n")
    Path("run.yaml").write_text(
        "embedding: {words: {dim: 8}}\ntrunk: {type: lstm, num_layers: 1, hidden_size: 8}\n"
        "corpora: {c: {reader: {type: conll, columns: {tokens: 2, y: 3}}, "
        "files: {train: data.conll, dev: data.conll}, "
        "tasks: {y: {labels: y, head: softmax, metric: accuracy}}}}\n"
        "tasks: {y: {use: c/y}}\ntraining: {epochs: 1}\n"
    )
    assert mtl("train", "run.yaml").code == 0
    for text in ("doc 0 Ann NNP\ndoc 1 left VBD\n", "Ann\nleft\n"):
        found = mtl("predict", "runs/run", "--input", "conll", stdin=text)
        rows = [row.split("\t")[0] for row in found.out.splitlines()]
        assert rows == ["# columns = token y", "Ann", "left", ""]
    found = mtl("predict", "runs/run", "--input", "conll", stdin="Ann NNP\n")
    assert found.code == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(JSON, st.booleans())
def test_json_is_read_unless_it_has_infinite_numbers(value: object, ascii_only: bool) -> None:
    line = json.dumps({"text": "a b", "x": value}, ensure_ascii=ascii_only)
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        with pytest.raises(DataError, match="in:1: expected a JSON object on each line: "):
            list(read_jsonl([line], "in", pairs=False))
    else:
        (sentence,) = read_jsonl([line], "in", pairs=False)
        assert sentence.fields == {"x": value}


def test_a_text_without_words_gets_no_label(model: str) -> None:
    options = ["--task", "mood", "--confidence"]
    found = mtl("predict", model, *options, *JSONL, stdin='{"text": "good"}\n{"text": " "}\n')
    first, second = map(json.loads, found.out.splitlines())
    assert first["mood"] == "glad"
    assert second == {"text": " ", "tokens": [], "mood": None}
    assert found.err == "note: 1 text has no words, and so no label\n"
    found = mtl("predict", model, *options, "--input", "csv", stdin='text\n""\n')
    assert found.out.splitlines() == ["text,mood,mood.confidence", ",,"]
    found = mtl("predict", model, *options, "--input", "jsonl", stdin='{"text": ""}\n')
    assert "# mood = _\n" in found.out


def test_fields_are_written_as_plain_values(model: str) -> None:
    row = {"text": "good", "a": None, "b": [1, "x"], "c": True, "d": {"e": "f"}, "g": "it's"}
    found = mtl("predict", model, "--input", "jsonl", stdin=json.dumps(row))
    lines = ["# a =", '# b = [1, "x"]', "# c = true", '# d = {"e": "f"}', "# g = it's"]
    assert [line.rstrip() for line in found.out.splitlines()[:5]] == lines
