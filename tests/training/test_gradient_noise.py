"""Noise on gradients, and the limit of single gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from mtl.errors import ConfigError
from mtl.training.gradients import GradientNoise
from mtl.training.trainer import Trainer
from tests.training.runs import trainer
from tests.training.test_accumulate import check_parts
from tests.training.test_processes import compared
from tests.training.test_state import check_resumed

POS = {"pos": {"use": "c/pos"}}
SGD = {"type": "sgd", "lr": 1.0}


def moved(folder: Path, **training: Any) -> tuple[Trainer, Tensor, float]:
    """Return a trainer after one step of SGD with rate 1, the changes, and the logged norm."""
    schedule = {"type": "constant", "warmup": 0}
    made = trainer(folder, POS, optimizer=SGD, schedule=schedule, **training)
    torch.manual_seed(5)
    before = [p.detach().clone() for p in made.model.parameters()]
    norm = next(made.run()).grad_norm
    pairs = zip(before, made.model.parameters(), strict=True)
    return made, torch.cat([(old - new).flatten().detach() for old, new in pairs]), norm


@pytest.mark.parametrize("step", [0, 9])
def test_noise_has_the_variance_of_the_paper(step: int) -> None:
    """Eq. 1 of Neelakantan et al. (2015): η / (1 + t)^γ with γ = 0.55."""
    weight = nn.Parameter(torch.zeros(200, 100))
    weight.grad = torch.full((200, 100), 3.0)
    GradientNoise(0.3, seed=1).add([weight, nn.Parameter(torch.zeros(2))], step)
    found = (weight.grad - 3).flatten().double().numpy()
    assert found.var() == pytest.approx(0.3 / (1 + step) ** 0.55, rel=0.05)
    assert stats.kstest(found / found.std(), "norm").pvalue > 0.001


def test_noise_depends_on_the_seed_and_the_step() -> None:
    def noise(seed: int, step: int) -> np.ndarray:
        weight = nn.Parameter(torch.zeros(5))
        weight.grad = torch.zeros(5)
        GradientNoise(1.0, seed).add([weight], step)
        return weight.grad.numpy() * (1 + step) ** 0.275

    assert np.array_equal(noise(1, 0), noise(1, 0))
    assert not np.allclose(noise(1, 0), noise(2, 0))
    assert not np.allclose(noise(1, 0), noise(1, 1))


def test_noise_is_added_to_the_gradients_of_a_step_after_clipping(tmp_path: Path) -> None:
    _, plain, norm = moved(tmp_path, clip_norm=0.01)
    _, noisy, same = moved(tmp_path, clip_norm=0.01, gradient_noise=0.25)
    assert same == norm  # the norm in the log is that of the gradients themselves
    difference = noisy - plain
    changed = difference[difference != 0]
    assert changed.std().item() == pytest.approx(0.5, rel=0.1)
    assert len(changed) > 100


def test_single_gradients_are_limited_after_the_norm(tmp_path: Path) -> None:
    _, plain, norm = moved(tmp_path, clip_norm=None)
    assert plain.abs().max() > 0.02
    _, limited, _ = moved(tmp_path, clip_norm=None, clip_value=0.02)
    torch.testing.assert_close(limited, plain.clamp(-0.02, 0.02), rtol=1e-4, atol=1e-6)
    _, both, _ = moved(tmp_path, clip_norm=norm / 2, clip_value=0.02)
    torch.testing.assert_close(both, (plain / 2).clamp(-0.02, 0.02), rtol=1e-3, atol=1e-6)


def test_noise_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    check_resumed(tmp_path, 1, {"gradient_noise": 0.1, "clip_value": 0.05})


def test_noise_is_equal_in_all_processes(tmp_path: Path) -> None:
    run = {"gradient_noise": 0.01, "clip_value": 0.1, "double": True}
    assert compared(tmp_path, run, 4) < 1e-9


def test_noise_is_added_once_to_a_step_of_several_batches(tmp_path: Path) -> None:
    check_parts(tmp_path, "static", {}, gradient_noise=0.01, clip_value=0.05)


def test_a_limit_beyond_the_norm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training.clip_value: has no effect unless it is below"):
        trainer(tmp_path, POS, clip_norm=1.0, clip_value=1.0)
    trainer(tmp_path, POS, clip_norm=None, clip_value=1.0)
