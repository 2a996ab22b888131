"""Weightings in whole runs: trained, loaded again and evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli import project as small
from tests.cli.command import mtl


@pytest.mark.parametrize("weighting", ["famo", "tchebycheff", "aligned"])
def test_a_run_is_trained_and_evaluated(
    weighting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    joint = ("training.mixing=joint", "training.epochs=1", f"weighting={weighting}")
    limits = ("corpora.news.limit.train=16", "corpora.mood.limit.train=16")
    trained = mtl("train", "run.yaml", *joint, *limits, "--output", "run")
    assert trained.code == 0, trained.err
    scores = json.loads(mtl("evaluate", "run", "--split", "dev", "--json").out)
    assert set(scores) == {"ner", "pos", "mood"}
    steps = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert set(steps[0]["weights"]) == set(scores)
