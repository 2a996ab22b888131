"""Layers that train at rates of their own, one after the other, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.errors import ConfigError
from mtl.experiment import make_trainer
from mtl.experiment.plan import make_plan
from mtl.training.events import Epoch
from mtl.training.optimizers import OPTIMIZERS
from mtl.training.trainer import Trainer
from tests.training.runs import prepared, trainer

TASKS = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb", "layer": 1}}
PARTS = {
    "embedding": "embedding.",
    "layer 1": "sharing.trunk.layers.0.",
    "layer 2": "sharing.trunk.layers.1.",
    "pos": "heads.pos.",
    "verb": "heads.verb.",
}
"""Prefixes of the names of parameters."""
DECAYING = {"type": "adamw", "lr": 0.02, "weight_decay": 0.5}


def tuned(folder: Path, tasks: Any = None, **fine_tuning: Any) -> Trainer:
    return trainer(
        folder, tasks or TASKS, optimizer=DECAYING, average=0.5, epochs=5, fine_tuning=fine_tuning
    )


def rates(made: Trainer) -> dict[str, set[float]]:
    """Part to the learning rates of its weights."""
    names = {parameter: name for name, parameter in made.model.named_parameters()}
    lrs = {
        names[p]: round(group["lr"], 6)
        for group in made.optimizer.param_groups
        for p in group["params"]
    }
    return {
        part: {lr for name, lr in lrs.items() if name.startswith(prefix)}
        for part, prefix in PARTS.items()
    }


def state(made: Trainer) -> dict[str, Tensor]:
    """The weights and their averages, as they are now."""
    now = dict(made.model.named_parameters())
    now |= {f"{name} (average)": value for name, value in made.average.average.items()}
    return {name: value.detach().clone() for name, value in now.items()}


def moving(made: Trainer) -> list[set[str]]:
    """The parts whose weights, or their averages, change in each epoch."""
    found, before = [], state(made)
    for event in made.run():
        if isinstance(event, Epoch):
            after = state(made)
            moved = [name for name in after if not torch.equal(before[name], after[name])]
            found.append({part for part, p in PARTS.items() for n in moved if n.startswith(p)})
            before = after
    return found


def test_each_layer_learns_more_slowly_than_the_one_above(tmp_path: Path) -> None:
    assert rates(tuned(tmp_path, lr_ratio=2.6)) == {
        "pos": {0.02},
        "verb": {0.02},
        "layer 2": {round(0.02 / 2.6, 6)},
        "layer 1": {round(0.02 / 2.6**2, 6)},
        "embedding": {round(0.02 / 2.6**3, 6)},
    }


def test_a_head_keeps_its_own_learning_rate(tmp_path: Path) -> None:
    tasks = {"pos": {**TASKS["pos"], "lr": 0.3}, "verb": TASKS["verb"]}
    found = rates(tuned(tmp_path, tasks, lr_ratio=2.0))
    assert (found["pos"], found["verb"], found["layer 2"]) == ({0.3}, {0.02}, {0.01})


def test_heads_without_a_rate_learn_at_the_rate_of_heads(tmp_path: Path) -> None:
    tasks = {"pos": {**TASKS["pos"], "lr": 0.3}, "verb": TASKS["verb"]}
    found = rates(tuned(tmp_path, tasks, lr_ratio=2.0, head_lr=0.1))
    assert (found["pos"], found["verb"], found["layer 2"]) == ({0.3}, {0.1}, {0.01})


def test_biases_need_not_decay(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, optimizer=DECAYING, decay_biases=False)
    decays = {
        p: group["weight_decay"] for group in made.optimizer.param_groups for p in group["params"]
    }
    for name, parameter in made.model.named_parameters():
        assert decays[parameter] == (0.5 if parameter.ndim > 1 else 0), name


def test_learned_scales_of_losses_do_not_decay(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, optimizer=DECAYING, weighting="uncertainty")
    scales = {*made.weighting.parameters()}
    decays = {p: g["weight_decay"] for g in made.optimizer.param_groups for p in g["params"]}
    assert {decays[p] for p in scales} == {0.0}
    assert {decay for p, decay in decays.items() if p not in scales} == {0.5}


def test_options_without_effect_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no effect without weight decay"):
        trainer(tmp_path, TASKS, decay_biases=False)
    tasks = {name: {**task, "lr": 0.3} for name, task in TASKS.items()}
    with pytest.raises(ConfigError, match="every head has its own `lr`"):
        tuned(tmp_path, tasks, head_lr=0.1)


def test_what_a_trunk_reads_beside_subwords_is_trained_like_heads(tmp_path: Path) -> None:
    from mtl.experiment import load_config, load_corpora, prepare
    from tests.experiment.test_pretrained import BESIDE, run_file
    from tests.hub import bert

    bert(tmp_path / "model")
    tuning = {"frozen": ["embedding", "trunk"], "head_lr": 0.1, "lr_ratio": 2.0, "gradual": True}
    path = run_file(tmp_path, {}, embedding=BESIDE, training={"fine_tuning": tuning})
    run = load_config(path)
    found = load_corpora(run)
    made = make_trainer(prepare(run, found), found)
    names = {parameter: name for name, parameter in made.model.named_parameters()}
    groups = [group for group in made.optimizer.param_groups if group["params"]]
    trained = {names[p]: group for group in groups for p in group["params"]}
    rates = {group["lr"] for name, group in trained.items() if name.startswith("heads")}
    assert {n.split(".")[0] for n in trained} == {"embedding", "heads", "mixes"}
    assert {".".join(n.split(".")[:2]) for n in trained if "embed" in n} == {"embedding.beside"}
    assert rates == {trained[n]["lr"] for n in trained if "beside" in n} == {0.1}
    assert all(trained[n]["since"] == 0 for n in trained)


def test_the_schedule_scales_all_layers_and_reports_the_head_rate(
    tmp_path: Path,
) -> None:
    tasks = {name: {**task, "lr": 0.3} for name, task in TASKS.items()}
    made = tuned(tmp_path, tasks, lr_ratio=2.0)
    first = next(made.run())
    assert first.lr == pytest.approx(0.02 / 3)
    found = sorted(group["lr"] for group in made.optimizer.param_groups)
    assert found == pytest.approx([lr / 3 for lr in (0.0025, 0.005, 0.01, 0.02, 0.3)])


def test_layers_thaw_from_the_heads_down(tmp_path: Path) -> None:
    heads = {"pos", "verb"}
    assert moving(tuned(tmp_path, gradual=True)) == [
        heads,
        heads | {"layer 2"},
        heads | {"layer 2", "layer 1"},
        set(PARTS),
        set(PARTS),
    ]


def test_what_has_not_thawed_has_no_gradient(tmp_path: Path) -> None:
    made = tuned(tmp_path, gradual=True)
    next(made.run())
    graded = [name for name, p in made.model.named_parameters() if p.grad is not None]
    assert {name.partition(".")[0] for name in graded} == {"heads"}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("frozen", [["embedding"], ["trunk"], ["trunk", "embedding"]], ids=str)
@pytest.mark.parametrize("gradual", [False, True])
def test_what_is_frozen_neither_moves_nor_decays(
    frozen: list[str], gradual: bool, tmp_path: Path
) -> None:
    made = tuned(tmp_path, frozen=frozen, gradual=gradual)
    found = set().union(*moving(made))
    still = {"embedding": {"embedding"}, "trunk": {"layer 1", "layer 2"}}
    assert found == set(PARTS).difference(*(still[part] for part in frozen))


def test_what_is_frozen_is_neither_optimised_nor_averaged(tmp_path: Path) -> None:
    made = tuned(tmp_path, frozen=["trunk", "embedding"])
    list(made.run())
    heads = {n for n, _ in made.model.named_parameters() if n.startswith("heads.")}
    assert set(made.average.average) == heads
    assert len(made.optimizer.state) == len(heads)
    assert all(p.grad is None for p in made.model.sharing.parameters())


def test_without_fine_tuning_all_weights_are_one_group(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS)
    (group,) = made.optimizer.param_groups
    assert len(group["params"]) == len(list(made.model.parameters()))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimiser_thaws_layers(name: str, tmp_path: Path) -> None:
    tasks = {name: {**task, "lr": 0.1} for name, task in TASKS.items()}
    tuning = {"gradual": True, "lr_ratio": 2.6}
    made = trainer(tmp_path, tasks, optimizer=name, average=0.5, epochs=4, fine_tuning=tuning)
    assert [len(parts) for parts in moving(made)] == [2, 3, 4, 5]


@pytest.mark.parametrize(("epochs", "told"), [(3, True), (4, False)])
def test_the_plan_tells_of_layers_that_never_thaw(epochs: int, told: bool, tmp_path: Path) -> None:
    given = prepared(tmp_path, TASKS, epochs=epochs, fine_tuning={"gradual": True})
    notes = make_plan(*given, make_trainer(*given)).notes
    note = "gradual: the lowest layer would be trained from epoch 4, but there are only 3 epochs"
    assert (note in notes) == told
