"""Batches of several corpora: the sums over separate batches are the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.errors import ConfigError
from mtl.layers.domain_distance import mmd_distance
from mtl.layers.sequence import pool
from mtl.training.trainer import Trainer
from tests.training.runs import RUN, corpus, prepared, steps_of, trainer

POOL = {"type": "pool", "pooling": "mean", "dropout": 0.0}
TASKS = {
    "pos": {"use": "c/pos"},
    "kind": {"use": "c/verb", "head": POOL},
    "ner": {"use": "d/ner"},
    "other": {"use": "d/verb", "head": "kind"},
}
TRUNK = {**RUN["trunk"], "dropout": 0.0}
DISTANCE = {"type": "domain_distance", "strength": 0.5, "dropout": 0.0}


def texts(folder: Path, **changes: Any) -> dict[str, Any]:
    """Two corpora with other sentences, one with twice as many."""
    return {"c": corpus(folder, "c", 24, **changes), "d": corpus(folder, "d", 12, first=50)}


def made(folder: Path, one_batch: bool, tasks: Any = TASKS, **options: Any) -> Trainer:
    corpora = options.pop("corpora", None) or texts(folder)
    given = {"trunk": TRUNK, "epochs": 2, "average": None, **options}
    mixing = {"type": "joint", "one_batch": one_batch}
    return trainer(folder, tasks, corpora, mixing=mixing, **given)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"accumulate": 2},
        {"sharing": "none"},
        {"sharing": "mmoe"},
        {"loss_unit": "sentence"},
        {"trunk": {**TRUNK, "corpus_dim": 3}},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_a_mixed_batch_trains_like_separate_batches(
    options: dict[str, Any], tmp_path: Path
) -> None:
    """Losses, gradients and later steps are equal, for one or for several divisors."""
    apart, together = (
        steps_of(made(tmp_path, one_batch, **options).run()) for one_batch in (False, True)
    )
    assert len(apart) == len(together)
    for one, other in zip(apart, together, strict=True):
        assert other.tokens == one.tokens
        assert other.losses == pytest.approx(one.losses, rel=1e-4)
        assert other.grad_norm == pytest.approx(one.grad_norm, rel=1e-4)
        assert other.total == pytest.approx(one.total, rel=1e-4)


def test_sentences_without_a_label_have_no_loss(tmp_path: Path) -> None:
    """A task with labels for a part of its sentences, in a batch with another corpus."""
    apart, together = (
        steps_of(made(tmp_path, one, corpora=texts(tmp_path, verb=20)).run())
        for one in (False, True)
    )
    for one, other in zip(apart, together, strict=True):
        assert other.losses == pytest.approx(one.losses, rel=1e-4)


def test_the_loss_is_the_sum_over_sentences_divided_by_the_same_numbers(tmp_path: Path) -> None:
    found = made(tmp_path, True)
    model = found.model.double().eval()
    draws = next(iter(found.sampler.epoch(0)))
    ((name, mixed),) = found._parts(draws, set())[0].items()
    assert (name, mixed.mixed) == ("c", True)
    output = model(mixed)
    rows = 0
    for draw in draws:
        tasks = found.tasks[draw.corpus]
        batch = found.loaders[draw.corpus].batch(found.batcher, 0, draw.index, tasks)
        own = slice(rows, rows := rows + len(batch.mask))
        for task, losses in model(batch).losses.items():
            torch.testing.assert_close(output.losses[task][own], losses)
            others = torch.cat([output.losses[task][: own.start], output.losses[task][own.stop :]])
            assert not others.any()


def test_the_distance_is_between_the_sentences_of_all_corpora(tmp_path: Path) -> None:
    tasks = {**TASKS, "kind": {"use": "c/verb", "head": DISTANCE}}
    found = made(tmp_path, True, tasks)
    model, distances = found.model.double(), []
    for draws in found.sampler.epoch(0):
        (mixed,) = found._parts(draws, set())[0].values()
        pooled, labels, plain = [], [], {}
        for draw, task in zip(draws, ("kind", "other"), strict=True):
            batch = found.loaders[draw.corpus].batch(found.batcher, draw.epoch, draw.index, [task])
            hidden = model.eval().encode(batch, [task]).hidden[task]
            pooled.append(pool(hidden, batch.mask, "mean"))
            labels.append(batch.targets[task])
            plain[task] = model(batch).losses[task]
        distances.append(0.5 * mmd_distance(torch.cat(pooled), torch.cat(labels)))
        losses = model.train()(mixed).losses
        for task, expected in plain.items():
            own: Tensor = losses[task][losses[task] != 0]
            torch.testing.assert_close(own, expected + distances[-1], rtol=1e-5, atol=1e-6)
    assert max(distances) > 0


ADVERSARY = {"type": "shared_private", "adversary": 0.1}


@pytest.mark.parametrize(
    ("tasks", "options", "message"),
    [
        ({"pos": TASKS["pos"]}, {}, r"training.mixing: one_batch has no effect with a single"),
        (TASKS, {"sharing": ADVERSARY}, r"sharing.adversary: is computed from batches of one"),
    ],
)
def test_parts_that_need_batches_of_one_corpus_refuse_it(
    tasks: dict[str, Any], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    corpora = {name: own for name, own in texts(tmp_path).items() if len(tasks) > 1 or name == "c"}
    mixing = {"type": "joint", "one_batch": True}
    with pytest.raises(ConfigError, match=message):
        prepared(tmp_path, tasks, corpora, mixing=mixing, **options)
