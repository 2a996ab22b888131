"""The readers of all file formats, on valid files."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.data.readers import READERS, Conll, Conllu, Csv, Jsonl, Lines, Record, Text, Tsv
from mtl.errors import OptionError
from mtl.options import options_of

DATA = Path(__file__).parents[1] / "fixtures" / "data"
WORD = st.text("ab#-\u00a0é日", min_size=1, max_size=4).filter(lambda w: w != "-DOCSTART-")


def write(folder, content):
    path = folder / "file.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(reader, path):
    return list(reader.read(path))


def test_conll_sentences_end_at_blank_lines_and_document_marks():
    records = read(Conll(columns=["tokens", "pos", "labels"]), DATA / "tiny.conll")
    assert [r.tokens for r in records] == [["Ann", "left"], ["#", "7"], ["Bob"]]
    assert [r.columns["labels"] for r in records] == [["B-PER", "O"], ["O", "O"], ["B-PER"]]
    assert [r.line for r in records] == [4, 7, 10]


def test_conll_columns_count_from_either_end():
    first, second = read(Conll(columns={"tokens": 1, "by": -1, "ner": 2}), DATA / "tiny.iob2")
    assert first == Record(
        ["Ann", "left"], {"by": ["x", "-"], "ner": ["B-PER", "O"]}, {"id": "a-1"}, 2
    )
    assert second.tokens == ["#", "one"]
    assert second.metadata == {"id": "a-2", "text": "# one"}


def test_conll_reads_the_first_and_the_last_column_by_default():
    assert read(Conll(), DATA / "tiny.conll")[0].columns == {"labels": ["B-PER", "O"]}


def test_conll_without_comments_keeps_lines_that_begin_with_a_hash(tmp_path):
    path = write(tmp_path, "# = x\na b c\n")
    assert read(Conll(comments=False), path)[0].tokens == ["#", "a"]


def test_conll_columns_may_be_cut_at_another_mark(tmp_path):
    path = write(tmp_path, "New York|LOC\n")
    assert read(Conll(separator="|"), path)[0] == Record(["New York"], {"labels": ["LOC"]}, {}, 1)


def test_conll_keeps_a_sentence_of_fifty_thousand_words(tmp_path):
    (record,) = read(Conll(), write(tmp_path, "word O\n" * 50_000))
    assert len(record.tokens) == 50_000


@pytest.mark.parametrize("name", ["tiny.conll", "tiny.iob2"])
@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.replace(b"\n", b"\r\n"),
        lambda b: b"\xef\xbb\xbf" + b,
        lambda b: b.rstrip(),
        lambda b: b"\n\n" + b + b"\n \n\t\n",
        lambda b: b.replace(b"\n\t\n", b"\n\n").replace(b"\n \t\n", b"\n\n"),
    ],
)
def test_conll_line_ends_bom_and_blank_lines_change_nothing(tmp_path, name, change):
    content = (DATA / name).read_bytes()
    records = [(r.tokens, r.columns, r.metadata) for r in read(Conll(), DATA / name)]
    changed = read(Conll(), write(tmp_path, change(content)))
    assert [(r.tokens, r.columns, r.metadata) for r in changed] == records


@given(st.lists(st.lists(st.tuples(WORD, WORD), min_size=1, max_size=3), max_size=3))
@settings(max_examples=50)
def test_conll_reads_what_was_written(tmp_path_factory, sentences):
    text = "\n".join("".join(f"{a}\t_\t{b}\n" for a, b in s) for s in sentences)
    records = read(Conll(), write(tmp_path_factory.mktemp("conll"), text))
    assert [list(zip(r.tokens, r.columns["labels"], strict=True)) for r in records] == sentences


def test_conll_needs_a_column_of_tokens():
    with pytest.raises(OptionError, match="columns: expected one of them to be 'tokens'"):
        Conll(columns=["word", "ner"])


def test_conllu_passes_over_ranges_and_empty_nodes():
    first, second = read(Conllu(), DATA / "tiny.conllu")
    assert first.tokens == ["We", "do", "n't", "sell", "2", "cars", "."]
    assert first.columns["upos"] == ["PRON", "AUX", "PART", "VERB", "NUM", "NOUN", "PUNCT"]
    assert first.columns["misc"][5] == "SpaceAfter=No|Lang=en"
    assert second.columns["feats"] == ["Number=Sing", "_"]
    assert second.columns["lemma"] == ["rain", "again"]


def test_conllu_comments_are_metadata():
    first, second = read(Conllu(), DATA / "tiny.conllu")
    assert first.metadata["newdoc id"] == "letters-1"
    assert second.metadata == {"sent_id": "notes-2-1", "text": "Rain again"}


def test_csv_columns_are_labels_and_may_be_empty():
    first, second = read(Csv(), DATA / "tiny.csv")
    assert first.tokens == ["Good", ",", "really", "good", "."]
    assert first.columns == {"mood": "glad", "topic": "food"}
    assert second.columns == {"mood": "sad", "topic": ""}
    assert (first.line, second.line) == (2, 3)


@pytest.mark.parametrize("columns", [["mood", "text"], {"text": -1, "mood": 0}])
def test_tsv_without_header_takes_names_and_keeps_quotes(columns):
    first, _ = read(Tsv(columns=columns, tokenize=False), DATA / "tiny.tsv")
    assert first == Record(["A", '"good"', "day"], {"mood": "glad"}, {}, 1)


def test_csv_cells_may_be_longer_than_the_module_allows(tmp_path):
    (record,) = read(Csv(tokenize=False), write(tmp_path, "text,y\n" + "word " * 50_000 + ",1\n"))
    assert len(record.tokens) == 50_000


def test_jsonl_takes_words_or_text_and_any_plain_values():
    first, second = read(Jsonl(), DATA / "tiny.jsonl")
    assert first == Record(
        ["Ann", "left", "Rome"],
        {"ner": ["B-PER", "O", "B-LOC"], "id": "7", "old": "true", "spans": {"a": 1}},
        {},
        1,
    )
    assert second == Record(["She", "is", "n't", "here", "."], {"id": "x"}, {}, 3)


def test_jsonl_fields_can_be_chosen():
    first, _ = read(Jsonl(columns=["ner"]), DATA / "tiny.jsonl")
    assert set(first.columns) == {"ner"}


def test_lines_hold_a_label_and_a_text(tmp_path):
    first, second = read(Lines(), DATA / "tiny.lines")
    assert first == Record(["the", "rain", "goes", "on"], {"label": "sad"}, {}, 1)
    assert second.line == 3
    path = write(tmp_path, "no, no\tsad\n")
    assert read(Lines(separator="\t", label="last", tokenize=True), path) == [
        Record(["no", ",", "no"], {"label": "sad"}, {}, 1)
    ]


@pytest.mark.parametrize(
    ("by", "sentences"),
    [
        ("line", ["one two", "three", "four five six"]),
        ("paragraph", ["one two three", "four five six"]),
        ("document", ["one two three four five six"]),
    ],
)
def test_text_is_cut_by_line_paragraph_or_not_at_all(by, sentences):
    assert [" ".join(r.tokens) for r in read(Text(by=by), DATA / "tiny.txt")] == sentences


def test_text_knows_the_lines_of_its_sentences():
    assert [r.line for r in read(Text(), DATA / "tiny.txt")] == [1, 2, 4]
    assert [r.line for r in read(Text(by="paragraph"), DATA / "tiny.txt")] == [1, 4]


@pytest.mark.parametrize("reader", [Lines(), Lines(separator="\t"), Tsv(columns=["label", "text"])])
def test_a_row_without_text_keeps_its_place(tmp_path, reader):
    separator = getattr(reader, "separator", " ")
    path = write(tmp_path, separator.join(("sad", "")) + "\n" + separator.join(("glad", "sun")))
    assert [r.tokens for r in read(reader, path)] == [[], ["sun"]]


@pytest.mark.parametrize(
    ("reader", "name"),
    [(Conll(), "tiny.conll"), (Conllu(), "tiny.conllu"), (Csv(), "tiny.csv"),
     (Jsonl(), "tiny.jsonl"), (Lines(), "tiny.lines"), (Text(), "tiny.txt")],
)  # fmt: skip
def test_gzip_reads_like_the_plain_file(tmp_path, reader, name):
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gzip.compress((DATA / name).read_bytes()))
    assert read(reader, path) == read(reader, DATA / name)


@pytest.mark.parametrize("name", list(READERS))
def test_options_are_documented(name):
    assert all(option.help for option in options_of(READERS.find(name)))


def test_the_digest_changes_with_the_bytes(tmp_path):
    before = Text().digest(write(tmp_path, "a"))
    assert before != Text().digest(write(tmp_path, "b"))
    assert before == Text().digest(write(tmp_path, "a"))


def test_readers_import_without_datasets():
    code = "import sys, mtl.data.readers; print('datasets' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_json_lines_round_trip_any_text(tmp_path):
    word = "a\u2028b\x85"
    path = write(tmp_path, json.dumps({"tokens": [word]}, ensure_ascii=False))
    assert read(Jsonl(), path)[0].tokens == [word]
