"""Data that is passed as Python objects."""

from __future__ import annotations

import enum
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.given import GivenCorpus, given_split, plain, read_given
from mtl.data.readers import Jsonl, Python, Record
from mtl.errors import DataError, MtlError

ROWS: list[dict[str, Any]] = [
    {"text": "A good film.", "mood": "glad", "stars": 5},
    {"text": "A poor film.", "mood": None, "stars": 1},
]


def records(rows: Any, label: str | None = None, **options: Any) -> list[Record]:
    """Return the records of rows that a caller passes."""
    corpus = GivenCorpus.of({"train": given_split(rows, "data['a']")})
    corpus = GivenCorpus(corpus.splits, corpus.by_digest, label)
    return list(Python(corpus, **options).read(Path(corpus.splits["train"])))


def digest(rows: Any) -> str:
    return given_split(rows, "data").digest()


FRAMES = {
    "list": ROWS,
    "generator": (row for row in ROWS),
    "pandas": pd.DataFrame(ROWS),
    "arrow": pa.Table.from_pylist(ROWS),
    "datasets": datasets.Dataset.from_list(ROWS),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_all_kinds_of_tables_are_the_same_data(kind: str) -> None:
    split = given_split(FRAMES[kind], "data")
    assert list(split) == list(split) == ROWS
    assert split.digest() == digest(ROWS)


def test_frames_of_polars_are_read() -> None:
    polars = pytest.importorskip("polars")
    assert list(given_split(polars.DataFrame(ROWS), "data")) == ROWS


def test_frames_of_lists_of_words_are_read() -> None:
    rows = [{"tokens": ["Ann", "left"], "pos": ["NNP", "VBD"]}]
    frame = pd.DataFrame({"tokens": [np.array(["Ann", "left"])], "pos": [("NNP", "VBD")]})
    assert list(given_split(frame, "data")) == rows


def test_missing_cells_are_missing_labels() -> None:
    frame = pd.DataFrame({"text": ["a", "b", "c"], "y": [1.5, np.nan, pd.NA]})
    assert [record.columns for record in records(frame)] == [{"y": "1.5"}, {}, {}]


def test_class_ids_of_data_sets_become_names() -> None:
    features = datasets.Features(
        {
            "tokens": [datasets.Value("string")],
            "tags": [datasets.ClassLabel(names=["O", "B-PER"])],
            "mood": datasets.ClassLabel(names=["sad", "glad"]),
        }
    )
    rows = {"tokens": [["Ann", "left"], ["no"]], "tags": [[1, 0], [0]], "mood": [1, -1]}
    found = records(datasets.Dataset.from_dict(rows, features=features))
    assert [record.columns for record in found] == [
        {"tags": ["B-PER", "O"], "mood": "glad"},
        {"tags": ["O"]},
    ]


def test_pairs_of_input_and_label() -> None:
    rows = [("A good film.", "glad"), (["Poor", "film"], "sad"), "no label"]
    assert records(rows, "mood") == [
        Record(["A", "good", "film", "."], {"mood": "glad"}, {}, 1),
        Record(["Poor", "film"], {"mood": "sad"}, {}, 2),
        Record(["no", "label"], {}, {}, 3),
    ]
    tagged = [(np.array(["Ann", "left"]), ["NNP", "VBD"])]
    assert records(tagged, "pos") == [Record(["Ann", "left"], {"pos": ["NNP", "VBD"]}, {}, 1)]


def test_two_sentences_of_a_pair_and_their_label() -> None:
    rows = [(("One text.", ["another"]), "same"), ((["a"], "b c"), "other")]
    assert records(rows, "y", pair="other") == [
        Record(["One", "text", "."], {"y": "same"}, {}, 1, ["another"]),
        Record(["a"], {"y": "other"}, {}, 2, ["b", "c"]),
    ]


@given(
    st.lists(
        st.fixed_dictionaries(
            {"text": st.text(st.characters(exclude_categories=["Cs"]))},
            optional={"y": st.text(st.characters(exclude_categories=["Cs"])) | st.booleans()
                      | st.integers() | st.floats(allow_nan=False) | st.none()
                      | st.lists(st.integers())},
        ),
        min_size=1,
    )
)  # fmt: skip
def test_records_are_as_from_a_jsonl_file(rows: list[dict[str, Any]]) -> None:
    lines = enumerate(rows, 1)
    assert records(rows) == [Jsonl().record(row, Path("file"), n) for n, row in lines]


def test_the_digest_is_of_the_content() -> None:
    assert digest(ROWS) == digest([dict(row) for row in ROWS])
    others = [ROWS[:1], ROWS[::-1], [ROWS[0], {**ROWS[1], "stars": "1"}]]
    assert len({digest(ROWS), *map(digest, others)}) == 4
    assert digest([("a", "b")]) == digest([["a", "b"]]) != digest(["a", "b"])


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.str_("a"), "a"),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[0.5]]), [[0.5]]),
        (pd.Series(["a", "b"]), ["a", "b"]),
        ({"b", "a"}, ["a", "b"]),
        ({1: ("a",)}, {"1": ["a"]}),
        (date(2024, 1, 2), "2024-01-02"),
        (Decimal("0.1"), "0.1"),
        (Colour.RED, "Colour.RED"),
    ],
)
def test_values_become_json_types(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


def test_splits_of_data_sets_have_their_names_here() -> None:
    dataset = datasets.Dataset.from_list(ROWS)
    found = read_given({"a": datasets.DatasetDict(train=dataset, validation=dataset), "b": ROWS})
    assert {name: [*corpus.splits] for name, corpus in found.items()} == {
        "a": ["train", "dev"],
        "b": ["train"],
    }


RECURSIVE: list[Any] = []
RECURSIVE.append(RECURSIVE)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (ROWS, "data: expected a dict of corpus to its data, such as .*, got list"),
        ({"a": "x.csv"}, r"data\['a'\]: expected a list of rows, a frame or a data set, got str"),
        ({"a": {"train": {"text": ["a"]}}}, r"data\['a'\]\['train'\]: expected .* got dict"),
        ({"a": {"dev": ROWS}}, r"data\['a'\]: expected a split 'train', got: dev"),
        ({"a": {"train": ROWS, "dev": ROWS, "validation": ROWS}}, "has both 'dev' and 'valid"),
        ({"a": []}, r"data\['a'\]: expected at least one sentence, found none"),
        ({"a": [*ROWS, "\ud83d"]}, r"data\['a'\]\[2\]: a text has an incomplete character"),
        ({"a": [RECURSIVE]}, r"data\['a'\]\[0\]: nested too deeply"),
    ],
)
def test_mistakes_name_their_place(data: Any, message: str) -> None:
    with pytest.raises(MtlError, match=message):
        read_given(data)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (7, r"expected a dict, or a pair \(text, label\), got 7"),
        (["a", "b", "c"], "got a list of 3 items"),
        ({"txt": "a"}, "expected a field 'tokens'"),
        (("a", "b"), "needs a corpus with a single column of labels"),
    ],
)
def test_a_wrong_row_is_named(row: Any, message: str) -> None:
    corpus = read_given({"a": [*ROWS, row]})["a"]
    with pytest.raises(DataError, match=message) as error:
        list(Python(corpus).read(Path(corpus.splits["train"])))
    assert str(corpus.located(error.value)).startswith("data['a'][2]: ")


def test_data_of_an_earlier_process_has_to_be_passed_again() -> None:
    with pytest.raises(DataError, match="pass it again, with data="):
        list(Python(GivenCorpus()).read(Path("abc")))


def test_nan_is_a_missing_value() -> None:
    rows = [{"text": "a", "y": float("nan")}, {"text": "b", "y": [np.float32("nan"), 1.0]}]
    assert [*given_split(rows, "rows")] == [
        {"text": "a", "y": None},
        {"text": "b", "y": [None, 1.0]},
    ]


def test_two_names_of_a_split_are_both_told() -> None:
    with pytest.raises(MtlError, match="has both 'validation' and 'dev', which are one split"):
        read_given({"c": {"train": ["a"], "validation": ["a"], "dev": ["a"]}})
