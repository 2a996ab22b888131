"""The models that a cyclic schedule keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import mtl
from mtl.api import one_run, steps
from mtl.runs.checkpoint import load_tensors, snapshot_files, weights_of
from mtl.training.events import Epoch
from tests.training.runs import trainer

CYCLES = {"type": "cosine_restarts", "cycles": 2, "warmup": 0}


def cyclic(folder: Path, **changes: Any) -> Any:
    return trainer(folder, {"pos": {"use": "c/pos"}}, schedule={**CYCLES, **changes}, epochs=4)


def test_the_last_epoch_of_each_cycle_is_kept(tmp_path: Path) -> None:
    kept = [event.snapshot for event in cyclic(tmp_path).run() if isinstance(event, Epoch)]
    assert kept == [None, 1, None, 2]
    off = cyclic(tmp_path, snapshots=False)
    assert not any(event.snapshot for event in off.run() if isinstance(event, Epoch))


def test_the_files_are_the_models_of_these_epochs_also_after_resuming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data.jsonl").write_text(
        "".join(f'{{"text": "a b{n % 3} c", "kind": "k{n % 3}"}}\n' for n in range(12))
    )
    run = {
        "embedding": {"words": {"dim": 4}},
        "trunk": {"type": "lstm", "hidden_size": 4, "num_layers": 1},
        "corpora": {
            "c": {
                "reader": {"type": "jsonl"},
                "files": {"train": str(tmp_path / "data.jsonl")},
                "splits": {"dev": "25%"},
                "tasks": {"kind": {"labels": "kind", "head": "pool", "metric": "accuracy"}},
            }
        },
        "tasks": {"kind": {"use": "c/kind"}},
        "training": {"epochs": 4, "batch": {"sentences": 4}, "schedule": CYCLES, "device": "cpu"},
    }
    seen: list[dict[str, Tensor]] = []
    show = steps.Display.show

    def watch(self: steps.Display, event: Any) -> None:
        if isinstance(event, Epoch):
            seen.append({name: value.clone() for name, value in weights_of(owner[-1]).items()})
            if len(seen) == 3:
                raise RuntimeError("killed")
        show(self, event)

    owner: list[Any] = []
    make = one_run.make_trainer

    def remember(*arguments: Any) -> Any:
        made = make(*arguments)
        owner.append(made.model)
        return made

    monkeypatch.setattr(one_run, "make_trainer", remember)
    monkeypatch.setattr(steps.Display, "show", watch)
    with pytest.raises(RuntimeError, match="killed"):
        mtl.train(run, output=tmp_path / "run", progress=False)
    assert len(snapshot_files(tmp_path / "run")) == 1
    mtl.train(run, output=tmp_path / "run", progress=False, resume=True)
    files = snapshot_files(tmp_path / "run")
    assert [file.name for file in files] == ["cycle-1.safetensors", "cycle-2.safetensors"]
    for file, weights in zip(files, (seen[1], seen[-1]), strict=True):
        own = load_tensors(file)
        assert own.keys() == weights.keys()
        assert all(torch.equal(own[name], weights[name]) for name in own)
