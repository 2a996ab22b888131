"""Affinities from difficult sentences: counts of the paper's events are the oracle."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

import mtl
from mtl.analysis.difficulty import difficulty_affinities, sentence_losses
from tests.cli.command import mtl as command
from tests.training.runs import corpus, prepared

TASKS = {"pos": {"use": "c/pos"}, "ner": {"use": "c/ner"}, "verb": {"use": "c/verb"}}


def test_affinities_count_the_sentences_on_which_tasks_agree() -> None:
    losses = {task: np.random.default_rng(n).exponential(size=40) for n, task in enumerate("ab")}
    losses["a"][:5] = np.nan
    a, b = (own[5:] for own in losses.values())
    events = [(x > a.mean(), y > b.mean()) for x, y in zip(a, b, strict=True)]
    shares = {pair: events.count(pair) / 35 for pair in product([True, False], repeat=2)}
    same = shares[True, True] + shares[False, False]
    p = shares[True, True] + shares[True, False]
    q = shares[True, True] + shares[False, True]
    found = difficulty_affinities([losses, {"c": np.ones(3)}])
    expected = same - p * q - (1 - p) * (1 - q)
    assert found == pytest.approx({("a", "b"): expected, ("b", "a"): expected})
    assert expected == pytest.approx(2 * np.cov(a > a.mean(), b > b.mean(), ddof=0)[0, 1])


def test_equal_tasks_agree_most_and_opposite_ones_least() -> None:
    losses = {"a": np.array([0.0, 1.0, 0.0, 1.0]), "b": np.array([1.0, 0.0, 1.0, 0.0])}
    assert difficulty_affinities([{**losses, "c": losses["a"]}]) == {
        ("a", "b"): -0.5, ("b", "a"): -0.5, ("a", "c"): 0.5,
        ("c", "a"): 0.5, ("b", "c"): -0.5, ("c", "b"): -0.5,
    }  # fmt: skip


def test_losses_are_those_of_the_dev_sentences_per_label(tmp_path: Path) -> None:
    experiment, corpora = prepared(tmp_path, TASKS, {"c": corpus(tmp_path, "c", 12)}, epochs=1)
    mtl.train(tmp_path / "run.yaml", output=tmp_path / "run", progress=False)
    model = mtl.load(tmp_path / "run", device="cpu")
    (found,) = sentence_losses(model, corpora, list(TASKS))
    (network,) = model.networks
    expected: dict[str, list[float]] = {task: [] for task in TASKS}
    for example in corpora["c"].splits["dev"]:
        losses = network.eval()(experiment.batcher.batch([example], list(TASKS))).losses
        for task, own in losses.items():
            expected[task].append(own.item() / (1 if task == "verb" else len(example.tokens)))
    for task, values in expected.items():
        assert sorted(found[task]) == pytest.approx(sorted(values), rel=1e-4)


@pytest.mark.slow
def test_the_command_prints_and_uses_them(tmp_path: Path) -> None:
    two = {name: corpus(tmp_path, name, 12) for name in "cd"}
    prepared(tmp_path, {**TASKS, "other": {"use": "d/pos"}}, two)
    options = ("--fast", "--epochs", "1", "--seeds", "1", "--affinity", "difficulty")
    place = ("--output", str(tmp_path / "out"))
    found = command("relate", str(tmp_path / "run.yaml"), *options, "--groups", "2", *place)
    assert found.code == 0, found.err
    assert "agreement of two tasks on the difficult sentences above chance" in found.out
    assert "groups to train together, by affinity" in found.out
    prepared(tmp_path, {"pos": TASKS["pos"], "other": {"use": "d/pos"}}, two)
    found = command("relate", str(tmp_path / "run.yaml"), *options, "--output", f"{tmp_path}/two")
    assert found.code == 2
    assert "affinities by difficulty need sentences with labels of two tasks" in found.err
    assert not (tmp_path / "two").exists()  # it ends before the first training


def test_no_common_sentences_are_no_affinity() -> None:
    assert not difficulty_affinities([{"a": np.ones(2)}, {"b": np.ones(2)}])
    missing = np.array([np.nan, 1.0])
    assert not difficulty_affinities([{"a": missing, "b": missing[::-1]}])
