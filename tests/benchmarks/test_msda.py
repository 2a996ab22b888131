"""The closed form of marginalised denoising against all corruptions, one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from benchmarks.msda import denoising_map, features, stacked


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_chen_2012_the_map_minimises_the_expected_error(noise: float) -> None:
    x = np.random.default_rng(1).normal(size=(9, 4))
    rows, targets, weights = [], [], []
    for mask in product((0, 1), repeat=4):
        kept = sum(mask)
        rows.append(np.hstack([x * mask, np.ones((9, 1))]))
        targets.append(x)
        weights += [(1 - noise) ** kept * noise ** (4 - kept)] * 9
    root = np.sqrt(weights)[:, None]
    expected, *_ = np.linalg.lstsq(np.vstack(rows) * root, np.vstack(targets) * root, rcond=None)
    np.testing.assert_allclose(denoising_map(x, noise, ridge=0), expected.T)


def test_layers_are_stacked_on_the_layer_below() -> None:
    x = np.random.default_rng(2).normal(size=(9, 3))
    first, second = stacked(x, 0.3, 2)
    with_bias = np.hstack([x, np.ones((9, 1))])
    one = np.tanh(with_bias @ first.T)
    two = np.tanh(np.hstack([one, np.ones((9, 1))]) @ second.T)
    np.testing.assert_allclose(second, denoising_map(one, 0.3))
    np.testing.assert_allclose(features(x, [first, second]), np.hstack([x, one, two]))
