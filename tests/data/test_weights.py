"""Weights of sentences, read from a column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mtl.data.readers import Csv
from mtl.errors import DataError

SOURCE = {"column": "label", "weight": "w"}


def test_weights_are_read_from_a_column(tmp_path: Path, load) -> None:
    (tmp_path / "data").write_text("text,label,w\na,x,0.5\nb,y,2\n")
    split = load(Csv(), {"train": tmp_path / "data"}, {"t": SOURCE}).splits["train"]
    assert [example.weights for example in split] == [{"t": 0.5}, {"t": 2.0}]


@pytest.mark.parametrize("cell", ["", "-1", "x", "inf", "nan"])
def test_a_cell_without_a_weight_is_an_error(tmp_path: Path, load, cell: str) -> None:
    (tmp_path / "data").write_text(f"text,label,w\na,x,{cell}\n")
    message = f"2: task 't': weight 'w': expected a number of at least 0, found {cell!r}"
    with pytest.raises(DataError, match=re.escape(message)):
        load(Csv(), {"train": tmp_path / "data"}, {"t": SOURCE})


def test_only_training_needs_weights(tmp_path: Path, load) -> None:
    (tmp_path / "train").write_text("text,label,w\na,x,0.5\n")
    (tmp_path / "dev").write_text("text,label\na,x\n")
    files = {"train": tmp_path / "train", "dev": tmp_path / "dev"}
    splits = load(Csv(), files, {"t": SOURCE}).splits
    assert [example.weights for example in splits["dev"]] == [{}]
    message = "task 't': expected a weight in the column 'w', found none"
    with pytest.raises(DataError, match=message):
        load(Csv(), {"train": tmp_path / "dev"}, {"t": SOURCE})
