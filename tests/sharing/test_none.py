"""No sharing: one trunk per task."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mtl.sharing import NoSharing
from mtl.trunks import LSTMTrunk
from tests.training.runs import epochs_of, trainer

TASKS = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb"}}


def text() -> tuple[Tensor, Tensor]:
    return torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.bool)


def test_each_task_reads_a_trunk_of_its_own() -> None:
    sharing, (x, mask) = NoSharing(["a", "b"], lambda: LSTMTrunk(4, hidden_size=3)).eval(), text()
    for task, encoded in sharing(x, mask, ["a", "b"]).items():
        alone, _ = sharing.trunks[task](x, mask)
        assert all(torch.equal(a, b) for a, b in zip(encoded.layers, alone, strict=True))


def test_trunks_of_tasks_that_are_not_asked_for_do_not_run() -> None:
    sharing = NoSharing(["a", "b"], lambda: LSTMTrunk(4, hidden_size=3))
    sharing(*text(), ["a"])["a"].layers[-1].sum().backward()
    assert all(p.grad is not None for p in sharing.trunks["a"].parameters())
    assert all(p.grad is None for p in sharing.trunks["b"].parameters())


def test_a_task_absent_from_a_batch_keeps_its_state() -> None:
    sharing = NoSharing(["a", "b"], lambda: LSTMTrunk(4, hidden_size=3, bidirectional=False))
    (x, mask), start = text(), sharing.initial_state(2)
    middle = sharing(x, mask, ["a", "b"], start)["a"].state
    after = sharing(x, mask, ["a"], middle)["a"].state
    assert after["b"] is middle["b"]
    assert not torch.equal(after["a"][0][0], middle["a"][0][0])


def test_a_run_trains_every_trunk(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, sharing="none", epochs=10)
    before = {name: value.clone() for name, value in made.model.sharing.state_dict().items()}
    first, *_, last = epochs_of(made.run())
    assert sum(last.losses.values()) < 0.7 * sum(first.losses.values())
    assert not [n for n, v in made.model.sharing.state_dict().items() if torch.equal(v, before[n])]
