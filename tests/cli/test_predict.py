"""`mtl predict`: what goes in comes out, labelled, nothing lost."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Result, mtl

TEXT = (
    'Ann left Rome. "Bob Smith" saw New Lima!\n\n   Eva visits Zoë\u2019s café \U0001f600 in Oslo\n'
)


def objects(result: Result) -> list[dict[str, Any]]:
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def test_text_is_labelled_by_all_tasks(model: str) -> None:
    found = mtl("predict", model, stdin="Ann Smith left New Rome.\n")
    assert found.out == (
        "# text = Ann Smith left New Rome.\n# start = 0\n# mood = glad\n"
        "# columns = token ner pos\n"
        "Ann\tB-PER\tNNP\nSmith\tI-PER\tNNP\nleft\tO\tVBD\n"
        "New\tB-LOC\tNNP\nRome\tI-LOC\tNNP\n.\tO\t.\n\n"
    )


@pytest.mark.parametrize("name", ["o.xlsx", "o.txt.gz", "o.v2"])
def test_a_name_of_an_unknown_format_is_refused(model: str, name: str) -> None:
    refused = mtl("predict", model, "--output", name, stdin=TEXT)
    assert refused.code == 2
    suffix = Path(name.removesuffix(".gz")).suffix
    assert f"{name}: the suffix {suffix} is not the one of a format; expected .jsonl" in refused.err
    assert not Path(name).exists()
    assert mtl("predict", model, "--output", name, "--format", "conll", stdin=TEXT).code == 0
    assert mtl("predict", model, "--output", "o", stdin=TEXT).code == 0
    assert mtl("predict", model, "--output", "o.CONLL", stdin=TEXT).code == 0
    assert Path("o").read_text() == Path("o.CONLL").read_text()


def test_offsets_are_characters_of_the_whole_input(model: str) -> None:
    for sentence in objects(mtl("predict", model, "--format", "jsonl", stdin=TEXT)):
        assert [TEXT[start:end] for start, end in sentence["offsets"]] == sentence["tokens"]
        assert sentence["text"] in TEXT


def test_every_character_that_is_no_blank_is_in_a_token(model: str) -> None:
    found = objects(mtl("predict", model, "--format", "jsonl", stdin=TEXT))
    assert "".join(t for s in found for t in s["tokens"]) == "".join(TEXT.split())


def test_spans_carry_their_text(model: str) -> None:
    (sentence,) = objects(mtl("predict", model, "--format", "jsonl", stdin="  Ann saw New Rome."))
    assert sentence["spans"] == {
        "ner": [
            {"type": "PER", "tokens": [0, 1], "start": 2, "end": 5, "text": "Ann"},
            {"type": "LOC", "tokens": [2, 4], "start": 10, "end": 18, "text": "New Rome"},
        ]
    }


def test_the_tasks_asked_for_come_alone(model: str) -> None:
    options = ["--task", "mood", "--task", "pos", "--format", "jsonl"]
    (sentence,) = objects(mtl("predict", model, *options, stdin="Ann left."))
    assert set(sentence) == {"text", "tokens", "offsets", "pos", "mood"}


CONLL = "# id = a-1\nAnn\tx\nleft\tx\n\n#\ty\nna\u00efve\u00a0word\ty\n\n\n-\tz"


def test_conll_keeps_its_sentences_and_tokens(model: str) -> None:
    Path("in.conll").write_text(CONLL, encoding="utf-8")
    found = mtl("predict", model, "in.conll", "--task", "pos")
    rows = [line.split("\t")[0] for line in found.out.split("\n") if not line.startswith("# ")]
    assert rows == ["Ann", "left", "", "#", "na\u00efve\u00a0word", "", "-", "", ""]
    assert found.out.startswith("# id = a-1\n")


def test_conllu_gives_its_words(model: str) -> None:
    path = Path(__file__).parents[1] / "fixtures/data/tiny.conllu"
    first, second = objects(mtl("predict", model, str(path), "--format", "jsonl"))
    assert first["tokens"] == ["We", "do", "n't", "sell", "2", "cars", "."]
    assert second["sent_id"] == "notes-2-1"


def test_what_it_writes_it_reads_again(model: str) -> None:
    for name in ("conll", "jsonl"):
        found = mtl("predict", model, "--unit", "sentence", "--format", name, stdin=TEXT).out
        Path(f"out.{name}").write_text(found, encoding="utf-8")
        again = mtl("predict", model, f"out.{name}", "--format", "jsonl")
        tokens = [sentence["tokens"] for sentence in objects(again)]
        assert tokens[1][1:3] == ["Bob", "Smith"]
        assert tokens == [
            s["tokens"]
            for s in objects(
                mtl("predict", model, "--unit", "sentence", "--format", "jsonl", stdin=TEXT)
            )
        ]


def test_jsonl_keeps_its_fields(model: str) -> None:
    lines = (
        '{"id": 7, "tokens": ["Ann", "left", "."]}\n\n{"id": 8, "text": "Eva left. Tom saw Oslo."}'
    )
    found = objects(mtl("predict", model, "--input", "jsonl", "--format", "jsonl", stdin=lines))
    assert [record["id"] for record in found] == [7, 8]
    assert found[0]["ner"] == ["B-PER", "O", "O"]
    assert found[1]["offsets"][3] == [10, 13]


def test_gzip_is_read_as_it_is(model: str) -> None:
    Path("in.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    packed = mtl("predict", model, "in.txt.gz")
    assert packed == mtl("predict", model, stdin=TEXT) == mtl("predict", model, "-", stdin=TEXT)


@pytest.mark.parametrize("stdin", ["", "\n", " \n\t\n"])
def test_nothing_in_gives_nothing_out(model: str, stdin: str) -> None:
    assert mtl("predict", model, stdin=stdin) == Result(0, "", "")


def test_many_lines_stream_in_their_order(model: str) -> None:
    names = [f"N{i}" for i in range(5000)]
    found = objects(
        mtl("predict", model, "--format", "jsonl", stdin="".join(f"{n} left.\n" for n in names))
    )
    assert [sentence["tokens"][0] for sentence in found] == names
    start = sum(len(f"{name} left.\n") for name in names[:-1])
    assert found[-1]["offsets"][0] == [start, start + 5]


def test_a_sentence_of_50000_words_is_labelled_whole(model: str) -> None:
    (sentence,) = objects(
        mtl("predict", model, "--format", "jsonl", "--input", "conll", stdin="Ann\nleft\n" * 25000)
    )
    assert len(sentence["pos"]) == 50000
    assert sentence["pos"][:49998] == ["NNP", "VBD"] * 24999


def test_windows_line_ends_and_byte_order_mark_change_nothing(model: str) -> None:
    plain = mtl("predict", model, stdin="Ann left.\nBob left.\n")
    assert mtl("predict", model, stdin=b"\xef\xbb\xbfAnn left.\r\nBob left.\r\n") == plain


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["--task", "nre"], b"", "the model has no task 'nre'; did you mean 'ner'?"),
        (["no.txt"], b"", "no.txt: there is no such file"),
        (["."], b"", ".: this is a folder; expected a file"),
        ([], b"a\ncaf\xe9\n", "<stdin>:2: byte 0xe9 at position 3 of the line is not UTF-8"),
        ([], b"a\n\0", "<stdin>:2: binary content"),
        ([], b"a\rb\n", "<stdin>:1: a carriage return (\\r) inside the line"),
        (["--input", "jsonl"], b'{"a": 1}', '<stdin>:1: expected an object with "tokens" '
         '(a list of words) or "text" (a string)'),
        (["--input", "jsonl"], b"{}\nxx", '<stdin>:1: expected an object with "tokens" '
         '(a list of words) or "text" (a string)'),
        (["--input", "jsonl"], b"\nxx", "<stdin>:2: expected a JSON object on each line: "
         "Expecting value: line 1 column 1 (char 0)"),
        (["--device", "cuda:99"], b"", "no device 'cuda:99' here: "),
    ],
)  # fmt: skip
def test_mistakes_are_told(model: str, arguments: list[str], stdin: bytes, message: str) -> None:
    found = mtl("predict", model, *arguments, stdin=stdin)
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith(f"error: {message}")
    assert "\n" not in found.err.rstrip("\n")


def test_text_without_words_is_given_back(model: str) -> None:
    lines = '{"text": "", "id": 1}\n{"text": "Ann saw Rome.", "id": 2}\n'
    found = objects(mtl("predict", model, "--input", "jsonl", "--format", "jsonl", stdin=lines))
    assert [(s["id"], len(s["tokens"])) for s in found] == [(1, 0), (2, 4)]


def test_a_token_with_blanks_stays_one_row_of_conll(model: str) -> None:
    lines = '{"tokens": ["New\\tYork", "", "x"]}\n'
    out = mtl("predict", model, "--input", "jsonl", "--task", "pos", stdin=lines).out
    assert [row.split("\t")[0] for row in out.splitlines() if "\t" in row] == ["New York", "_", "x"]
