"""Trunks whose weights are factored over the tasks."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.func import functional_call

from mtl.errors import ConfigError, MtlError
from mtl.export.program import export_program
from mtl.sharing import TensorFactorisation
from mtl.trunks import GRUTrunk, LSTMTrunk, QRNNTrunk
from tests.contracts.variants import shaken
from tests.training.runs import RUN, epochs_of, prepared, trainer

TASKS = ["a", "b", "c"]
TRAINED = {name: {"use": f"c/{name}"} for name in ("pos", "ner", "verb")}
MASK = torch.arange(5) < torch.tensor([[5], [3]])
X = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)).double() * MASK[..., None]
FACTORS = ["last_axis", "tucker", "tensor_train"]
factors = pytest.mark.parametrize("factors", FACTORS)
SHAPE: dict[str, Any] = {"num_layers": 2, "hidden_size": 3, "learned_start": True}


@factors
@pytest.mark.parametrize("cls", [LSTMTrunk, GRUTrunk, QRNNTrunk])
def test_at_full_rank_it_starts_as_trunks_of_their_own(cls: Any, factors: Any) -> None:
    trunks = [shaken(cls(4, **SHAPE)) for _ in TASKS]
    given = iter(deepcopy(trunks))
    sharing = TensorFactorisation(TASKS, lambda: next(given), factors=factors, rank=1.0).eval()
    found = sharing(X, MASK, TASKS, sharing.initial_state(2))
    for task, trunk in zip(TASKS, trunks, strict=True):
        layers, state = trunk(X, MASK, trunk.initial_state(2))
        torch.testing.assert_close(found[task].layers, layers)
        torch.testing.assert_close(found[task].state[task], state)


def test_kumar_daume_2012_codes_are_sparse_and_bases_small() -> None:
    options: dict[str, Any] = {"factors": "last_axis", "sparsity": 0.5, "bases": 0.1}
    sharing = shaken(TensorFactorisation(TASKS, lambda: LSTMTrunk(4, **SHAPE), **options))
    assert not sharing(X, MASK, ["a"])["a"].penalties  # in evaluation
    expected = 0.0
    for stack in sharing.stacks:
        (bases,) = stack.parts
        expected += 0.5 * stack.mix.detach().abs().sum() + 0.1 * bases.detach().norm() ** 2
    for encoded in sharing.train()(X, MASK, TASKS).values():
        torch.testing.assert_close(encoded.penalties["codes"].detach(), expected)


def test_a_weight_of_bases_without_sparse_codes_is_refused() -> None:
    with pytest.raises(ValueError, match="bases: has no effect unless sparsity is set"):
        TensorFactorisation(TASKS, lambda: LSTMTrunk(4), bases=0.1)


def test_in_a_run_codes_become_small(tmp_path: Path) -> None:
    sums = []
    for sparsity in (0.0, 0.1):
        sharing = {"type": "tensor", "factors": "last_axis", "sparsity": sparsity}
        made = trainer(tmp_path, TRAINED, sharing=sharing, epochs=4)
        list(made.run())
        sums.append(sum(s.mix.abs().sum().item() for s in made.model.sharing.stacks))
    assert sums[1] < 0.5 * sums[0]


@factors
@pytest.mark.parametrize("cls", [LSTMTrunk, GRUTrunk, QRNNTrunk])
def test_a_task_runs_with_the_weights_that_the_factors_make(cls: Any, factors: Any) -> None:
    sharing = shaken(TensorFactorisation(TASKS, lambda: cls(4, **SHAPE), factors=factors))
    stacks = {n: s() for n, s in zip(sharing.names, sharing.stacks, strict=True)}
    for m, task in enumerate(TASKS):
        weights = {name: stack[m] for name, stack in stacks.items()}
        expected, _ = functional_call(shaken(cls(4, **SHAPE)), weights, (X, MASK))
        torch.testing.assert_close(sharing(X, MASK, [task])[task].layers, expected)


def test_tasks_of_one_base_are_multiples_of_each_other() -> None:
    sharing = TensorFactorisation(TASKS, lambda: LSTMTrunk(4, hidden_size=3), rank=0.3)
    for stack in sharing.stacks:
        assert torch.linalg.matrix_rank(stack().detach().flatten(1)) <= 1  # zeros have rank 0


@factors
def test_the_lower_the_rank_the_fewer_the_weights(factors: Any) -> None:
    counts = []
    for rank in (0.25, 0.5):
        sharing = TensorFactorisation(
            list("abcd"), lambda: LSTMTrunk(8, hidden_size=8), factors=factors, rank=rank
        )
        counts.append(sum(p.numel() for p in sharing.parameters()))
    own = 4 * sum(p.numel() for p in LSTMTrunk(8, hidden_size=8).parameters())
    assert counts[0] < counts[1] < own


def test_it_can_be_copied_after_a_step() -> None:
    sharing = TensorFactorisation(TASKS, lambda: LSTMTrunk(4, hidden_size=3)).double()
    sharing(X, MASK, TASKS)["a"].layers[-1].sum().backward()
    copied = deepcopy(sharing).eval()
    expected = sharing.eval()(X, MASK, ["b"])["b"].layers
    torch.testing.assert_close(copied(X, MASK, ["b"])["b"].layers, expected)


def test_what_was_learnt_are_the_cosines_of_tasks() -> None:
    sharing = TensorFactorisation(TASKS, lambda: LSTMTrunk(4, hidden_size=3))
    weights = torch.cat([stack().flatten(1) for stack in sharing.stacks], dim=1)
    expected = torch.cosine_similarity(weights[0], weights[1], dim=0)
    torch.testing.assert_close(sharing.learnt()["cosine"][0, 1], expected)
    assert sharing.axes() == {"cosine": (TASKS, TASKS)}


MISTAKES: dict[str, dict[str, Any]] = {
    "sharing.rank": {"sharing": {"type": "tensor", "rank": 1.5}},
    "sharing: 'tensor' cannot share with a single task": {"tasks": {"pos": TRAINED["pos"]}},
    "trunk.init: the sharing 'tensor'": {"trunk": {**RUN["trunk"], "init": "wikitext2"}},
    "training.fine_tuning: the sharing 'tensor'": {"fine_tuning": {"frozen": ["trunk"]}},
}


@pytest.mark.parametrize(("message", "changes"), MISTAKES.items())
def test_mistakes_are_told_before_training(
    message: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    options = {"tasks": TRAINED, "sharing": "tensor", **changes}
    with pytest.raises(ConfigError, match=message):
        prepared(tmp_path, **options)


def test_what_has_no_weights_of_its_own_is_not_exported(tmp_path: Path) -> None:
    experiment, _ = prepared(tmp_path, TRAINED, sharing="tensor")
    with pytest.raises(MtlError, match="TensorFactorisation: cannot be exported"):
        export_program(experiment.model, experiment.batcher, ["pos"])


@pytest.mark.sampled(3)
@factors
def test_a_run_trains(factors: str, tmp_path: Path) -> None:
    sharing = {"type": "tensor", "factors": factors, "rank": 0.6}
    first, *_, last = epochs_of(trainer(tmp_path, TRAINED, sharing=sharing, epochs=10).run())
    assert sum(last.losses.values()) < 0.7 * sum(first.losses.values())
    assert last.learnt["sharing.cosine"].values.shape == (3, 3)
