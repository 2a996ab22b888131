"""Runs on partly labelled span tags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import mtl
from mtl.errors import ConfigError

RUN = {
    "embedding": {"words": {"dim": 8}},
    "trunk": {"type": "lstm", "hidden_size": 8, "num_layers": 1},
    "tasks": {"names": {"use": "c/names"}},
    "training": {"epochs": 2},
    "corpora": {
        "c": {
            "reader": "jsonl",
            "files": {"train": "train.jsonl", "dev": "dev.jsonl"},
            "tasks": {
                "names": {
                    "labels": {"column": "tags", "form": "partial"},
                    "scheme": "bio",
                    "head": "crf",
                    "metric": "span_f1",
                }
            },
        }
    },
}
TRAIN = [
    {"tokens": ["Ann", "left"], "tags": [["B-X"], ["O", "B-X"]]},
    {"tokens": ["Ann", "Lee"], "tags": ["B-X", None]},
    {"tokens": ["we", "left"], "tags": [["O"], ["O"]]},
]
DEV = [{"tokens": ["Ann", "left"], "tags": ["B-X", "O"]}, TRAIN[1]]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(yaml.safe_dump(RUN))
    for name, rows in (("train", TRAIN * 10), ("dev", DEV)):
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("constrained", [False, True])
def test_spans_are_learned_from_possible_tags(constrained: bool) -> None:
    model = mtl.train(
        "run.yaml", {"tasks.names.head.constrained": constrained}, progress=False, output="run"
    )
    assert model.experiment.targets["names"].labels == ("O", "B-X", "I-X")
    (labels,) = model.predict([["Ann", "left"]])["names"]
    assert set(labels) <= {"O", "B-X", "I-X"}
    assert set(model.evaluate("dev").scores()["names"]) == {"span_f1", "precision", "recall"}


def test_tags_are_not_converted_to_another_scheme() -> None:
    with pytest.raises(ConfigError, match="not converted from bio to iobes tags; leave"):
        mtl.train("run.yaml", {"tasks.names.head.scheme": "iobes"}, progress=False)


def test_a_tag_of_no_scheme_is_an_error_with_its_line() -> None:
    rows = [{"tokens": ["Ann"], "tags": [["B-X", "NAME"]]}, *TRAIN]
    Path("train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(mtl.errors.DataError, match=r"train\.jsonl:1: task 'names': 'NAME' is not"):
        mtl.train("run.yaml", progress=False)
