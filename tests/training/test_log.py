"""The log of a run, read back."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mtl.metrics import Accuracy
from mtl.training.evaluation import Evaluation
from mtl.training.events import Epoch, Gradients, Learnt, Step
from mtl.training.log import LOG_EVERY, RunLog


def step(number: int, *, tells: bool = False) -> Step:
    return Step(
        epoch=number // 30,
        step=number,
        losses={"pos": 0.5, "ner": 3.0},
        weights={"pos": 1.0, "ner": 0.5},
        weighted={"pos": 0.5, "ner": 1.5},
        penalties={"tar": 0.25},
        total=2.25,
        gradients=Gradients({"pos": 4.0, "ner": 8.0}, {"pos": {"ner": -0.5}}) if tells else None,
        lr=0.01,
        grad_norm=2.5,
        tokens={"pos": 7, "ner": 7},
        seconds=0.1,
    )


def epoch(number: int) -> Epoch:
    metric = Accuracy()
    metric.update([("A", "B")], [("A", "A")])
    dev = Evaluation({"pos": metric}, {"pos": Counter()})
    rest = {"stopped": frozenset({"pos"}), "tokens_per_second": {"pos": 70.0}, "seconds": 3.0}
    return Epoch(number, 30 * (number + 1), {"pos": 0.4}, dev, 0.5, number == 0, **rest)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_every_twentieth_step_and_every_epoch_is_a_line(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        for event in (*map(step, range(30)), epoch(0)):
            log.write(event)
    first, second, last = lines(tmp_path)
    assert LOG_EVERY == 20
    assert (first["step"], second["step"]) == (0, 20)
    assert (first["lr"], first["grad_norm"], first["gradients"]) == (0.01, 2.5, None)
    assert (last["type"], last["dev"], last["resting"]) == (
        "epoch",
        {"pos": {"accuracy": 0.5}},
        ["pos"],
    )


def test_the_line_of_a_step_tells_what_its_total_is_made_of(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.write(step(0, tells=True))
    (line,) = lines(tmp_path)
    assert line["losses"] == {"pos": 0.5, "ner": 3.0}
    assert line["weights"] == {"pos": 1.0, "ner": 0.5}
    assert line["weighted"] == {"pos": 0.5, "ner": 1.5}
    assert (line["penalties"], line["total"]) == ({"tar": 0.25}, 2.25)
    expected = {"norms": {"pos": 4.0, "ner": 8.0}, "cosines": {"pos": {"ner": -0.5}}}
    assert line["gradients"] == expected


def test_lines_are_there_as_soon_as_they_are_written(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.write(epoch(0))
        log.note("a note")
        assert len(lines(tmp_path)) == 1
        assert (tmp_path / "log.txt").read_text() == (
            "epoch 1, step 30: pos.accuracy 0.5000\na note\n"
        )


def test_resuming_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        for event in (step(0), epoch(0), step(40), epoch(1), step(60)):
            log.write(event)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"type": "st')
    with RunLog(tmp_path, 1) as log:
        assert [line["step"] for line in lines(tmp_path)] == [0, 30]
        log.write(step(40))
    assert [line["step"] for line in lines(tmp_path)] == [0, 30, 40]


def test_resuming_within_an_epoch_keeps_its_steps(tmp_path: Path) -> None:
    warned = replace(
        step(31), warning="warning: the loss of task 'pos' is 900 at step 31, it began"
    )
    with RunLog(tmp_path) as log:
        for event in (step(0), epoch(0), warned, step(40), step(60), epoch(1)):
            log.write(event)
        log.note("a note")
    for steps, kept, texts in ((41, [0, 30, 40], 3), (31, [0, 30], 2)):
        with RunLog(tmp_path, 1, steps, within=True) as log:
            log.sync()
        assert [line["step"] for line in lines(tmp_path)] == kept
        assert len((tmp_path / "log.txt").read_text().splitlines()) == texts
    assert (tmp_path / "log.txt").read_text().endswith("\na note\n")


def test_tensorboard_reads_losses_and_scores(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        for event in (step(0), step(20), epoch(0)):
            log.write(event)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [scalar.value for scalar in events.Scalars("train/pos.loss")] == [0.5, 0.5]
    assert [scalar.step for scalar in events.Scalars("dev/pos.accuracy")] == [30]
    assert events.Scalars("train/grad_norm")[0].value == 2.5


def test_tensorboard_contains_loss_terms_and_gradients(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.write(step(0, tells=True))
    events = EventAccumulator(str(tmp_path)).Reload()
    found = {
        tag.removeprefix("train/"): events.Scalars(tag)[0].value for tag in events.Tags()["scalars"]
    }
    assert found == pytest.approx({
        "pos.loss": 0.5, "ner.loss": 3.0, "pos.weight": 1.0, "ner.weight": 0.5,
        "pos.weighted": 0.5, "ner.weighted": 1.5, "penalty.tar": 0.25, "total": 2.25,
        "pos.grad_norm": 4.0, "ner.grad_norm": 8.0, "pos.ner.cosine": -0.5, "lr": 0.01,
        "grad_norm": 2.5,
    })  # fmt: skip


def test_an_epoch_without_development_set_is_a_line_too(tmp_path: Path) -> None:
    bare = Epoch(0, 3, {"pos": 1.0}, None, None, True, frozenset(), {}, 0.0)
    with RunLog(tmp_path) as log:
        log.write(bare)
    assert (lines(tmp_path)[0]["dev"], lines(tmp_path)[0]["score"]) == ({}, None)


ALPHA = Learnt(torch.tensor([[0.75, 0.25], [0.5, 1.0]]), (["pos", "ner"], ["pos", "ner"]))


def test_what_was_learnt_is_written_with_its_names(tmp_path: Path) -> None:
    found = {"sharing.alpha": ALPHA, "weighting.scale": Learnt(torch.tensor(2.0))}
    with RunLog(tmp_path) as log:
        log.write(epoch(0))
        log.write(replace(epoch(1), learnt=found))
    bare, line = lines(tmp_path)
    assert "learnt" not in bare
    assert line["learnt"] == {"sharing.alpha": [[0.75, 0.25], [0.5, 1.0]], "weighting.scale": 2.0}
    assert line["axes"] == {"sharing.alpha": [["pos", "ner"], ["pos", "ner"]]}


def test_tensorboard_has_a_curve_an_entry_and_a_picture_a_matrix(tmp_path: Path) -> None:
    large = Learnt(torch.eye(5))
    with RunLog(tmp_path) as log:
        log.write(replace(epoch(0), learnt={"sharing.alpha": ALPHA, "sharing.large": large}))
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Scalars("learnt/sharing.alpha.ner.pos")[0].value == 0.5
    assert "learnt/sharing.large.0.0" not in events.Tags()["scalars"]
    (image,) = events.Images("learnt/sharing.alpha")
    pixels = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("L"))
    assert pixels.shape == (32, 32)
    assert pixels[::16, ::16].tolist() == [[170, 0], [85, 255]]


def test_the_log_is_closed_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), RunLog(tmp_path) as log:
        raise RuntimeError
    with pytest.raises(ValueError, match="closed file"):
        log.note("late")
