"""Progressive layered extraction, and customised gate control: its form with one level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtl.errors import ConfigError
from mtl.sharing import MixtureOfExperts, ProgressiveExtraction
from mtl.trunks import LSTMTrunk
from tests.contracts.variants import shaken
from tests.training.runs import epochs_of, prepared, trainer

TASKS = ["a", "b", "c"]
X = torch.linspace(-2, 2, 40).sin().reshape(2, 5, 4).double()
MASK = torch.ones(2, 5, dtype=torch.bool)


def trunk(layers: int = 3) -> LSTMTrunk:
    return LSTMTrunk(4, hidden_size=3, num_layers=layers, dropout=0)


def made(layers: int = 3, **options: Any) -> ProgressiveExtraction:
    return shaken(ProgressiveExtraction(TASKS, lambda: trunk(layers), **options))


def mixed(gate: nn.Linear, x: Tensor, outputs: list[Tensor]) -> Tensor:
    """A mixture by the formula of a softmax gate."""
    weights = (x @ gate.weight.T).exp()
    weights = weights / weights.sum(-1, keepdim=True)
    return sum(weights[..., i : i + 1] * output for i, output in enumerate(outputs))


def test_tang_2020_a_level_reads_the_mixtures_of_the_level_below() -> None:
    sharing = made(experts=2)
    read = {name: [X] for name in [*TASKS, "shared"]}
    for i in (1, 2, 3):
        own = {t: [e.step(i, read[t], MASK, None)[0] for e in sharing.own[t]] for t in TASKS}
        (common,) = (e.step(i, read["shared"], MASK, None)[0] for e in sharing.shared)
        mixtures = {
            t: mixed(sharing.gates[i - 1][t], read[t][-1], [*own[t], common]) for t in TASKS
        }
        if i < 3:
            every = [common, *own["a"], *own["b"], *own["c"]]
            mixtures["shared"] = mixed(sharing.shared_gates[i - 1], read["shared"][-1], every)
        read = {
            name: [*layers, mixtures[name]] for name, layers in read.items() if name in mixtures
        }
    for task, found in sharing(X, MASK, TASKS).items():
        torch.testing.assert_close(found.layers, read[task])


def test_tang_2020_of_one_level_a_task_mixes_its_experts_with_the_shared_ones() -> None:
    sharing = made(progressive=False, shared_experts=2)
    found = sharing(X, MASK, ["b"])["b"].layers
    runs = [expert(X, MASK)[0] for expert in (*sharing.own["b"], *sharing.shared)]
    for i in (1, 2, 3):
        expected = mixed(sharing.gates[0]["b"], X, [run[i] for run in runs])
        torch.testing.assert_close(found[i], expected)


def test_without_experts_of_tasks_it_would_be_mmoe() -> None:
    sharing = made(progressive=False, shared_experts=2)
    plain = MixtureOfExperts(TASKS, trunk, experts=2).double()
    plain.experts.load_state_dict(sharing.shared.state_dict())
    for task in TASKS:  # exp(-1e3) is 0: no gate reads an expert of a task
        sharing.own[task] = nn.ModuleList([trunk().double()])
        plain.gates[task].weight.data = sharing.gates[0][task].weight.data[1:]
        sharing.gates[0][task].weight.data[0] = -1e3
    x = X.abs() + 1
    for task, found in plain(x, MASK, TASKS).items():
        expected = sharing(x, MASK, TASKS)[task].layers
        torch.testing.assert_close(found.layers, expected)


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("progressive", [True, False])
def test_shared_are_the_parameters_that_several_tasks_train(layers: int, progressive: bool) -> None:
    sharing = made(layers, progressive=progressive or layers == 1)
    trained = []
    for task in TASKS:
        sharing.zero_grad(set_to_none=True)
        sharing(X, MASK, [task])[task].layers[-1].pow(2).sum().backward()
        trained.append({p for p in sharing.parameters() if p.grad is not None and p.grad.any()})
    several = {p for p in sharing.parameters() if sum(p in own for own in trained) > 1}
    assert set(sharing.shared_parameters()) == several


def test_separate_experts_of_other_tasks_do_not_run() -> None:
    sharing = made(progressive=False)
    sharing.own["c"] = nn.ModuleList([nn.Identity()])  # which would fail
    assert set(sharing(X, MASK, ["a", "b"])) == {"a", "b"}


def test_one_layer_has_one_level() -> None:
    with pytest.raises(ValueError, match="progressive: a trunk of one layer has one level"):
        made(1, progressive=False)


def test_levels_of_a_language_model_do_not_read_its_words_ahead(tmp_path: Path) -> None:
    (tmp_path / "lm.txt").write_text("the cat sat up\n" * 8, encoding="utf-8")
    source = {"reader": {"type": "text"}, "files": {"train": "lm.txt"}}
    text = {"labels": {"text": "next"}, "head": {"type": "lm"}, "metric": "perplexity"}
    corpora = {"t": {**source, "tasks": {"lm": text}}}
    tasks = {"lm": {"use": "t/lm"}, "more": {"use": "t/lm"}}
    size = {"type": "lstm", "hidden_size": 4, "num_layers": 2}
    with pytest.raises(ConfigError, match="sharing: 'ple': task 'lm' reads one of two"):
        prepared(tmp_path, tasks, corpora, trunk=size, sharing="ple")
    one_way = {**size, "bidirectional": False}
    prepared(tmp_path, tasks, corpora, trunk=one_way, sharing="ple")
    once = {"type": "ple", "progressive": False}  # the gates read the word itself
    prepared(tmp_path, tasks, corpora, trunk=size, sharing=once)


@pytest.mark.parametrize("options", [{}, {"progressive": False, "experts": 2}])
def test_it_trains_through_the_run_file(options: dict[str, Any], tmp_path: Path) -> None:
    tasks = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb"}}
    made = trainer(tmp_path, tasks, sharing={"type": "ple", **options}, epochs=4)
    first, *_, last = epochs_of(made.run())
    assert last.losses["pos"] < first.losses["pos"]
