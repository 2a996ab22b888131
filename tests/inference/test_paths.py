"""The most probable label sequences against the enumeration of all of them."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from mtl.errors import MtlError
from mtl.inference.paths import best_paths
from mtl.text.example import Example
from tests.training.runs import prepared

SENTENCES = [Example(("the", "cat", "sat")), Example(("Ada",)), Example(("a", "dog"))]


@pytest.mark.parametrize("task", ["pos", "ner"])
def test_paths_and_probabilities_are_those_of_all_sequences(tmp_path: Path, task: str) -> None:
    experiment, _ = prepared(tmp_path, {task: {"use": f"c/{task}"}})
    head = experiment.model.head(task)
    labels, found = best_paths(experiment.predictor, SENTENCES, task, 4)
    assert labels == list(head.labels)
    experiment.model.eval()
    for example, (paths, log_probs) in zip(SENTENCES, found, strict=True):
        batch = experiment.batcher.batch([example])
        hidden = experiment.model.encode(batch, [task]).hidden[task]
        every = list(product(range(len(labels)), repeat=len(example)))
        with torch.no_grad():
            nats = [head.loss(hidden, batch.mask, torch.tensor([path])).item() for path in every]
        best = sorted(range(len(every)), key=nats.__getitem__)[:4]
        exist = min(4, len(every))
        assert [tuple(path) for path in paths[:exist].tolist()] == [every[i] for i in best]
        expected = [-nats[i] for i in best] + [-np.inf] * (4 - exist)
        np.testing.assert_allclose(log_probs, expected, rtol=1e-4, atol=1e-5)
        assert all((path == paths[0]).all() for path in paths[exist:])


def test_long_sentences_have_no_path(tmp_path: Path) -> None:
    experiment, _ = prepared(tmp_path, {"pos": {"use": "c/pos"}}, max_length=2, overlap=0)
    _, found = best_paths(experiment.predictor, SENTENCES, "pos", 2)
    assert [np.isfinite(log_probs).any() for _, log_probs in found] == [False, True, True]
    assert [paths.shape for paths, _ in found] == [(2, 3), (2, 1), (2, 2)]


def test_classifiers_have_no_paths(tmp_path: Path) -> None:
    experiment, _ = prepared(tmp_path, {"verb": {"use": "c/verb"}})
    with pytest.raises(MtlError, match="task 'verb': has no label sequences"):
        best_paths(experiment.predictor, SENTENCES, "verb", 2)


def test_a_number_below_one_is_refused(tmp_path: Path) -> None:
    experiment, _ = prepared(tmp_path, {"pos": {"use": "c/pos"}})
    with pytest.raises(MtlError, match="number: expected a whole number of at least 1, got 0"):
        best_paths(experiment.predictor, SENTENCES, "pos", 0)
