"""Large corpora: results that are stored, memory that is given back, counts of parts of a table."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mtl.data import corpus, memo, store
from mtl.data.memo import stored_digest, stored_result
from mtl.data.readers import Jsonl

OLD = 1e9
"""A time of change long ago."""


def test_a_result_is_computed_once_and_again_when_damaged(tmp_path: Path) -> None:
    calls = []

    def compute() -> list[int]:
        calls.append(1)
        return [3, 4]

    assert [stored_result(tmp_path / "new", "key", compute) for _ in range(3)] == [[3, 4]] * 3
    assert len(calls) == 1
    (file,) = (tmp_path / "new").iterdir()
    file.write_text(file.read_text().replace("3", "5"))
    assert stored_result(tmp_path / "new", "key", compute) == [3, 4]
    assert len(calls) == 2


def test_a_large_file_is_read_again_only_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memo, "LARGE", 3)
    path, reads = tmp_path / "file", []

    def compute() -> str:
        reads.append(1)
        return path.read_text()

    def digest() -> str:
        return stored_digest(path, tmp_path / "results", compute)

    path.write_text("abcd")
    assert [digest(), digest()] == ["abcd"] * 2
    assert len(reads) == 2  # it has just changed
    os.utime(path, (OLD, OLD))
    assert [digest(), digest()] == ["abcd"] * 2
    assert len(reads) == 3
    # The same size and time of change: the system has noted another time for the inode.
    path.write_text("abcx")
    os.utime(path, (OLD, OLD))
    assert digest() == "abcx"


@pytest.mark.parametrize("large", [False, True])
def test_counts_and_rows_of_a_mapped_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool, load
) -> None:
    monkeypatch.setattr(corpus, "_COUNTED", 7)
    monkeypatch.setattr(store, "_TOUCHED", 3)
    if large:
        monkeypatch.setattr(store, "LARGE", 1)
    path = tmp_path / "file.jsonl"
    rows = [[f"w{n % 5}", f"v{n % 3}"] for n in range(40)]
    path.write_text("".join(f'{{"text": "{" ".join(row)}", "y": "{row[0]}"}}\n' for row in rows))
    for _ in range(2):
        split = load(Jsonl(), {"train": path}, {"y": {"column": "y"}}).splits["train"]
        for chosen in (np.arange(40), np.array([0, 3, 4, 38]), np.arange(30, 35)):
            part = corpus.Split(split.table, split.targets, chosen)
            words = [word for row in chosen for word in rows[row]]
            # The order counts too: words of equal frequency are numbered in it.
            assert [*part.word_counts().items()] == [*Counter(words).items()]
            assert part.item_counts("y") == Counter(rows[row][0] for row in chosen)
            assert [list(example.tokens) for example in part] == [rows[row] for row in chosen]
            assert part.words(0, 2) == [rows[row] for row in chosen[:2]]
    assert (tmp_path / "cache" / "results").exists() == large


def test_a_result_that_cannot_be_stored_is_computed_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert stored_result(tmp_path / "file" / "results", "key", lambda: 7) == 7
