"""Temperatures of tasks with one head, and the notes on them."""

from __future__ import annotations

import json
from pathlib import Path

from mtl.experiment.calibration import fit_temperatures
from tests.training.runs import corpus, prepared


def test_a_task_with_the_head_of_a_calibrated_one_has_its_temperature(tmp_path: Path) -> None:
    tasks = {"pos": {"use": "c/pos"}, "more": {"use": "c/pos", "head": "pos"}}
    experiment, corpora = prepared(tmp_path, {**tasks, "verb": {"use": "c/verb"}})
    predictor = experiment.predictor
    every = fit_temperatures(experiment.run, predictor, corpora.values(), ["verb", "pos"])
    assert dict(every.shared) == {"more": "pos"}
    found = fit_temperatures(experiment.run, predictor, corpora.values(), ["more"])
    assert "pos: has the temperature of more, whose head it shares" in list(found.notes())
    assert predictor.temperatures == {
        "verb": every.temperatures["verb"],
        "pos": found.temperatures["more"],
        "more": found.temperatures["more"],
    }


def test_a_task_without_a_dev_set_has_the_temperature_of_its_head(tmp_path: Path) -> None:
    alone = corpus(tmp_path, "d", 22)
    alone["files"] = {"train": alone["files"]["train"]}
    tasks = {"pos": {"use": "c/pos"}, "more": {"use": "d/pos", "head": "pos"}}
    experiment, corpora = prepared(tmp_path, tasks, {"c": corpus(tmp_path, "c", 22), "d": alone})
    found = fit_temperatures(experiment.run, experiment.predictor, corpora.values(), list(tasks))
    assert (dict(found.shared), found.skipped) == ({"more": "pos"}, {})


def test_sets_count_once(tmp_path: Path) -> None:
    rows = [{"tokens": ["a", "b"], "kinds": kinds} for kinds in (["x", "y"], ["z"], [])]
    for name in ("train", "dev"):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    data = {
        "reader": {"type": "jsonl"},
        "files": {name: f"{name}.jsonl" for name in ("train", "dev")},
        "tasks": {
            "kinds": {
                "labels": {"column": "kinds", "form": "set"},
                "head": {"type": "pool"},
                "metric": "set_f1",
            }
        },
    }
    experiment, corpora = prepared(tmp_path, {"kinds": {"use": "c/kinds"}}, {"c": data})
    found = fit_temperatures(experiment.run, experiment.predictor, corpora.values(), ["kinds"])
    assert len(found.after["kinds"]["sets"]) == 3
    note = "kinds: fitted on only 3 sets, so its confidences are uncertain"
    assert note in list(found.notes())
