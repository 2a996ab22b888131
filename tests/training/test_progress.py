"""Corpora whose tasks lag behind their targets are drawn more often."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import mtl
from mtl.errors import ConfigError
from mtl.training.progress import reached
from mtl.training.selection import Selection
from tests.training.runs import corpus, epochs_of, prepared, steps_of, trainer
from tests.training.test_state import check_resumed

TASKS = {"pos": {"use": "c/pos"}, "verb": {"use": "d/verb", "target": 0.5}}
CORPORA = {"c": ["pos", "ner"], "d": ["lm"]}
TARGETS = {"pos": 0.9, "ner": 0.8, "lm": 100.0}


def setup(folder: Path, **training: Any) -> dict[str, Any]:
    corpora = {"c": corpus(folder, "c", 40), "d": corpus(folder, "d", 24, first=40)}
    return {"corpora": corpora, "mixing": {"type": "progress", "power": 4.0}, **training}


def scored(*epochs: tuple[float, float, float], **patience: int) -> Selection:
    directions = {"pos": True, "ner": True, "lm": False}
    selection = Selection("pos", directions, task_patience=patience)
    for values in epochs:
        selection.update({t: {"score": v} for t, v in zip(directions, values, strict=True)})
    return selection


def test_a_corpus_is_as_far_as_its_tasks_are_in_the_mean() -> None:
    selection = scored((0.45, 0.6, 400.0), (0.9, 0.2, 125.0))
    first, second = (reached(selection, CORPORA, TARGETS, n) for n in (1, 2))
    assert first == pytest.approx({"c": (0.45 / 0.9 + 0.6 / 0.8) / 2, "d": 100 / 400})
    assert second == pytest.approx({"c": (1 + 0.2 / 0.8) / 2, "d": 100 / 125})


def test_progress_is_unknown_before_the_first_scores() -> None:
    assert reached(scored(), CORPORA, TARGETS, 0) == {}


def test_there_is_nothing_beyond_a_target_nor_below_zero() -> None:
    assert reached(scored((0.95, 1.0, 50.0)), CORPORA, TARGETS, 1) == {"c": 1, "d": 1}
    assert reached(scored((-0.3, math.nan, math.inf)), CORPORA, TARGETS, 1) == {"c": 0, "d": 0}


def test_tasks_that_rest_or_have_no_target_do_not_count() -> None:
    selection = scored((0.9, 0.4, 300.0), (0.8, 0.6, 200.0), pos=1)
    assert reached(selection, CORPORA, TARGETS, 1)["c"] == pytest.approx((1 + 0.5) / 2)
    assert reached(selection, CORPORA, TARGETS, 2)["c"] == pytest.approx(0.75)
    assert reached(selection, CORPORA, {"pos": 0.9}, 2) == {}


def test_each_epoch_draws_by_the_scores_of_the_one_before(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, **setup(tmp_path, epochs=4))
    events = list(made.run())
    epochs = epochs_of(iter(events))
    for epoch in epochs:
        drawn = [next(iter(s.losses)) for s in steps_of(iter(events)) if s.epoch == epoch.epoch]
        share = drawn.count("pos") / len(drawn)
        parts = [1.0, 1.0]
        if epoch.epoch:
            before = epochs[epoch.epoch - 1].dev.scores()
            done = before["pos"]["accuracy"], min(1, before["verb"]["f1"] / 0.5)
            parts = [1 / (s**4 + 0.05) for s in done]
        assert share == pytest.approx(parts[0] / sum(parts), abs=1 / len(drawn))
        assert epoch.learnt["mixing.shares"].values.tolist() == pytest.approx([share, 1 - share])


@pytest.mark.sampled(2)
@pytest.mark.parametrize("after", [1, 3])
def test_a_resumed_run_draws_what_an_uninterrupted_one_does(after: int, tmp_path: Path) -> None:
    options = setup(tmp_path, epochs=5, optimizer={"type": "adam", "lr": 0.1})
    whole, resumed = check_resumed(tmp_path, after, options, TASKS)
    expected = [list(whole.sampler.epoch(n)) for n in range(5)]
    assert [list(resumed.sampler.epoch(n)) for n in range(5)] == expected
    counts = [tuple(whole.sampler.counts(n).values()) for n in range(5)]
    assert len(set(counts)) > 2  # scores moved, and so did the draws


def test_shares_are_told_in_the_run_folder(tmp_path: Path) -> None:
    prepared(tmp_path, TASKS, **setup(tmp_path, epochs=2))
    mtl.train(tmp_path / "run.yaml", output=tmp_path / "run")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    epochs = [record for line in lines if (record := json.loads(line))["type"] == "epoch"]
    assert [sum(epoch["learnt"]["mixing.shares"]) for epoch in epochs] == pytest.approx([1, 1])
    assert epochs[0]["axes"]["mixing.shares"] == [["c", "d"]]


MISTAKES = {
    "tasks.pos.target: 'accuracy' is a fraction: expected at most 1, got 95": {"target": 95},
    "tasks.pos.target: 'squared_error' has no best value; set the score": {
        "metric": "squared_error"
    },
}


@pytest.mark.parametrize(("message", "changes"), MISTAKES.items())
def test_targets_that_cannot_be_reached(
    message: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        prepared(tmp_path, {**TASKS, "pos": {**TASKS["pos"], **changes}}, **setup(tmp_path))
    assert message in str(error.value)


def test_progress_needs_a_dev_split(tmp_path: Path) -> None:
    options = setup(tmp_path)
    for own in options["corpora"].values():
        del own["files"]["dev"]
    with pytest.raises(ConfigError, match=r"training\.mixing: 'progress' follows the scores on a"):
        prepared(tmp_path, TASKS, **options)
