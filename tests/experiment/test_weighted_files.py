"""A file that is only scored needs no weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import mtl


def test_a_file_without_weights_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text("text,label,w\na b,x,1\nc,y,2\n")
    Path("new.csv").write_text("text,label\na b,x\n")
    task = {"labels": {"column": "label", "weight": "w"}, "head": "pool", "metric": "accuracy"}
    corpus = {"reader": "csv", "files": {"train": "train.csv"}, "tasks": {"t": task}}
    run = {
        "embedding": {"words": {"dim": 4}},
        "trunk": {"type": "lstm", "hidden_size": 4, "num_layers": 1},
        "tasks": {"t": {"use": "c/t"}},
        "training": {"epochs": 1},
        "corpora": {"c": corpus},
    }
    Path("run.yaml").write_text(yaml.safe_dump(run))
    model = mtl.train("run.yaml", progress=False)
    assert set(model.evaluate(data={"c": "new.csv"}).scores()["t"]) == {"accuracy"}
