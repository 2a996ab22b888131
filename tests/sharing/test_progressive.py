"""Progressive columns: a new trunk beside a frozen one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import mtl
from mtl.errors import ConfigError, OptionError
from mtl.experiment import load_config
from mtl.experiment.config import check_run
from mtl.experiment.subset import restricted_to
from mtl.sharing import Progressive
from mtl.trunks import LSTMTrunk
from tests.contracts.variants import shaken
from tests.training.test_ewc import BASE, old, run

__all__ = ["old"]
X = torch.linspace(-2, 2, 40).sin().reshape(2, 5, 4).double()
MASK = torch.ones(2, 5, dtype=torch.bool)


def trunk() -> LSTMTrunk:
    return LSTMTrunk(4, hidden_size=3, num_layers=2, dropout=0)


def test_rusu_2016_each_layer_reads_the_layer_below_of_both_columns() -> None:
    sharing = shaken(Progressive(["a", "b"], trunk, old=["a"], adapter_size=5))
    before = sharing.trunk(X, MASK)[0]
    hidden = [X]
    for i, adapter in enumerate(sharing.adapters, 1):
        own, _ = sharing.column.step(i, hidden, MASK, None)
        inner = (before[i] @ adapter[0].weight.T + adapter[0].bias).clamp(min=0)
        hidden.append(own + inner @ adapter[2].weight.T + adapter[2].bias)
    found = sharing(X, MASK, ["a", "b"])
    torch.testing.assert_close(found["b"].layers, hidden)
    torch.testing.assert_close(found["a"].layers, before)


def test_the_new_column_starts_as_a_trunk_of_its_own() -> None:
    sharing = Progressive(["a", "b"], trunk, old=["a"]).double().eval()
    expected = sharing.column(X, MASK)[0]
    torch.testing.assert_close(sharing(X, MASK, ["b"])["b"].layers, expected)


def test_without_adapters_the_columns_are_two_trunks() -> None:
    sharing = shaken(Progressive(["a", "b"], trunk, old=["a"], adapter_size=0))
    assert not [*sharing.adapters.parameters()]
    found = sharing(X, MASK, ["a", "b"])
    torch.testing.assert_close(found["a"].layers, sharing.trunk(X, MASK)[0])
    torch.testing.assert_close(found["b"].layers, sharing.column(X, MASK)[0])


@pytest.mark.parametrize("names", [[], ["a", "b"], ["c"]])
def test_both_columns_have_a_task(names: list[str]) -> None:
    with pytest.raises(OptionError, match="old"):
        Progressive(["a", "b"], trunk, old=names)


def test_the_old_task_is_not_changed_at_all(old: Path) -> None:
    config = run(ewc=None)
    config["sharing"] = {"type": "progressive", "old": ["pos"]}
    config["tasks"] = {**config["tasks"], "pos": {**config["tasks"]["pos"], "weight": 0}}
    with Path("n.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"tokens": ["new"], "mood": "good"}\n')
    mtl.train(config, output="new", progress=False)
    before, after = (mtl.load(name) for name in ("old", "new"))
    # The word `new` is unknown to the old model, and in the training text of the new one.
    texts = ["a b", "c", "b a new c"]
    for one, two in zip(
        *(model.probabilities(texts, "pos")[1] for model in (before, after)), strict=True
    ):
        assert (one == two).all()
    weights = after.networks[0].sharing
    assert isinstance(weights, Progressive)
    moved = [
        not torch.equal(own, before)
        for own, before in zip(weights.column.parameters(), weights.trunk.parameters(), strict=True)
    ]
    assert any(moved)


def test_it_needs_a_trained_trunk(old: Path) -> None:
    config = {**run(), "sharing": {"type": "progressive", "old": ["pos"]}, "trunk": BASE["trunk"]}
    with pytest.raises(ConfigError, match="the old column is the trunk of another run"):
        mtl.train(config, output="new", progress=False)


@pytest.mark.parametrize(
    ("tasks", "sharing", "note"),
    [
        (("pos", "mood"), "progressive", ""),
        (("mood", "more"), "hard", "with hard sharing in place of 'progressive'"),
        (("mood",), "hard", ""),
    ],
)
def test_a_run_of_some_tasks_has_columns_only_for_old_and_new_ones(
    tasks: tuple[str, ...], sharing: str, note: str, old: Path
) -> None:
    config = {**run(), "sharing": {"type": "progressive", "old": ["pos"]}}
    config["tasks"]["more"] = {"use": "n/mood"}
    found = restricted_to(load_config(config), tasks)
    assert (found.run.sharing.type, found.note) == (sharing, note)
    check_run(found.run)
