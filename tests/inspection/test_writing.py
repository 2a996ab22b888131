"""The files that `mtl new` writes: they are valid, and a model can be trained with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtl.experiment import load_config
from tests.cli.command import mtl


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MTL_DATA", raising=False)


def _conll() -> None:
    rows = [
        f"{who} B-PER\n{does} O\nNew B-LOC\nYork I-LOC\n{when} O\n\n"
        for who in ("Ann", "Bob", "Eve")
        for does in ("sees", "likes", "knows")
        for when in ("now", "today", "again", "often", "twice")
    ]
    Path("mine.conll").write_text("".join(rows))


def test_from_a_file_to_labels() -> None:
    _conll()
    result = mtl("new", "mine.conll")
    assert (result.code, result.err) == (0, "")
    assert "task ner: spans in BIO tags, 2 types: PER (45), LOC (45)" in result.out
    assert mtl("check", "mine").code == 0
    assert mtl("train", "mine", "training.epochs=25", "trunk.hidden_size=20").code == 0
    result = mtl("predict", "runs/mine", "--input", "conll", stdin="Ann\nsees\nNew\nYork\n")
    rows = [line.split() for line in result.out.splitlines() if line and line[0] != "#"]
    assert rows == [["Ann", "B-PER"], ["sees", "O"], ["New", "B-LOC"], ["York", "I-LOC"]]


def test_awkward_names_are_quoted() -> None:
    rows = [{"text": f"some text {i}", "is it: good?": "yes" if i % 2 else "no", "on": f"{i % 3}"}
            for i in range(12)]  # fmt: skip
    Path("a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    result = mtl("new", "a.jsonl", "--name", "my-run_2")
    assert result.code == 0, result.err
    run = load_config("my-run_2.yaml")
    assert {name: task.source.column for name, task in run.tasks.items()} == {
        "is_it_good": "is it: good?",
        "on": "on",
    }


def test_nothing_is_replaced_or_left_half_written() -> None:
    _conll()
    Path("mine.yaml").write_text("mine")
    result = mtl("new", "mine.conll")
    assert result.code == 2
    assert "mine.yaml: exists already" in result.err
    assert Path("mine.yaml").read_text() == "mine"
    assert not list(Path("tasks").glob("*"))
    assert mtl("new", "mine.conll", "--force").code == 0
    Path("b.jsonl").write_text('{"text": "Ann", "label": [[0, 3, "PER"]]}\n')
    result = mtl("new", "b.jsonl")
    assert "expected at least 5" in result.err
    assert not Path("b.words.jsonl").exists()


def test_the_pretrained_model_fits_an_english_run() -> None:
    texts = ["The cat sat on the mat and the dog", "It is the end of the day in a town"]
    rows = [f"{text} {i},{'ab'[i % 2]}" for i in range(20) for text in texts]
    Path("a.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    assert mtl("new", "a.csv").code == 0
    result = mtl("check", "a")
    assert result.code == 0, result.err
    assert "starts from the pretrained model english: trunk" in result.out


def test_a_replaced_file_comes_back_after_an_error() -> None:
    Path("b.jsonl").write_text('{"text": "Ann", "label": [[0, 3, "PER"]]}\n')
    Path("b.words.jsonl").write_text("mine")
    result = mtl("new", "b.jsonl", "--force")
    assert "expected at least 5" in result.err
    assert Path("b.words.jsonl").read_text() == "mine"


def test_columns_with_any_name_are_read_back() -> None:
    names = ["a\nb", "no", "1e5", "x: y", "[z]", "#k"]
    rows = [",".join([f"some text {i}", *("pq"[(i + k) % 2] for k in range(6))]) for i in range(12)]
    header = ",".join(["text", *(f'"{name}"' for name in names)])
    Path("a.csv").write_text("\n".join([header, *rows]) + "\n")
    result = mtl("new", "a.csv")
    assert result.code == 0, result.err
    run = load_config("a.yaml")
    assert [task.source.column for task in run.tasks.values()] == names
