"""A sharing of one's own, named in a run file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.runs import epochs_of, trainer

MODULE = """
import torch
from torch import nn

from mtl.options import Fraction
from mtl.sharing import TrunkOutput, Hard


class Gated(Hard):
    '''One trunk, of whose last layer every task chooses units (–).

    Args:
        tasks: The names of all tasks.
        make_trunk: Gives a trunk.
        start: How far all units are open at first.
    '''

    def __init__(self, tasks, make_trunk, *, start: Fraction = 0.5):
        super().__init__(tasks, make_trunk)
        self.gates = nn.ParameterDict({t: torch.full(self.sizes[-1:], start) for t in tasks})

    def forward(self, x, mask, tasks, state=None):
        (*below, top), after = self.trunk(x, mask, state)
        return {task: TrunkOutput([*below, self.gates[task] * top], after) for task in tasks}

    def learnt(self):
        return {f"gate.{task}": gate.detach() for task, gate in self.gates.items()}
"""


def test_a_sharing_of_ones_own_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_sharing.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    tasks = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb"}}
    sharing = {"type": "my_sharing:Gated", "start": 0.9}
    made = trainer(tmp_path, tasks, sharing=sharing, epochs=10)
    first, *_, last = epochs_of(made.run())
    assert sum(last.losses.values()) < 0.7 * sum(first.losses.values())
    gates = made.model.sharing.learnt()
    assert list(gates) == ["gate.pos", "gate.verb"]
    assert not torch.equal(gates["gate.pos"], gates["gate.verb"])
