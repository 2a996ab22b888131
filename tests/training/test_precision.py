"""Training with embedding and trunks in bfloat16 or float16."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import mtl
from mtl.errors import ConfigError
from mtl.experiment import load_config, load_corpora, make_trainer, prepare
from mtl.experiment.plan import make_plan
from mtl.runs.checkpoint import load_tensors
from mtl.training import precision
from mtl.training.precision import LossScale
from mtl.training.trainer import Trainer
from tests.training.runs import RUN, corpus, prepared, steps_of, trainer

TASKS = {"pos": {"use": "c/pos"}, "ner": {"use": "c/ner"}, "verb": {"use": "c/verb"}}
TRANSFORMER = {"num_layers": 2, "num_heads": 2, "feed_forward": 9, "positions": 20}
TRUNKS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "lstm by token": {"type": "lstm", "layer_norm": True, "weight_drop": 0.1},
    "lstm with dropouts": {"type": "lstm", "recurrent_dropout": 0.1, "update_dropout": 0.1},
    "lstm with links": {"type": "lstm", "connections": "highway"},
    "gru": {},
    "gru by token": {"type": "gru", "layer_norm": True, "zoneout": 0.1},
    "rhn": {"type": "cell"},
    "nas": {"type": "cell", "cell": "nas"},
    "peephole": {"type": "cell", "cell": "peephole"},
    "bc3": {"type": "cell", "cell": "bc3"},
    "qrnn": {"window": 2, "zoneout": 0.1},
    "qrnn with options": {"type": "qrnn", "layer_norm": True, "highway": True},
    "conv": {"num_layers": 2},
    "conv gated": {"type": "conv", "num_layers": 2, "activation": "gated"},
    "transformer": {**TRANSFORMER, "relative_positions": True},
}
FUSED = (
    "lstm", "lstm by token", "lstm with dropouts", "gru", "gru by token", "rhn", "nas", "peephole",
    "bc3",
)  # fmt: skip
"""Trunks that stay float32 on the CPU."""


def trunk(name: str) -> dict[str, Any]:
    return {"type": name, "hidden_size": 8, **TRUNKS[name]}


def first_losses(folder: Path, **options: Any) -> list[dict[str, float]]:
    return [dict(step.losses) for step in steps_of(trainer(folder, TASKS, **options).run())]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", list(TRUNKS))
def test_losses_in_bf16_are_close_to_those_in_fp32(name: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"trunk": trunk(name), "epochs": 1, "max_length": 20, "overlap": 2}
    exact = first_losses(tmp_path, **options)
    rough = first_losses(tmp_path, **options, precision="bf16")
    assert (exact == rough) == (name in FUSED)
    for ours, theirs in zip(rough, exact, strict=True):
        assert ours == pytest.approx(theirs, rel=0.05, abs=0.05)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("characters", [{"type": "cnn"}, {"type": "lstm", "hidden_size": 4}])
def test_characters_are_read_in_bf16(
    characters: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding = {"words": {"dim": 6}, "characters": {"dim": 5, **characters}}
    monkeypatch.setitem(RUN, "embedding", embedding)
    exact, rough = first_losses(tmp_path), first_losses(tmp_path, precision="bf16")
    for ours, theirs in zip(rough, exact, strict=True):
        assert ours == pytest.approx(theirs, rel=0.05, abs=0.05)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("sharing", ["cross_stitch", "sluice", "hierarchical", "tensor", "mmoe"])
def test_every_sharing_runs_in_bf16(sharing: str, tmp_path: Path) -> None:
    steps = steps_of(trainer(tmp_path, TASKS, sharing=sharing, precision="bf16", epochs=1).run())
    assert all(0 < loss < 10 for step in steps for loss in step.losses.values())


def run_file(folder: Path, **training: Any) -> Path:
    run = {**RUN, "tasks": TASKS, "corpora": {"c": corpus(folder, "c", 22)}}
    run["training"] = {**RUN["training"], "average": 0.9, **training}
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(run))
    return path


@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"accumulate": 3}], ids=str)
def test_a_stopped_run_goes_on(options: dict[str, Any], tmp_path: Path) -> None:
    path = run_file(tmp_path, **options)
    mtl.train(path, {"training.epochs": 1}, output=tmp_path / "cut")
    mtl.train(path, {"training.epochs": 2}, output=tmp_path / "cut", resume=True)
    mtl.train(path, {"training.epochs": 2}, output=tmp_path / "whole")
    files = [tmp_path / name / "model.safetensors" for name in ("cut", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()
    weights = load_tensors(files[0])
    assert {w.dtype for w in weights.values() if w.is_floating_point()} == {torch.float32}


def test_streams_of_text_carry_their_state_in_bf16(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("the cat sat up\na dog ran up the cat\n" * 30)
    text = {
        "reader": {"type": "text"},
        "files": {"train": "t.txt", "dev": "t.txt"},
        "tasks": {"next": {"labels": {"text": "next"}, "head": "lm", "metric": "perplexity"}},
    }
    run = {
        "embedding": {"words": {"dim": 8}},
        "trunk": {"type": "qrnn", "hidden_size": 8, "num_layers": 1, "window": 2},
        "tasks": {"next": {"use": "t/next"}},
        "corpora": {"t": text},
        "training": {
            "epochs": 2,
            "batch": {"streams": 4, "bptt": 6},
            "precision": "bf16",
            "accumulate": 2,
        },
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    path = tmp_path / "run.yaml"
    mtl.train(path, {"training.epochs": 1}, output=tmp_path / "cut")
    mtl.train(path, output=tmp_path / "cut", resume=True)
    mtl.train(path, output=tmp_path / "whole")
    files = [tmp_path / name / "model.safetensors" for name in ("cut", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()
    lines = (tmp_path / "whole/metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    epochs = [record["losses"]["next"] for record in records if record["type"] == "epoch"]
    assert epochs[1] < epochs[0]


def test_a_processor_without_instructions_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = prepared(tmp_path, TASKS, precision="bf16")
    for able in (False, True):
        monkeypatch.setattr("mtl.experiment.plan.computes_bfloat16", lambda _, able=able: able)
        notes = make_plan(*given, make_trainer(*given)).notes
        assert any("no instructions for bf16" in note for note in notes) != able


def test_fp16_needs_cuda(tmp_path: Path) -> None:
    run = load_config(run_file(tmp_path, precision="fp16"))
    found = load_corpora(run)
    with pytest.raises(ConfigError, match=r"training\.precision: fp16 needs a CUDA device"):
        make_trainer(prepare(run, found), found)


def test_fp16_is_not_for_weightings_that_compare_gradients(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'pcgrad' compares gradients, which lose"):
        prepared(tmp_path, TASKS, weighting="pcgrad", precision="fp16")


def half(made: Trainer) -> Trainer:
    """The trainer in float16; torch has it on the CPU too."""
    made.precision, made.update.loss_scale = "fp16", LossScale()
    return made


@pytest.mark.parametrize("weighting", ["static", "uncertainty"])
def test_scaled_losses_have_the_gradients_of_unscaled_ones(weighting: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"weighting": weighting, "sharing": {"type": "soft"}, "epochs": 1}
    options["trunk"] = {**trunk("conv"), "dropout": 0.0}
    plain, scaled = trainer(tmp_path, TASKS, **options), half(trainer(tmp_path, TASKS, **options))
    scaled.update.loss_scale.scale = 2.0**8
    torch.manual_seed(1)
    expected = next(plain.run())
    torch.manual_seed(1)
    found = next(scaled.run())
    assert found.losses == pytest.approx(expected.losses, rel=1e-2)
    assert found.grad_norm == pytest.approx(expected.grad_norm, rel=2e-2)
    assert found.total == pytest.approx(expected.total, rel=1e-2)
    for ours, theirs in zip(  # their gradients are not scaled
        *(m.weighting.parameters() for m in (scaled, plain)), strict=True
    ):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-2, atol=1e-4)


def test_a_task_with_the_name_of_a_penalty_is_scaled_too(tmp_path: Path) -> None:
    tasks = {"soft": {"use": "c/pos"}, "verb": {"use": "c/verb"}}
    options: dict[str, Any] = {"sharing": {"type": "soft", "strength": 0.0}, "epochs": 1}
    options["trunk"] = {**trunk("conv"), "dropout": 0.0}
    plain, scaled = trainer(tmp_path, tasks, **options), half(trainer(tmp_path, tasks, **options))
    scaled.update.loss_scale.scale = 2.0**8
    torch.manual_seed(1)
    expected = next(plain.run())
    torch.manual_seed(1)
    found = next(scaled.run())
    assert found.grad_norm == pytest.approx(expected.grad_norm, rel=2e-2)


def test_a_step_with_an_overflow_is_skipped_and_the_scale_halved(tmp_path: Path) -> None:
    made = half(trainer(tmp_path, TASKS, trunk=trunk("conv"), epochs=1))
    made.update.loss_scale.scale = 2.0**40
    before = [p.detach().clone() for p in made.model.parameters()]
    first = next(made.run())
    assert (first.grad_norm, first.gradients, made.update.loss_scale.scale) == (0.0, None, 2.0**39)
    assert all(map(torch.equal, before, made.model.parameters()))


def test_the_scale_doubles_after_many_good_steps() -> None:
    scale = LossScale()
    for _ in range(LossScale.GROWTH):
        scale.update(finite=True)
    assert (scale.scale, scale.good) == (2.0**17, 0)
    scale.scale = LossScale.LEAST
    scale.update(finite=False)
    assert scale.exhausted


def test_the_device_says_whether_it_computes_bfloat16() -> None:
    assert precision.computes_bfloat16(torch.device("cpu")) in (True, False)
