"""Copies of the features per domain against explicit feature augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from mtl.errors import ConfigError, OptionError
from mtl.experiment.subset import restricted_to
from mtl.sharing import EasyAdapt
from mtl.trunks import LSTMTrunk
from tests.contracts.variants import shaken
from tests.training.runs import epochs_of, prepared, trainer

X = torch.linspace(-2, 2, 96).sin().reshape(4, 6, 4).double()
MASK = torch.ones(4, 6, dtype=torch.bool)


def trunk() -> LSTMTrunk:
    return LSTMTrunk(4, hidden_size=3, bidirectional=False, dropout=0)


def features(sharing: EasyAdapt, task: str) -> np.ndarray:
    return sharing(X, MASK, [task])[task].layers[-1].detach().flatten(0, 1).numpy()


def test_daume_2007_a_linear_model_equals_one_on_augmented_features() -> None:
    """Ridge regression on the layers, against one on Φ written out from the trunk alone."""
    sharing = shaken(EasyAdapt(["news", "mail"], trunk))
    hidden = sharing.trunk(X, MASK)[0][-1].detach().flatten(0, 1).numpy()
    zero = np.zeros_like(hidden)
    source, target = (np.hstack(own) for own in ((hidden, hidden, zero), (hidden, zero, hidden)))
    y = np.random.default_rng(1).normal(size=2 * len(hidden))
    explicit = Ridge(alpha=0.3, fit_intercept=False).fit(np.vstack([source, target]), y)
    given = np.vstack([features(sharing, "news"), features(sharing, "mail")])
    found = Ridge(alpha=0.3, fit_intercept=False).fit(given, y)
    np.testing.assert_allclose(found.coef_, explicit.coef_)
    # The scores of a domain are those of the weights w + w_k.
    shared, *own = np.split(found.coef_, 3)
    for task, extra in zip(("news", "mail"), own, strict=True):
        np.testing.assert_allclose(
            found.predict(features(sharing, task)), hidden @ (shared + extra)
        )


def test_the_kernel_is_twice_as_large_within_a_domain() -> None:
    sharing = shaken(EasyAdapt(["a", "b", "c"], trunk, groups=[["a", "c"], ["b"]]))
    hidden = sharing.trunk(X, MASK)[0][-1].detach().flatten(0, 1).numpy()
    kernel = hidden @ hidden.T
    a, b, c = (features(sharing, task) for task in "abc")
    np.testing.assert_allclose(a @ c.T, 2 * kernel)
    np.testing.assert_allclose(a @ b.T, kernel)


def test_groups_name_every_task() -> None:
    with pytest.raises(OptionError, match="'b' is missing"):
        EasyAdapt(["a", "b"], trunk, groups=[["a"]])


def test_it_needs_a_shared_head_and_trains_with_one(tmp_path: Path) -> None:
    tasks = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb"}}
    with pytest.raises(ConfigError, match="sharing: 'easy_adapt' is for tasks that share a head"):
        trainer(tmp_path, tasks, sharing="easy_adapt")
    tasks = {"pos": {"use": "c/pos"}, "again": {"use": "c/pos", "head": "pos"}}
    groups = [["pos"], ["again"]]
    made = trainer(tmp_path, tasks, sharing={"type": "easy_adapt", "groups": groups}, epochs=4)
    first, *_, last = epochs_of(made.run())
    assert last.losses["pos"] < first.losses["pos"]


def test_tasks_with_heads_of_their_own_are_left_with_hard_sharing(tmp_path: Path) -> None:
    tasks = {"pos": {"use": "c/pos"}, "again": {"use": "c/pos", "head": "pos"}}
    tasks["verb"] = {"use": "c/verb"}
    groups = [["pos", "verb"], ["again"]]
    experiment, _ = prepared(tmp_path, tasks, sharing={"type": "easy_adapt", "groups": groups})
    found = {
        other: restricted_to(experiment.run, ["pos", other]).run.sharing.type
        for other in ("again", "verb")
    }
    assert found == {"again": "easy_adapt", "verb": "hard"}
