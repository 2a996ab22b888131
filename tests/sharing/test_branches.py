"""Branches: trunks that are run by hand, layer by layer, are the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtl.errors import ConfigError, OptionError
from mtl.sharing import Branches
from mtl.trunks import ConvTrunk, LSTMTrunk, Trunk
from tests.training.runs import RUN, epochs_of, prepared, trainer

TASKS = ["a", "b", "c"]
GROUPS = [[["c", "a", "b"]], [["b"], ["c", "a"]], [["a"], ["b"], ["c"]]]
MASK = torch.arange(5) < torch.tensor([5, 3]).unsqueeze(1)


def lstm(layers: int = 3, **options: Any) -> LSTMTrunk:
    return LSTMTrunk(4, num_layers=layers, hidden_size=3, dropout=0, **options)


def made(groups: Any, layers: int = 3, **options: Any) -> Branches:
    return Branches(TASKS, lambda: lstm(layers, **options), by_layer=groups).eval()


def text() -> Tensor:
    return torch.randn(2, 5, 4) * MASK.unsqueeze(2)


def test_each_layer_runs_with_the_weights_of_the_group() -> None:
    sharing, x = made(GROUPS, connections="highway"), text()
    a, b, c = (sharing.branch(task) for task in TASKS)
    first, _ = a.step(1, [x], MASK, None)
    of_ac, _ = a.step(2, [x, first], MASK, None)
    of_b, _ = b.step(2, [x, first], MASK, None)
    expected = {
        "a": [x, first, of_ac, a.step(3, [x, first, of_ac], MASK, None)[0]],
        "b": [x, first, of_b, b.step(3, [x, first, of_b], MASK, None)[0]],
        "c": [x, first, of_ac, c.step(3, [x, first, of_ac], MASK, None)[0]],
    }
    for asked in (TASKS, ["c"], ["b", "a"]):
        found = sharing(x, MASK, asked)
        for task in asked:
            torch.testing.assert_close(found[task].layers, expected[task])


def test_a_layer_exists_once_per_group() -> None:
    sharing = made(GROUPS, feed_forward=6, connections="highway")
    whole = lstm(3, feed_forward=6, connections="highway")
    sizes = [sum(p.numel() for p in own) for own in whole.layer_parameters()]
    expected = sum(size * len(groups) for size, groups in zip(sizes, GROUPS, strict=True))
    assert sum(p.numel() for p in sharing.parameters()) == expected
    shared = sum(p.numel() for p in sharing.shared_parameters())
    assert shared == sizes[0] + sizes[1]


def test_one_group_is_a_single_trunk_and_single_tasks_are_trunks_of_their_own() -> None:
    x = text()
    hard, own = made([[TASKS]]), made([[[task] for task in TASKS]])
    layers, _ = hard.branch("a")(x, MASK)
    torch.testing.assert_close(hard(x, MASK, ["c"])["c"].layers, layers)
    torch.testing.assert_close(own(x, MASK, ["c"])["c"].layers, own.branch("c")(x, MASK)[0])
    assert list(hard.trunks) == ["a"]
    assert not own.shared_parameters()


def test_by_default_the_last_layer_is_not_shared() -> None:
    assert made(None).branch_of == made([[TASKS], [TASKS], [[t] for t in TASKS]]).branch_of
    assert made(GROUPS[:2]).branch_of == made([*GROUPS[:2], GROUPS[1]]).branch_of


def test_other_trunks_have_branches() -> None:
    make = lambda: ConvTrunk(4, num_layers=3, hidden_size=4, dropout=0)  # noqa: E731
    sharing, x = Branches(TASKS, make, by_layer=GROUPS).eval(), text()
    first, _ = sharing.branch("a").step(1, [x], MASK, None)
    torch.testing.assert_close(sharing(x, MASK, ["b"])["b"].layers[1], first)
    assert not list(sharing.branch("b").layer_parameters()[0])


class _OneLump(LSTMTrunk):
    def layer_parameters(self) -> list[list[nn.Parameter]]:
        return Trunk.layer_parameters(self)


def test_a_trunk_that_does_not_separate_its_layers_is_refused() -> None:
    with pytest.raises(OptionError, match="_OneLump does not separate its layers"):
        Branches(TASKS, lambda: _OneLump(4, num_layers=2, hidden_size=3))


MISTAKES = {
    "by_layer: 'c' is missing; expected every task once": [[["a", "b"]]],
    "by_layer: unknown task 'd'": [[["a", "b", "c", "d"]]],
    "by_layer: expected at most 3 lists, one per layer of the trunk, got 4": [[TASKS]] * 4,
    "by_layer: expected at least one list of groups, got none": [],
    "by_layer: expected at least one task per group, got an empty group": [[TASKS, []]],
    "by_layer: 'a' and 'b' are in one group of layer 2, but in two groups of layer 1": [
        [["a"], ["b", "c"]],
        [["a", "b"], ["c"]],
    ],
}


@pytest.mark.parametrize(("message", "groups"), MISTAKES.items())
def test_groups_that_are_no_branches_are_refused(message: str, groups: Any) -> None:
    with pytest.raises(OptionError, match=message):
        made(groups)


def test_a_run_trains_branches_and_refuses_wrong_ones(tmp_path: Path) -> None:
    tasks = {task: {"use": f"c/{task}"} for task in ("pos", "ner", "verb")}
    sharing = {
        "type": "branches",
        "by_layer": [[["pos", "ner", "verb"]], [["pos"], ["ner", "verb"]]],
    }
    found = trainer(tmp_path, tasks, sharing=sharing, trunk=RUN["trunk"], epochs=2)
    first, last = epochs_of(found.run())
    assert all(last.losses[task] < first.losses[task] for task in tasks)
    wrong = {"type": "branches", "by_layer": [[["pos"], ["ner"]]]}
    with pytest.raises(ConfigError, match=r"sharing.by_layer: 'verb' is missing"):
        prepared(tmp_path, tasks, sharing=wrong)
