"""Moments of batch normalisation for averaged weights, against their definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtl.layers import MaskedBatchNorm
from tests.training.runs import steps_of, trainer

TASKS = {"verb": {"use": "c/verb", "head": {"type": "cnn", "batch_norm": True, "widths": [2]}}}


def test_averaged_weights_have_the_moments_of_a_pass_over_the_data(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, average=0.9, epochs=2)
    list(made.run())
    (norm,) = (own for own in made.model.modules() if isinstance(own, MaskedBatchNorm))
    raw = norm.running_mean.clone()
    seen: list[tuple[Tensor, Tensor]] = []

    def read(module: Any, inputs: tuple[Tensor, Tensor]) -> None:
        x, real = inputs
        seen.append((x.mT[real.squeeze(1)].double().mean(0), x.mT[real.squeeze(1)].double().var(0)))

    with made.average.applied(), norm.register_forward_pre_hook(read), torch.no_grad():
        loader = made.loaders["c"]
        for index in range(loader.size):
            made.model.eval()(loader.batch(made.batcher, 0, index, ["verb"]))
        mean, var = (torch.stack(own).mean(0).float() for own in zip(*seen, strict=True))
        torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(norm.running_var, var, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(norm.running_mean, raw, rtol=1e-2)
    assert torch.equal(norm.running_mean, raw)
    assert norm.momentum == 0.1


def test_they_do_not_change_the_training(tmp_path: Path) -> None:
    with_it, without = (
        [step.losses for step in steps_of(trainer(tmp_path, TASKS, average=own, epochs=2).run())]
        for own in (0.9, None)
    )
    assert with_it == without
