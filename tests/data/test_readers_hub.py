"""The hub reader, on local data sets: the network plays no part."""

from __future__ import annotations

import json
import time
from pathlib import Path

import datasets
import pytest

from mtl.data.readers import Hub
from mtl.errors import DataError


@pytest.fixture(autouse=True)
def _no_network(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def tagged(tmp_path):
    """Return a folder with a data set whose labels are numbers with names."""
    folder = tmp_path / "tagged"
    features = datasets.Features(
        {
            "words": datasets.List(datasets.Value("string")),
            "ner": datasets.List(datasets.ClassLabel(names=["O", "B-PER"])),
            "mood": datasets.ClassLabel(names=["sad", "glad"]),
        }
    )
    rows = {"words": [["Ann", "left"], ["Rain"]], "ner": [[1, 0], [-1]], "mood": [1, -1]}
    folder.mkdir()
    datasets.Dataset.from_dict(rows, features).to_parquet(folder / "train.parquet")
    return folder


def test_class_numbers_become_names(tagged):
    first, second = Hub(name=str(tagged), tokens="words").read(Path("train"))
    assert first.tokens == ["Ann", "left"]
    assert first.columns == {"ner": ["B-PER", "O"], "mood": "glad"}
    assert second.columns == {"ner": ["_"]}
    assert (first.line, second.line) == (1, 2)


def test_text_is_cut_into_words(tmp_path):
    (tmp_path / "part.json").write_text(json.dumps({"text": "It isn't.", "y": 3}) + "\n")
    reader = Hub(name="json", data_files={"train": str(tmp_path / "part.json")})
    (record,) = reader.read(Path("train"))
    assert record.tokens == ["It", "is", "n't", "."]
    assert record.columns == {"y": "3"}


def test_splits_have_digests_of_their_own(tagged):
    reader = Hub(name=str(tagged), tokens="words")
    assert reader.digest(Path("train")) == reader.digest(Path("train"))
    assert reader.digest(Path("train")) != reader.digest(Path("train[:1]"))


def test_an_unknown_split_is_told(tagged):
    with pytest.raises(DataError, match=r"hub:.*: cannot load split 'dev': Unknown split"):
        list(Hub(name=str(tagged)).read(Path("dev")))


def test_a_data_set_that_cannot_be_had_is_told():
    with pytest.raises(
        DataError, match=r"hub:nobody/nothing: cannot load split 'train': .*network"
    ):
        list(Hub(name="nobody/nothing").read(Path("train")))


def test_a_hub_that_cannot_be_reached_is_told_at_once(monkeypatch):
    # As where no variable says that there is no network; the library tries for half a minute.
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    start = time.monotonic()
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:9 cannot be reached") as error:
        list(Hub(name="nobody/nothing").read(Path("train")))
    assert time.monotonic() - start < 15
    assert "\n" not in str(error.value)
    assert not constants.HF_HUB_OFFLINE
