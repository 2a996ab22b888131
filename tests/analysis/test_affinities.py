"""Affinities are relative changes of losses; groups have the largest sum of affinities."""

from __future__ import annotations

import copy
import json
from itertools import combinations, permutations
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from mtl.analysis.affinities import EXHAUSTIVE, agreement, best_groups, read_affinities
from mtl.analysis.relations import _affinities
from mtl.training.log import RunLog
from mtl.training.objective import mean_loss
from mtl.training.trainer import Trainer
from tests.training.runs import trainer

TASKS = {"pos": {"use": "c/pos"}, "ner": {"use": "c/ner"}, "verb": {"use": "c/verb", "weight": 0.5}}
NO_DROPOUT = {"type": "lstm", "hidden_size": 8, "num_layers": 1}


def losses(made: Trainer) -> dict[str, torch.Tensor]:
    """The losses of the first batch."""
    batch = made.loaders["c"].batch(made.batcher, 0, 0, list(TASKS))
    output = made.model(batch)
    return {task: mean_loss(output, batch, task, 1.0) for task in TASKS}


def test_affinities_are_the_changes_by_small_steps(tmp_path: Path) -> None:
    """The formula of the paper: losses before and after a step of one task, in double precision."""
    made = trainer(tmp_path, TASKS, trunk=NO_DROPOUT, optimizer={"type": "sgd", "lr": 1e-4})
    made.model.double().eval()  # words are dropped in training
    first = copy.deepcopy(made)
    step = first._step(first._parts(next(iter(first.sampler.epoch(0))), set()), 0)
    with RunLog(tmp_path) as log:
        log.write(step)
    expected = {}
    for other in TASKS:
        moved = copy.deepcopy(made)
        before = losses(moved)
        before[other].backward()
        with torch.no_grad():
            for parameter in moved.model.shared_parameters():
                if parameter.grad is not None:
                    parameter -= step.lr * parameter.grad
            after = losses(moved)
        for task in TASKS:
            expected[task, other] = 1 - (after[task] / before[task]).item()
    found = read_affinities(tmp_path, list(TASKS))
    assert set(found) == set(permutations(TASKS, 2))
    for pair, affinity in found.items():
        assert affinity == pytest.approx(expected[pair], rel=2e-3), pair


def test_affinities_are_means_over_the_steps_with_both_tasks(tmp_path: Path) -> None:
    records = [
        {"losses": {"a": 2.0, "b": 0.5}, "lr": 0.1, "norms": {"a": 1.0, "b": 3.0}, "cosine": 0.5},
        {"losses": {"a": 1.0, "b": 1.0}, "lr": 0.2, "norms": {"a": 2.0, "b": 1.0}, "cosine": -1.0},
        {"losses": {"a": 1.0}, "lr": 0.2, "norms": None, "cosine": None},
    ]
    lines = []
    for step, own in enumerate(records):
        gradients = own["norms"] and {
            "norms": own.pop("norms"),
            "cosines": {"a": {"b": own.pop("cosine")}},
        }
        lines.append(
            json.dumps({"type": "step", "epoch": 0, "step": step, **own, "gradients": gradients})
        )
    (tmp_path / "run.yaml").touch()
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    found = read_affinities(tmp_path, ["a", "b", "c"])
    products = [0.1 * 0.5 * 1 * 3, 0.2 * -1 * 2 * 1]
    assert found == pytest.approx(
        {
            ("a", "b"): fmean([products[0] / 2, products[1] / 1]),
            ("b", "a"): fmean([products[0] / 0.5, products[1] / 1]),
        }
    )


def test_agreement_is_the_mean_of_kendalls_tau_over_tasks() -> None:
    random = np.random.default_rng(1)
    tasks = list("abcde")
    gains = {pair: random.normal() for pair in permutations(tasks, 2)}
    affinities = {pair: gain + random.normal() for pair, gain in gains.items()}
    expected = fmean(
        kendalltau(*([own[t, o] for o in tasks if o != t] for own in (gains, affinities))).statistic
        for t in tasks
    )
    assert agreement(gains, affinities) == pytest.approx(expected)
    assert agreement(gains, gains) == 1
    assert agreement(gains, {pair: -gain for pair, gain in gains.items()}) == -1


def test_two_tasks_have_no_order_of_others() -> None:
    gains = {("a", "b"): 1.0, ("b", "a"): 2.0}
    assert agreement(gains, gains) is None
    assert agreement({}, gains) is None


def value(group: tuple[str, ...], affinities: dict[tuple[str, str], float]) -> float:
    return sum(
        fmean(affinities[task, other] for other in group if other != task)
        for task in group
        if len(group) > 1
    )


@pytest.mark.parametrize("most", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_no_other_groups_have_a_larger_sum(most: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    tasks = list("abcde")
    affinities = {pair: random.normal() for pair in permutations(tasks, 2)}
    # Every assignment of five tasks to so many groups, whether or not they are equal.
    largest = max(
        sum(
            value(tuple(t for t, g in zip(tasks, own, strict=True) if g == number), affinities)
            for number in range(most)
        )
        for own in np.ndindex(*[most] * len(tasks))
    )
    found = best_groups(tasks, affinities, most)
    assert len(found) <= most
    assert sorted(task for group in found for task in group) == tasks
    assert sum(value(tuple(group), affinities) for group in found) == pytest.approx(largest)


def test_tasks_that_hinder_each_other_are_alone() -> None:
    affinities = dict.fromkeys(permutations("abc", 2), -1.0)
    assert best_groups("abc", affinities, 3) == [["a"], ["b"], ["c"]]
    affinities["a", "c"] = affinities["c", "a"] = 1.0
    assert best_groups("abc", affinities, 3) == [["a", "c"], ["b"]]


@pytest.mark.parametrize("most", [1, 3, 12])
def test_many_tasks_are_merged(most: int) -> None:
    """Three clear clusters of four tasks."""
    tasks = [f"{cluster}{i}" for i in range(4) for cluster in "xyz"]
    assert len(tasks) > EXHAUSTIVE
    affinities = {}
    for a, b in combinations(tasks, 2):
        affinities[a, b] = affinities[b, a] = 1.0 if a[0] == b[0] else -1.0
    clusters = [[f"{cluster}{i}" for i in range(4)] for cluster in "xyz"]
    assert best_groups(tasks, affinities, most) == ([tasks] if most == 1 else clusters)


def test_pairs_that_a_seed_did_not_measure_have_no_affinity(tmp_path: Path) -> None:
    folders = []
    for seed, others in enumerate([["b", "c"], ["b"]]):
        losses = dict.fromkeys(["a", *others], 1.0)
        cosines = {"a": dict.fromkeys(others, 0.5)}
        step = {"type": "step", "epoch": 0, "step": 0, "lr": 0.1, "losses": losses}
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / "run.yaml").touch()
        step["gradients"] = {"norms": losses, "cosines": cosines}
        (folder / "metrics.jsonl").write_text(json.dumps(step) + "\n")
        folders.append(folder)
    found = _affinities("gradients", folders, ["a", "b", "c"], {}, trust=False)
    assert found.keys() == {("a", "b"), ("b", "a")}
