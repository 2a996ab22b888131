"""Text without labels, in all formats."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mtl.data.readers import Conll, Jsonl
from mtl.data.readers.base import Reader
from mtl.data.readers.unlabelled import Unlabelled
from mtl.errors import DataError

WORDS = [["Ann", "left", "."], ["Bob", "ran", "."]]


def words(path: Path, text: str, *readers: Reader, split: bool = True) -> list[list[str]]:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return [record.tokens for record in Unlabelled(split=split, readers=readers).read(path)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "Ann left. Bob ran.\n\n"),
        ("a.txt.gz", "Ann left.\nBob ran.\n"),
        ("a.conll", "Ann\nleft\n.\n\nBob\nran\n.\n"),
        ("a.conll.gz", "Ann X\nleft Y\n. .\n\nBob X\nran Y\n. .\n"),
        ("a.jsonl", '{"text": "Ann left."}\n{"tokens": ["Bob", "ran", "."]}\n'),
        ("a.csv", "id,text\n1,Ann left.\n2,Bob ran.\n"),
        ("a.tsv", "text\tid\nAnn left.\t1\nBob ran.\t2\n"),
    ],
)
def test_each_format_gives_its_words(tmp_path: Path, name: str, text: str) -> None:
    assert words(tmp_path / name, text) == WORDS


def test_conllu_is_recognised_by_its_columns(tmp_path: Path) -> None:
    rows = [f"{i}\t{word}{'	_' * 8}" for i, word in enumerate(WORDS[0], 1)]
    text = "# text = Ann left.\n" + "\n".join(rows) + "\n\n"
    for name in ("a.conllu", "a.conll"):
        assert words(tmp_path / name, text) == WORDS[:1]


def test_a_line_may_be_one_text(tmp_path: Path) -> None:
    found = words(tmp_path / "a.txt", "Ann left. Bob ran.\n", split=False)
    assert found == [WORDS[0] + WORDS[1]]


def test_columns_are_read_as_in_the_labelled_files(tmp_path: Path) -> None:
    own = Conll(columns=["pos", "tokens", "ner"])
    assert words(tmp_path / "a.conll", "X Ann\nY left\n. .\n", own) == WORDS[:1]
    assert words(tmp_path / "b.conll", "Ann\nleft\n.\n", own) == WORDS[:1]
    found = words(tmp_path / "a.jsonl", '{"review": "Ann left."}\n', Jsonl(text="review"))
    assert found == WORDS[:1]


def test_pairs_are_an_error(tmp_path: Path) -> None:
    reader = Jsonl(pair="other")
    with pytest.raises(DataError, match="expected single sentences, got pairs"):
        words(tmp_path / "a.jsonl", '{"text": "Ann", "other": "Bob"}\n', reader)
