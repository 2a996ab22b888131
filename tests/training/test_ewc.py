"""Elastic weight consolidation in a run that starts from another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import mtl
from mtl.errors import ConfigError
from mtl.experiment import load_config, load_corpora, prepare
from mtl.experiment.consolidation import anchored

OLD = [{"tokens": ["a", "b"], "pos": ["D", "N"]}, {"tokens": ["c"], "pos": ["V"]}] * 8
NEW = [{"tokens": ["a", "c"], "mood": "good"}, {"tokens": ["b"], "mood": "bad"}] * 8
POS = {"labels": "pos", "head": "crf", "metric": "accuracy"}
MOOD = {"labels": "mood", "head": "pool", "metric": "accuracy"}
BASE: dict[str, Any] = {
    "embedding": {"words": {"dim": 4}},
    "trunk": {"type": "lstm", "num_layers": 1, "hidden_size": 4, "dropout": 0},
    "training": {"epochs": 2, "device": "cpu", "optimizer": {"type": "sgd", "lr": 0.2}},
}


def run(*, init: str | None = "old", **training: Any) -> dict[str, Any]:
    start = {"init": init, "init_heads": True} if init else {}
    return {
        **BASE,
        "trunk": BASE["trunk"] | start,
        "corpora": {
            "o": {
                "reader": {"type": "jsonl"},
                "files": {"train": "old.jsonl"},
                "tasks": {"pos": POS},
            },
            "n": {
                "reader": {"type": "jsonl"},
                "files": {"train": "n.jsonl"},
                "tasks": {"mood": MOOD},
            },
        },
        "tasks": {"pos": {"use": "o/pos"}} | ({"mood": {"use": "n/mood"}} if init else {}),
        "training": BASE["training"] | training,
    }


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, rows in (("old.jsonl", OLD), ("n.jsonl", NEW)):
        Path(name).write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    mtl.train(run(init=None), output="old", progress=False)
    return tmp_path


def moved(weight: float) -> float:
    """Return the distance of the trunk from its old weights, weighted by the information."""
    output = f"run-{weight}"
    options = {"ewc": {"weight": weight, "sentences": 8}} if weight else {}
    config = run(**options)
    mtl.train(config, output=output, progress=False)
    before, after = (mtl.load(name).networks[0].state_dict() for name in ("old", output))
    held = load_config(run(ewc={"weight": 1.0, "sentences": 8}))
    corpora = load_corpora(held)
    experiment = prepare(held, corpora)
    anchor = anchored(experiment, corpora)
    assert anchor
    names = {id(p): name for name, p in experiment.model.named_parameters()}
    total = 0.0
    for parameter, fisher in zip(anchor.parameters, anchor.fisher, strict=True):
        name = names[id(parameter)]
        if name.startswith("sharing"):
            total += (fisher * (after[name] - before[name]).square()).sum().item()
    return total


def test_weights_that_matter_move_less(old: Path) -> None:
    free, held = moved(0), moved(3000.0)
    assert 0 < held < 0.5 * free
    lines = [json.loads(line) for line in Path("run-3000.0/metrics.jsonl").read_text().splitlines()]
    assert any("ewc" in line.get("penalties", {}) for line in lines)


def test_the_information_is_that_of_each_sentence_and_is_repeatable(old: Path) -> None:
    held = load_config(run(ewc={"weight": 3.0, "sentences": 16}))
    corpora = load_corpora(held)
    random = torch.get_rng_state()
    made = [anchored(prepare(held, corpora), corpora) for _ in range(2)]
    assert made[0]
    assert made[1]
    for one, two in zip(made[0].fisher, made[1].fisher, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
        assert (one >= 0).all()
    assert sum(own.sum() for own in made[0].fisher) > 0
    assert random.shape == torch.get_rng_state().shape


def test_it_needs_old_weights(old: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"training\.ewc: holds weights near the weights of another"
    ):
        load_config(run(ewc={"weight": 1.0}) | {"trunk": BASE["trunk"]})
    frozen = {"fine_tuning": {"frozen": ["embedding", "trunk"]}}
    with pytest.raises(ConfigError, match=r"training\.ewc: embedding and trunk are frozen"):
        load_config(run(ewc={"weight": 1.0}, **frozen))
