"""Errors in data files name file and line, and leave no run folder behind."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import pytest

from tests.cli import project as small
from tests.cli.command import assert_refused, mtl

GOOD = small.news(3, 4)
LINES = len(GOOD.splitlines())
TAGS = (
    "expected O, or B, I, E or S (in other schemes L, U or M) with a type, such as B-PER; for "
    "labels that are not spans, use a "
)

EMPTY = ": expected at least one sentence, found none"
NEWS = {
    "empty": (b"", EMPTY),
    "only blank lines": (b"\n \n\t\n", EMPTY),
    "only comments": (b"# id = 1\n\n-DOCSTART- -X- O\n", EMPTY),
    "too few columns": (f"{GOOD}\nAnn NNP\n".encode(), f":{LINES + 2}: no column 2 for "
        "'ner': this line has 2 columns (from 0): 'Ann NNP'; see `columns:`"),
    "label column out of range": (b"Ann NNP\n", ":1: no column 2 for 'ner': this line has "
        "2 columns (from 0): 'Ann NNP'; see `columns:`"),
    "binary": (b"Ann NNP O\n\0\1\2", ":2: binary content (or UTF-16); expected text in UTF-8; "
        "name a text file, or convert it to UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), ":1: binary content (or UTF-16); expected text in UTF-8; "
        "name a text file, or convert it to UTF-8"),
    "latin-1": ("Ann NNP O\nZoë NNP O\n".encode("latin-1"), ":2: byte 0xeb at position 2 of the "
        "line is not UTF-8; convert the file, as in: iconv -f WINDOWS-1252 -t UTF-8 train.txt"),
    "no span tag": (f"{GOOD}\nAnn NNP PER\n".encode(), f":{LINES + 2}: task 'ner': 'PER' is not a "
        f"span tag: {TAGS}head without a scheme and a metric such as accuracy"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), NEWS.values(), ids=NEWS)
@pytest.mark.parametrize("verb", ["train", "check"])
def test_an_error_in_a_column_file(project: Path, verb: str, content: bytes, message: str) -> None:
    path = project / "data/train.txt"
    path.write_bytes(content)
    assert_refused(mtl(verb, "run.yaml"), f"{path}{message}")


MOODS = {
    "empty": (b"", EMPTY),
    "only a header": (b"text\tmood\n", EMPTY),
    "no column of text": (b"txt\tmood\ngood\tglad\n", ":1: no column 'text'; did you mean 'txt'?; "
        "see `text:`, or `columns:` if the file has no header"),
    "another width": (b"text\tmood\ngood\tglad\nbad\n", ":3: expected 2 columns, found 1: 'bad'; "
        "correct the line, or set `separator:` and `quotes:`"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), MOODS.values(), ids=MOODS)
def test_an_error_in_a_table(project: Path, content: bytes, message: str) -> None:
    path = project / "data/mood.train.tsv"
    path.write_bytes(content)
    assert_refused(mtl("train", "run.yaml"), f"{path}{message}")


def test_a_gzip_file_that_is_cut(project: Path) -> None:
    path = project / "data/train.txt.gz"
    path.write_bytes(gzip.compress(small.news(2000, 5).encode())[:5000])
    result = mtl("train", "run.yaml", f"corpora.news.files.train={path}")
    assert result.err.startswith(f"error: {path}:")
    assert result.err.endswith(": the gzip data is truncated or damaged; download the file again\n")
    assert result.code == 2
    assert not Path("runs").exists()


def test_a_column_that_no_sentence_has(project: Path) -> None:
    result = mtl("train", "run.yaml", "corpora.news.tasks.pos.labels=pso")
    message = (
        "task 'pos': `labels` names the column 'pso', which no sentence has; did you mean 'pos'?"
    )
    assert_refused(result, f"{project / 'data/train.txt'}: {message}")


def test_a_task_without_any_label_to_train_on(project: Path) -> None:
    (project / "data/mood.train.tsv").write_text("text\tmood\ngood\t\n")
    message = "tasks.mood: no sentence of the training data is labelled for it"
    assert_refused(mtl("train", "run.yaml"), message)


def test_another_number_of_sentences_than_expected(project: Path) -> None:
    result = mtl("train", "run.yaml", "corpora.news.expect={train: 41}")
    message = "train: expected 41 sentences, found 40; is the file whole? else correct `expect:`"
    assert_refused(result, f"{project / 'data/train.txt'}: {message}")


def test_a_sentence_head_on_token_labels(project: Path) -> None:
    found = "predicts one value per sentence, but the data has one per token"
    result = mtl("train", "run.yaml", "tasks.pos.head={type: cnn}")
    assert_refused(result, f"tasks.pos.head: 'cnn' {found}; choose another head")


def test_a_token_head_on_sentence_labels(project: Path) -> None:
    found = "predicts one value per token, but the data has one per sentence"
    result = mtl("train", "run.yaml", "tasks.mood.head={type: crf}")
    assert_refused(result, f"tasks.mood.head: 'crf' {found}; choose another head")


def test_a_span_metric_on_labels_that_are_no_spans(project: Path) -> None:
    result = mtl("train", "run.yaml", "tasks.pos.metric=span_f1")
    assert result.code == 2
    assert result.err.startswith("error: tasks.pos.metric: 'span_f1': 'NNP' is not a span tag: ")
    assert not Path("runs").exists()


def test_a_split_that_leaves_nothing_to_train_on(project: Path) -> None:
    result = mtl("train", "run.yaml", "corpora.mood.splits.test=40")
    message = "test: 40 of 40 sentences leaves a split without sentences; correct `splits:`"
    assert_refused(result, f"{project / 'data/mood.train.tsv'}: {message}")


def test_pretrained_vectors_that_are_none(project: Path) -> None:
    result = mtl("train", "run.yaml", "embedding.words.vectors=data/train.txt")
    assert result.code == 2
    assert f"{project / 'data/train.txt'}:1: expected a finite number, got 'NNP'" in result.err
    assert not Path("runs").exists()


def test_sentences_without_words_are_left_out_and_said(project: Path) -> None:
    with open("data/mood.train.tsv", "a") as file:
        file.write(" \tsad\n")
    result = mtl("train", "run.yaml", "training.epochs=1")
    assert result.code == 0
    assert "note: mood: train: 1 rows without words left out" in result.err


@pytest.mark.slow
def test_a_sentence_of_50000_words_is_trained_on_in_windows(project: Path) -> None:
    with open("data/train.txt", "a") as file:
        file.write("\n" + "Ann NNP B-PER\nleft VBD O\n" * 25000)
    result = mtl("train", "run.yaml", "training.epochs=1", "training.batch={max_tokens: 4096}")
    assert result.code == 0, result.err
    assert "additional windows, for sentences of more than 512 tokens: 111\n" in result.err


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
def test_names_that_are_not_utf8_are_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    small.write(folder)
    monkeypatch.chdir(folder)
    for command in ("check", "train", "audit"):
        result = mtl(command, "run.yaml")
        assert result.code == 2
        assert "the name of a file or folder is not UTF-8; rename it" in result.err
        assert not Path("runs").exists()


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
def test_a_page_of_a_folder_whose_name_is_not_utf8(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    shutil.copytree(trained, folder)
    result = mtl("report", str(folder), "--html", str(tmp_path / "page.html"))
    assert result.code == 0, result.err
    assert "Report: ?" in (tmp_path / "page.html").read_text(encoding="utf-8")
