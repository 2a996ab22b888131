"""Soft sharing: one trunk per task, and a penalty between their weights."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.errors import ConfigError
from mtl.layers import axis_inverses, block_penalty, tensor_normal_penalty
from mtl.options import RunContext, options_of
from mtl.sharing import Soft
from mtl.trunks import LSTMTrunk
from tests.training.runs import epochs_of, trainer

X = torch.linspace(-2, 2, 40).sin().reshape(2, 5, 4)
MASK = torch.ones(2, 5, dtype=torch.bool)
TASKS = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb"}}


def trunk() -> LSTMTrunk:
    return LSTMTrunk(4, hidden_size=3, num_layers=1)


def made(tasks: str = "ab", **options: Any) -> Soft:
    return Soft(list(tasks), trunk, **options)


def shaken(sharing: Soft) -> Soft:
    for parameter in sharing.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return sharing


def penalty(sharing: Soft) -> torch.Tensor:
    return sharing(X, MASK, ["a"])["a"].penalties["soft"]


def distance(sharing: Soft) -> float:
    """The squared distance of the trunks of the first two tasks."""
    first, second = (list(trunk.parameters()) for trunk in list(sharing.trunks.values())[:2])
    return sum((a - b).square().sum().item() for a, b in zip(first, second, strict=True))


def test_trunks_start_alike_and_are_none_the_less_two() -> None:
    sharing = made()
    assert distance(sharing) == 0
    sharing(X, MASK, ["a"])["a"].layers[-1].sum().backward()
    assert all(p.grad is not None for p in sharing.trunks["a"].parameters())
    assert all(p.grad is None for p in sharing.trunks["b"].parameters())


def test_duong_2015_the_penalty_is_the_squared_distance_of_all_weights() -> None:
    sharing = shaken(made(strength=0.5))
    assert penalty(sharing).item() == pytest.approx(0.5 * distance(sharing), rel=1e-5)


def test_the_penalty_includes_trunks_of_tasks_outside_the_batch() -> None:
    sharing = shaken(made(strength=0.5))
    penalty(sharing).backward()
    both = zip(*(trunk.parameters() for trunk in sharing.trunks.values()), strict=True)
    for a, b in both:
        torch.testing.assert_close(b.grad, b.detach() - a.detach())
        torch.testing.assert_close(a.grad, -b.grad)


def test_the_option_says_which_penalty_it_is() -> None:
    sharing = shaken(made("abc", penalty="l1_l2", strength=1.0))
    alike = zip(*(trunk.parameters() for trunk in sharing.trunks.values()), strict=True)
    expected = sum(block_penalty(torch.stack(weights)).item() for weights in alike)
    assert penalty(sharing).item() == pytest.approx(expected, rel=1e-5)


def test_tasks_of_a_cluster_come_nearer_than_others() -> None:
    clusters = [["a", "c"], ["b"]]
    sharing = shaken(made("abc", penalty="clustered", clusters=clusters, between=0.0))
    optimizer = torch.optim.SGD(sharing.trunks.parameters(), lr=100)
    for _ in range(50):
        optimizer.zero_grad()
        penalty(sharing).backward()
        optimizer.step()
    a, b, c = (next(sharing.trunks[task].parameters()) for task in "abc")
    assert (a - c).norm() < 0.01 * (a - b).norm()


def test_what_was_learnt_is_how_far_tasks_lie_apart() -> None:
    sharing = shaken(made("abc"))
    found = sharing.learnt()["distance"]
    assert found[0, 1].item() ** 2 == pytest.approx(distance(sharing), rel=1e-4)
    assert torch.equal(found, found.T)
    assert not found.diagonal().any()
    assert sharing.axes()["distance"] == (["a", "b", "c"], ["a", "b", "c"])


def test_the_task_covariance_is_updated_after_the_first_epoch() -> None:
    sharing = made("ab", penalty="relationship", strength=1.0)
    sharing.begin_epoch(0)
    squares = sum(p.square().sum().item() for p in sharing.trunks.parameters())
    assert penalty(sharing).item() == pytest.approx(2 * squares, rel=1e-5)  # Σ is I / 2
    shaken(sharing).begin_epoch(1)
    sigma = sharing.learnt()["relationship"]
    assert sigma.trace().item() == pytest.approx(1)
    flat = [torch.cat([p.flatten() for p in t.parameters()]) for t in sharing.trunks.values()]
    w = torch.stack(flat)
    expected = (w * (sigma.inverse() @ w)).sum()
    assert penalty(sharing).item() == pytest.approx(expected.item(), rel=1e-3)


def test_covariances_of_all_axes_are_updated_after_the_first_epoch() -> None:
    sharing = shaken(made("ab", penalty="tensor_normal", strength=1.0))
    sharing.begin_epoch(0)
    squares = sum(p.square().sum().item() for p in sharing.trunks.parameters())
    assert penalty(sharing).item() == pytest.approx(squares, rel=1e-5)  # all are I
    sharing.begin_epoch(1)
    expected = 0.0
    for weights in sharing._stacks():
        eyes = [torch.eye(size) for size in weights.shape]
        expected += tensor_normal_penalty(weights, axis_inverses(weights, eyes)).item()
    assert penalty(sharing).item() == pytest.approx(expected, rel=1e-4)


def test_learned_clusters_are_those_of_the_weights() -> None:
    sharing = made("abc", penalty="clustered", num_clusters=2, strength=1.0)
    for parameter in sharing.trunks["b"].parameters():
        parameter.data += 1
    fixed = made("abc", penalty="clustered", clusters=[["a", "c"], ["b"]], strength=1.0)
    fixed.load_state_dict(sharing.state_dict())
    assert penalty(sharing).item() != pytest.approx(penalty(fixed).item())
    sharing.begin_epoch(1)
    assert penalty(sharing).item() == pytest.approx(penalty(fixed).item())
    assert sharing.learnt()["clusters"].tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]


@pytest.mark.parametrize(
    "options",
    [
        {"penalty": "relationship"},
        {"penalty": "tensor_normal"},
        {"penalty": "clustered", "num_clusters": 2},
    ],
)
def test_what_an_epoch_began_with_is_restored(options: dict[str, Any]) -> None:
    sharing = shaken(made("abc", strength=1.0, **options))
    sharing.begin_epoch(1)
    resumed = made("abc", strength=1.0, **options)
    resumed.load_state_dict(sharing.state_dict())
    resumed.restore_epoch(sharing.epoch_state())
    assert penalty(resumed).item() == penalty(sharing).item()


def test_options_for_fewer_tasks() -> None:
    context = RunContext(tasks=("a", "b", "c"))
    options = {o.name: o.default for o in options_of(Soft)}
    given = {"edges": [["a", "b"], ["b", "c"]], "num_clusters": 2, "block": 2.5, "dimensions": 2}
    left = Soft.restricted_to({**options, **given}, ["a", "b"], context).options
    assert {name: left[name] for name in given} == {
        "edges": [["a", "b"]],
        "num_clusters": 1,
        "block": None,
        "dimensions": 1,
    }
    tree = {**options, "penalty": "tree", "tree": [["a", "c"], "b"]}
    left = Soft.restricted_to(tree, ["a", "b"], context).options
    assert left["tree"] == [["a"], "b"]


def test_a_graph_without_edges_and_a_weight_of_zero_are_told() -> None:
    context = RunContext(tasks=("a", "b"))
    options = {o.name: o.default for o in options_of(Soft)}
    (error,) = Soft.idle({**options, "penalty": "graph", "edges": []}, context)
    assert "at least one pair" in str(error)
    equal = {**options, "penalty": "clustered", "num_clusters": 1, "between": 1.0}
    (error,) = Soft.idle(equal, context)
    assert "equals `within`" in str(error)
    assert len([*Soft.notes({**options, "strength": 0.0}, context)]) == 1
    learned = {**options, "penalty": "clustered", "num_clusters": 2}
    assert len([*Soft.notes(learned, context)]) == 1


MISTAKES = {
    "tree: expected nested lists": {"penalty": "tree"},
    "tree: expected nested lists of tasks": {"penalty": "tree", "tree": []},
    "tree: 'b' is missing": {"penalty": "tree", "tree": ["a"]},
    "tree: 'a' occurs twice": {"penalty": "tree", "tree": [["a", "b"], "a"]},
    "unknown task 'y'": {"penalty": "graph", "edges": [["a", "y"]]},
    "edges: expected pairs of different": {"penalty": "graph", "edges": [["a", "a"]]},
    "num_clusters: expected less than the 2 tasks": {"penalty": "clustered", "num_clusters": 2},
    "dimensions: expected less than the 2 tasks, got 2": {"penalty": "subspace", "dimensions": 2},
    "block: expected less than the 2 tasks, got 2": {"penalty": "dirty", "block": 2.0},
    "clusters: expected groups of tasks .*, or": {
        "penalty": "clustered",
        "clusters": [["a"], ["b"]],
        "num_clusters": 1,
    },
    "clusters: expected groups of tasks": {"penalty": "clustered"},
    "clusters: has no effect unless penalty": {"penalty": "trace", "clusters": [["a", "b"]]},
    "unknown task 'x'; expected one of: a, b": {
        "penalty": "clustered",
        "clusters": [["a"], ["x"]],
    },
    "'a' occurs twice": {"penalty": "clustered", "clusters": [["a"], ["a", "b"]]},
    "'b' occurs twice": {"penalty": "clustered", "clusters": [["a"], ["b", "b"]]},
    "'b' is missing; expected every task once": {"penalty": "clustered", "clusters": [["a"]]},
}


@pytest.mark.parametrize(("message", "options"), MISTAKES.items())
def test_options_that_do_not_go_together(message: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=message):
        made(**options)


def test_the_cost_of_the_shared_part_is_above_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sharing\.block: expected a number above 1 or null"):
        trainer(tmp_path, TASKS, sharing={"type": "soft", "penalty": "dirty", "block": 1.0})


@pytest.mark.parametrize("name", ["soft", "shared_private"])
def test_one_task_alone_has_nothing_to_share(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"sharing: '{name}' cannot share with a single task"):
        trainer(tmp_path, {"pos": TASKS["pos"]}, sharing={"type": name})


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "options",
    [
        *({"penalty": name} for name in ("distance", "mean", "trace", "l1_l2", "l1_linf")),
        *({"penalty": name} for name in ("relationship", "dirty", "graph", "subspace")),
        {"penalty": "tree", "tree": [["pos"], "verb"]},
        {"penalty": "clustered", "num_clusters": 1},
        {"penalty": "tensor_normal", "strength": 1e-4},
    ],
    ids=lambda options: options["penalty"],
)
def test_every_penalty_trains_through_the_run_file(options: Any, tmp_path: Path) -> None:
    sharing = {"type": "soft", "strength": 0.01, **options}
    made = trainer(tmp_path, TASKS, sharing=sharing, epochs=4)
    first, *_, last = epochs_of(made.run())
    assert last.losses["pos"] < first.losses["pos"]


def test_a_run_writes_down_how_tasks_are_related(tmp_path: Path) -> None:
    sharing = {"type": "soft", "penalty": "relationship", "strength": 1e-5}
    *_, last = epochs_of(trainer(tmp_path, TASKS, sharing=sharing).run())
    found = last.learnt["sharing.relationship"]
    assert tuple(found.axes) == (["pos", "verb"], ["pos", "verb"])
    assert found.values.trace().item() == pytest.approx(1)
    assert (torch.linalg.eigvalsh(found.values) > 0).all()


def test_the_more_strength_the_nearer_trunks_stay(tmp_path: Path) -> None:
    distances = []
    for strength in (0.0, 0.01, 1.0):
        sharing = {"type": "soft", "strength": strength}
        made = trainer(tmp_path, TASKS, sharing=sharing, epochs=2)
        list(made.run())
        distances.append(distance(made.model.sharing))
    assert all(far > near for far, near in pairwise(distances))
