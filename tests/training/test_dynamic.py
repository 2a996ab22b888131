"""Dynamic evaluation (Krause et al. 2017), against the same steps made by hand."""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path

import pytest
import torch

from mtl.experiment import make_trainer
from mtl.experiment.loaders import make_loader
from mtl.metrics import Perplexity
from mtl.training.dynamic import Dynamic
from mtl.training.likelihood import measure
from mtl.trunks.base import mapped
from tests.training.texts import NEXT, language_model, text_corpus


def loader(experiment, corpus):
    return make_loader(
        experiment.run, corpus, "dev", ["next"], batcher=experiment.batcher, streams=2
    )


def perplexity(experiment, split, **given):
    batches = loader(experiment, split)
    metrics = {"next": Perplexity}
    found = measure(experiment.model, experiment.batcher, batches, metrics, **given)
    return found.scores()["next"]["perplexity"]


@pytest.mark.parametrize("dynamic", [Dynamic(0.05, 0.1, True), Dynamic(0.01, 0.2)], ids=str)
def test_each_piece_is_scored_before_it_is_learnt(tmp_path: Path, dynamic: Dynamic) -> None:
    experiment, corpora = language_model(tmp_path, {"type": "lstm"}, {"next": NEXT})
    model = deepcopy(experiment.model).eval()
    batches = loader(experiment, corpora["t"])
    start, squares = [p.detach().clone() for p in model.parameters()], []
    state, nats, words = model.sharing.initial_state(2), 0.0, 0
    for index in range(batches.size):
        batch = batches.batch(experiment.batcher, 0, index, ["next"])
        output = model(batch, state)
        state = mapped(output.state, torch.Tensor.detach)
        nats, words = nats + output.losses["next"].sum().item(), words + batch.tokens
        model.zero_grad()
        (output.losses["next"].sum() / batch.tokens).backward()
        squares.append([p.grad**2 for p in model.parameters()])
        roots = [(sum(own) / len(own)).sqrt() for own in zip(*squares, strict=True)]
        mean = torch.cat([root.flatten() for root in roots]).mean()
        for p, first, root in zip(model.parameters(), start, roots, strict=True):
            if dynamic.plain:
                new, decay = p.data - dynamic.lr * p.grad, torch.tensor(dynamic.decay)
            else:
                new, decay = (
                    p.data - dynamic.lr * p.grad / (root + 1e-5),
                    dynamic.decay * root / mean,
                )
            p.data = new + decay.clamp(max=1) * (first - new)
    found = perplexity(experiment, corpora["t"], dynamic=dynamic)
    assert found == pytest.approx(math.exp(nats / words), rel=1e-9)


def test_the_trained_weights_are_back_afterwards(tmp_path: Path) -> None:
    experiment, corpora = language_model(tmp_path, {"type": "gru"}, {"next": NEXT})
    before = {name: value.clone() for name, value in experiment.model.state_dict().items()}
    first = perplexity(experiment, corpora["t"], dynamic=Dynamic(0.1))
    after = experiment.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert perplexity(experiment, corpora["t"], dynamic=Dynamic(0.1)) == first
    assert first != perplexity(experiment, corpora["t"])


def test_weights_are_back_after_an_error_too(tmp_path: Path) -> None:
    experiment, _ = language_model(tmp_path, {"type": "gru"}, {"next": NEXT})
    weight = next(experiment.model.parameters())
    before = weight.detach().clone()
    adapting = Dynamic(0.1).adapting(experiment.model)
    step = adapting.__enter__()
    step((experiment.model.head("next").output.embedding ** 2).sum())
    assert not torch.equal(weight, before)
    stop = KeyboardInterrupt()
    assert not adapting.__exit__(type(stop), stop, None)
    assert torch.equal(weight, before)


@pytest.mark.parametrize("plain", [False, True])
def test_a_text_of_another_kind_is_learnt_as_it_is_read(plain: bool, tmp_path: Path) -> None:
    experiment, corpora = language_model(tmp_path, {"type": "lstm"}, {"next": NEXT}, epochs=2)
    list(make_trainer(experiment, corpora).run())
    text_corpus(tmp_path, "t")
    plainly = perplexity(experiment, corpora["t"])
    lr = 0.5 if plain else 0.01
    assert perplexity(experiment, corpora["t"], dynamic=Dynamic(lr, 0.0, plain)) < plainly
