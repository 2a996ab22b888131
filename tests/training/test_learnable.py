"""Batches without anything to learn for a task: their loss would be constant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtl.data.streams import Streams
from mtl.training.objective import learnable
from tests.training.runs import steps_of, trainer
from tests.training.texts import NEXT, text_corpus

FORCED: list[dict[str, Any]] = [{}, {"professor_forcing": {"hidden_size": 3}}]


@pytest.mark.parametrize("options", FORCED, ids=["plain", "professor forcing"])
def test_the_last_stream_of_a_process_may_have_ended(
    options: dict[str, Any], tmp_path: Path
) -> None:
    corpora = {"t": text_corpus(tmp_path, "t")}
    (tmp_path / "t-train.txt").write_text("a b c x y\na b c x y a b\n")
    batch = {"streams": 3, "bptt": 1, "random_bptt": False}
    own = trainer(tmp_path, {"next": NEXT}, corpora, batch=batch, epochs=2, **options)
    whole = own.loaders["t"]
    assert isinstance(whole, Streams)
    # 14 words and sentence ends: streams of 5, 5 and 4.
    last = Streams("t", whole.split, 1, whole.sides, **batch, part=(2, 3))
    own.loaders = {"t": last}
    steps = steps_of(own.run())
    assert len(steps) == 2 * (last.size - 1)
    assert all(step.total > 0 for step in steps)


@pytest.mark.parametrize("head", ["softmax", "crf", "memm"])
def test_partial_labels_that_allow_everything_teach_nothing(head: str, tmp_path: Path) -> None:
    labels = [["N", "V"], ["N", "V"], ["V", "N"], [["N", "V"], ["V", "N"]]]
    lines = [json.dumps({"tokens": ["a", "b"], "y": own}) for own in labels]
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n")
    source = {"column": "y", "form": "partial"}
    corpora = {
        "c": {
            "reader": "jsonl",
            "files": {"train": "train.jsonl", "dev": "train.jsonl"},
            "tasks": {"y": {"labels": source, "head": head, "metric": "accuracy"}},
        }
    }
    own = trainer(tmp_path, {"y": {"use": "c/y"}}, corpora, batch={"sentences": 1}, epochs=1)
    loader = own.loaders["c"]
    found = [loader.batch(own.batcher, 0, i, ["y"]) for i in range(loader.size)]
    assert sorted(len(learnable(batch).tasks) for batch in found) == [0, 1, 1, 1]
    steps = steps_of(own.run())
    assert len(steps) == 3
    assert all(step.total > 0 for step in steps)
