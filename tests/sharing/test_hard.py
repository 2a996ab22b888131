"""Hard sharing: one trunk for all tasks."""

from __future__ import annotations

import torch

from mtl.sharing import Hard
from mtl.trunks import LSTMTrunk


def test_one_trunk_is_made_and_run_once_for_all_tasks() -> None:
    made: list[LSTMTrunk] = []

    def trunk() -> LSTMTrunk:
        made.append(LSTMTrunk(4, hidden_size=3))
        return made[-1]

    sharing = Hard(["a", "b"], trunk)
    found = sharing(torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.bool), ["a", "b"])
    assert made == [sharing.trunk]
    assert found["a"] is found["b"]


def test_tasks_read_what_the_trunk_alone_gives() -> None:
    sharing = Hard(["a"], lambda: LSTMTrunk(4, hidden_size=3)).eval()
    x, mask = torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.bool)
    found = sharing(x, mask, ["a"])["a"].layers
    assert all(torch.equal(a, b) for a, b in zip(found, sharing.trunk(x, mask)[0], strict=True))
