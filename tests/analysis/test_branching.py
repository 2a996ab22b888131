"""Branches of a trunk by affinity: the search of Lu et al. (2017) against all assignments."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from mtl.analysis.branching import widened
from mtl.experiment import load_config
from tests.cli.command import mtl as command
from tests.training.runs import corpus, prepared

TASKS = {"pos": {"use": "c/pos"}, "ner": {"use": "c/ner"}, "verb": {"use": "c/verb"}}
RELATE = ("--fast", "--epochs", "1", "--seeds", "1")


def drawn(tasks: str, seed: int) -> dict[tuple[str, str], float]:
    generator = np.random.default_rng(seed)
    found = {}
    for one, other in permutations(tasks, 2):
        found[one, other] = found.get((other, one), generator.uniform(-0.5, 0.5))
    return found


def cost_of(labels: tuple[int, ...], between: np.ndarray, cost: float) -> float:
    groups = [np.flatnonzero(np.array(labels) == g) for g in sorted(set(labels))]
    within = [between[np.ix_(g, g)].min(1).mean() for g in groups]
    return (len(groups) - 1) * cost + 1 - float(np.mean(within))


@pytest.mark.parametrize("cost", [0.05, 0.2])
@pytest.mark.parametrize("seed", range(4))
def test_lu_2017_no_other_groups_of_branches_are_cheaper(seed: int, cost: float) -> None:
    tasks, affinities = "abcde", drawn("abcde", seed)
    matrix = np.array([[0.5 + affinities.get((i, j), 0.5) for j in tasks] for i in tasks])
    branches = [[n] for n in range(5)]
    for above, layer in enumerate(reversed(widened(tasks, affinities, 3, cost))):
        one_way = np.array(
            [[np.mean([matrix[i, m].min() for i in k]) for m in branches] for k in branches]
        )
        between, own_cost = (one_way + one_way.T) / 2, cost * 2**above
        others = product(range(len(branches)), repeat=len(branches))
        group_of = {task: n for n, group in enumerate(layer) for task in group}
        found = tuple(group_of[tasks[own[0]]] for own in branches)
        best = min(cost_of(labels, between, own_cost) for labels in others)
        assert cost_of(found, between, own_cost) == pytest.approx(best, abs=1e-9)
        assert all(len({group_of[tasks[i]] for i in own}) == 1 for own in branches)
        branches = [[tasks.index(task) for task in group] for group in layer]


def test_the_cost_decides_how_early_a_trunk_divides() -> None:
    affinities = {("a", "b"): 0.4, ("b", "a"): 0.4}
    assert widened("abc", affinities, 2, 0.0) == [[["a"], ["b"], ["c"]]] * 2
    assert widened("abc", affinities, 2, 0.1) == [[["a", "b"], ["c"]]] * 2
    assert widened("abc", affinities, 2, 0.25) == [[["a", "b", "c"]], [["a", "b"], ["c"]]]
    assert widened("abc", affinities, 2, 1.0) == [[["a", "b", "c"]]] * 2


def test_many_tasks_are_merged_greedily() -> None:
    tasks = "abcdefghijkl"
    affinities = {
        (i, j): 0.45 if (i < "g") == (j < "g") else -0.4 for i, j in permutations(tasks, 2)
    }
    assert widened(tasks, affinities, 1, 0.02) == [[[*"abcdef"], [*"ghijkl"]]]


@pytest.mark.slow
def test_the_command_writes_a_run_file(tmp_path: Path) -> None:
    prepared(tmp_path, TASKS, {"c": corpus(tmp_path, "c", 12)})
    run, file = str(tmp_path / "run.yaml"), tmp_path / "branches.yaml"
    options = ("--affinity", "difficulty", "--branches", str(file), "--branch-cost", "0")
    place = ("--output", str(tmp_path / "out"))
    found = command("relate", run, "trunk.hidden_size=4", *RELATE, *options, *place)
    assert found.code == 0, found.err
    assert "branches of layer 1, by affinity: ner; pos; verb" in found.out
    made = load_config(file)
    assert made.sharing.type == "branches"
    assert made.sharing.options["by_layer"] == [[["ner"], ["pos"], ["verb"]]] * 2
    assert made.trunk.options["hidden_size"] == 4
    assert "extends: run.yaml" in file.read_text(encoding="utf-8")


def test_branches_need_affinities_by_difficulty_and_layers(tmp_path: Path) -> None:
    prepared(tmp_path, {"verb": TASKS["verb"], "pair": TASKS["verb"]})
    run, file = str(tmp_path / "run.yaml"), str(tmp_path / "branches.yaml")
    for options, message in (
        (("--branches", file), "expected --affinity difficulty"),
        (("--branch-cost", "1"), "expected --branches FILE"),
        (("--branches", file, "--affinity", "difficulty", "trunk=none"), "no layers"),
    ):
        found = command("relate", run, *options, "--output", str(tmp_path / "out"))
        assert found.code == 2
        assert message in found.err
