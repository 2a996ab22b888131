"""Runs with cells and options that run token by token: trained, evaluated and loaded again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import mtl
from mtl.errors import ConfigError
from mtl.sharing import SHARING
from tests.training.runs import RUN, corpus, prepared, steps_of, trainer

TASKS = {"pos": {"use": "c/pos"}, "ner": {"use": "c/ner"}, "verb": {"use": "c/verb"}}
TRUNKS: list[dict[str, Any]] = [
    {"type": "lstm", "recurrent_dropout": 0.2, "update_dropout": 0.2, "zoneout_hidden": 0.1},
    {"type": "lstm", "last_size": 6, "input_dropout": 0.5, "weight_drop": 0.3},
    {"type": "gru", "layer_norm": True, "zoneout": 0.1, "connections": "residual_sum"},
    {"type": "qrnn", "highway": True, "layer_norm": True, "dropout_type": "evolutional"},
    {"type": "cell", "depth": 3, "recurrent_dropout": 0.2, "bidirectional": "interleaved"},
    {"type": "cell", "cell": "nas", "connections": "skip", "feed_forward": 6, "standout": True},
    {"type": "cell", "cell": "bc3", "weight_drop": 0.2, "learned_start": True},
    {"type": "conv", "activation": "gated", "weight_norm": True},
]
FOR_SOME = ("easy_adapt", "progressive")
"""Sharings that need a shared head or another run."""
SIZES = {"hidden_size": 8, "num_layers": 2}


@pytest.mark.parametrize("trunk", TRUNKS, ids=str)
def test_a_run_is_trained_evaluated_and_loaded(tmp_path: Path, trunk: dict[str, Any]) -> None:
    run = {**RUN, "trunk": {**SIZES, **trunk}, "tasks": TASKS}
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({**run, "corpora": {"c": corpus(tmp_path, "c", 22)}}))
    model = mtl.train(path, {"training.epochs": 1}, output=tmp_path / "out")
    again = mtl.load(tmp_path / "out")
    texts = [["the", "cat", "sat"], ["Ada", "ran", "up", "a", "dog"]]
    assert dict(again.predict(texts)) == dict(model.predict(texts))
    found, expected = again.evaluate(split="dev"), model.evaluate(split="dev")
    assert str(found) == str(expected)


def combinations() -> list[Any]:
    """Return all pairs of sharing and trunk; those with one trunk per sharing are quick."""
    sharings = [name for name in SHARING if name not in FOR_SOME]
    return [
        pytest.param(
            sharing,
            trunk,
            marks=[] if j == i % len(TRUNKS) else pytest.mark.slow,
            id=f"{sharing}-{trunk}",
        )
        for i, sharing in enumerate(sharings)
        for j, trunk in enumerate(TRUNKS)
    ]


@pytest.mark.parametrize(("sharing", "trunk"), combinations())
def test_every_sharing_trains_them(tmp_path: Path, sharing: str, trunk: dict[str, Any]) -> None:
    made = trainer(tmp_path, TASKS, trunk={**SIZES, **trunk}, sharing=sharing, epochs=1)
    losses = [loss for step in steps_of(made.run()) for loss in step.losses.values()]
    assert all(0 < loss < 100 for loss in losses)


@pytest.mark.parametrize("sharing", ["hard", "cross_stitch", "mmoe", "shared_private"])
def test_a_narrow_last_layer_fits_sharings_that_mix_layer_by_layer(
    tmp_path: Path, sharing: str
) -> None:
    experiment, _ = prepared(
        tmp_path, TASKS, trunk={"type": "gru", **SIZES, "last_size": 6}, sharing=sharing
    )
    assert experiment.model.sharing.sizes[-1] % 12 == 0


def test_widths_that_cannot_be_mixed_are_named(tmp_path: Path) -> None:
    trunk = {"type": "lstm", **SIZES, "last_size": 6}
    with pytest.raises(ConfigError, match=r"layers of widths .* cannot be mixed"):
        prepared(tmp_path, TASKS, trunk=trunk, sharing="sluice")
    with pytest.raises(ConfigError, match="connections: residual needs layers of equal width"):
        prepared(tmp_path, TASKS, trunk={**trunk, "connections": "residual"})


def test_sluice_separates_subspaces_of_every_cell(tmp_path: Path) -> None:
    torch.manual_seed(3)
    for trunk in ({"type": "cell", "depth": 2}, {"type": "gru", "layer_norm": True}):
        sharing = {"type": "sluice", "orthogonality": 0.5}
        made = trainer(tmp_path, TASKS, trunk={**SIZES, **trunk}, sharing=sharing, epochs=1)
        assert all("orthogonality" in step.penalties for step in steps_of(made.run()))
