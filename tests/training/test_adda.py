"""ADDA (Tzeng et al. 2017) as a run: a frozen source trunk, and a copy of it for the target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import mtl
from mtl.experiment import load_config, load_corpora, make_trainer, prepare
from mtl.runs.checkpoint import load_training, save_training
from mtl.sharing import Progressive
from mtl.training.events import Step
from mtl.training.state import restore_training_state, training_state
from mtl.training.trainer import Trainer

SOURCE = [{"tokens": ["good", "old", "book"], "mood": "good"}] * 6
SOURCE += [{"tokens": ["bad", "book"], "mood": "bad"}] * 6
TARGET = [{"tokens": ["good", "pan"], "mood": "good"}] * 6
TARGET += [{"tokens": ["bad", "old", "pan"], "mood": "bad"}] * 6
TASKS = {
    "mood": {"labels": "mood", "head": {"type": "pool", "pooling": "mean"}, "metric": "accuracy"},
    "domain": {"labels": "domain", "head": "domain", "metric": "accuracy"},
}


def corpus(name: str) -> dict[str, Any]:
    files = {split: f"{name}-{split}.jsonl" for split in ("train", "dev")}
    return {"reader": {"type": "jsonl"}, "files": files, "tasks": TASKS}


BASE: dict[str, Any] = {
    "embedding": {"words": {"dim": 4}},
    "trunk": {"type": "lstm", "num_layers": 1, "hidden_size": 4, "dropout": 0.1},
    "tasks": {"mood": {"use": "source/mood"}},
    "corpora": {"source": corpus("source"), "target": corpus("target")},
    "training": {"epochs": 2, "device": "cpu", "batch": {"sentences": 4}},
}
ADDA: dict[str, Any] = {
    **BASE,
    "trunk": {**BASE["trunk"], "init": "old", "init_heads": True},
    "sharing": {"type": "progressive", "old": ["mood", "source"], "adapter_size": 0},
    "tasks": {
        "mood": {"use": "source/mood", "weight": 0},
        "target_mood": {"use": "target/mood", "head": "mood", "weight": 0},
        "source": {
            "use": "source/domain",
            "head": {"type": "domain", "goal": "inverted", "ramp": 3},
        },
        "target": {"use": "target/domain", "head": "source"},
    },
    "training": {**BASE["training"], "metric": "mood.accuracy", "mixing": {"type": "joint"}},
}


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, rows in (("source", SOURCE), ("target", TARGET)):
        for split in ("train", "dev"):
            hidden = {"mood": "_"} if (name, split) == ("target", "train") else {}
            lines = [json.dumps({**row, "domain": name, **hidden}) for row in rows]
            Path(f"{name}-{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    mtl.train(BASE, output="old", progress=False)


@pytest.mark.parametrize("training", [{}, {"average": 0.9}, {"precision": "bf16"}], ids=str)
def test_only_the_target_trunk_and_the_discriminator_learn(
    old: None, training: dict[str, Any]
) -> None:
    mtl.train({**ADDA, "training": {**ADDA["training"], **training}}, output="n", progress=False)
    before, after = mtl.load("old"), mtl.load("n")
    texts = ["good book", "bad old book", "old"]
    for one, two in zip(
        *(model.probabilities(texts, "mood")[1] for model in (before, after)), strict=True
    ):
        assert (one == two).all()  # the source encoder and the head
    model = after.networks[0]
    heads = [module.heads["mood"].state_dict() for module in (before.networks[0], model)]
    assert all(torch.equal(heads[0][name], weight) for name, weight in heads[1].items())
    assert isinstance(model.sharing, Progressive)
    pairs = zip(model.sharing.column.parameters(), model.sharing.trunk.parameters(), strict=True)
    assert all(not torch.equal(target, source) for target, source in pairs)
    start = made({}).model.heads["source"].output.weight
    assert not torch.equal(model.heads["source"].output.weight, start)


def made(training: dict[str, Any]) -> Trainer:
    config = load_config({**ADDA, "training": {**ADDA["training"], **training}})
    corpora = load_corpora(config)
    return make_trainer(prepare(config, corpora), corpora)


def test_the_target_encoder_starts_as_the_source_encoder(old: None) -> None:
    sharing = made({}).model.sharing
    assert isinstance(sharing, Progressive)
    pairs = zip(sharing.column.parameters(), sharing.trunk.parameters(), strict=True)
    assert all(torch.equal(target, source) for target, source in pairs)


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(old: None) -> None:
    whole = made({"average": 0.9})
    steps = [event.losses for event in whole.run() if isinstance(event, Step)]
    first = made({"average": 0.9})
    for _ in first.run():
        if first.step == len(steps) // 2 + 1:
            break
    save_training(Path(), *training_state(first))
    second = made({"average": 0.9})
    torch.manual_seed(99)
    restore_training_state(second, *load_training(Path()))
    rest = [event.losses for event in second.run() if isinstance(event, Step)]
    assert rest == steps[-len(rest) :]
    state = second.model.state_dict()
    assert all(torch.equal(state[name], v) for name, v in whole.model.state_dict().items())
