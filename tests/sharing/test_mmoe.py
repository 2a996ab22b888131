"""Multi-gate mixture of experts."""

from __future__ import annotations

from pathlib import Path

import torch

from mtl.sharing import MixtureOfExperts
from mtl.trunks import LSTMTrunk
from tests.training.runs import epochs_of, trainer

X = torch.linspace(-2, 2, 40).sin().reshape(2, 5, 4)
MASK = torch.ones(2, 5, dtype=torch.bool)


def made() -> MixtureOfExperts:
    return MixtureOfExperts(
        ["a", "b"], lambda: LSTMTrunk(4, hidden_size=3, num_layers=2, dropout=0), experts=3
    )


def test_ma_2018_a_task_reads_a_softmax_mixture_of_experts() -> None:
    sharing = made()
    found = sharing(X, MASK, ["a"])["a"].layers
    runs = [expert(X, MASK)[0] for expert in sharing.experts]
    weights = (X[1, 3] @ sharing.gates["a"].weight.T).exp()
    weights /= weights.sum()
    for i in (1, 2):
        expected = sum(w * run[i][1, 3] for w, run in zip(weights, runs, strict=True))
        torch.testing.assert_close(found[i][1, 3], expected)


def test_a_gate_that_is_sure_reads_one_expert_alone() -> None:
    sharing = made()
    x = X.abs()
    sharing.gates["b"].weight.data = torch.tensor([[-1e3], [1e3], [-1e3]]).expand(3, 4).clone()
    alone = sharing.experts[1](x, MASK)[0]
    for layer, expected in zip(sharing(x, MASK, ["b"])["b"].layers, alone, strict=True):
        torch.testing.assert_close(layer, expected)


def test_a_task_trains_its_own_gates_alone() -> None:
    sharing = made()
    sharing(X, MASK, ["a"])["a"].layers[-1].pow(2).sum().backward()
    assert sharing.gates["a"].weight.grad.any()
    assert sharing.gates["b"].weight.grad is None


def test_it_trains_through_the_run_file(tmp_path: Path) -> None:
    tasks = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb"}}
    made = trainer(tmp_path, tasks, sharing={"type": "mmoe", "experts": 2}, epochs=4)
    first, *_, last = epochs_of(made.run())
    assert last.losses["pos"] < first.losses["pos"]
