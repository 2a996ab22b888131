"""Viterbi in numpy, against all sequences one by one and against the layers."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.export.viterbi import viterbi
from mtl.layers import CRF


def random(seed: int, labels: int, length: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    shapes = {"transitions": (labels, labels), "start": labels, "end": labels}
    steps = {name: 3 * rng.standard_normal(shape) for name, shape in shapes.items()}
    return 3 * rng.standard_normal((1, length, labels)), steps


@given(st.integers(0, 99), st.integers(1, 4), st.integers(1, 5))
def test_the_best_of_all_paths_is_found(seed: int, labels: int, length: int) -> None:
    emissions, steps = random(seed, labels, length)

    def score(path: tuple[int, ...]) -> float:
        between = sum(steps["transitions"][a, b] for a, b in pairwise(path))
        own = sum(emissions[0, t, label] for t, label in enumerate(path))
        return steps["start"][path[0]] + own + between + steps["end"][path[-1]]

    found = viterbi(emissions, np.ones((1, length), dtype=bool), **steps)
    assert tuple(found[0]) == max(product(range(labels), repeat=length), key=score)


def test_ragged_batches_have_the_paths_of_the_layer() -> None:
    crf, emissions = CRF(7).double(), 2 * torch.randn(5, 9, 7).double()
    mask = torch.arange(9) < torch.tensor([[9], [4], [1], [0], [6]])
    steps = {
        name: scores.detach().numpy()
        for name, scores in zip(("transitions", "start", "end"), crf.steps(), strict=True)
    }
    found = viterbi(emissions.numpy(), mask.numpy(), **steps)
    assert found.tolist() == crf.decode(emissions, mask).tolist()


def test_what_is_null_is_forbidden() -> None:
    emissions, mask = np.array([[[0.0, 9], [0, 9]]]), np.ones((1, 2), dtype=bool)
    assert viterbi(emissions, mask, transitions=[[0, 0], [0, None]]).tolist() in (
        [[0, 1]],
        [[1, 0]],
    )
    assert viterbi(emissions, mask, start=[0, None]).tolist() == [[0, 1]]
    assert viterbi(emissions, mask, end=[0, None]).tolist() == [[1, 0]]


def test_without_steps_each_token_has_its_best_label() -> None:
    emissions, mask = np.array([[[1.0, 2], [3, 1], [0, 1]]]), np.array([[True, True, False]])
    assert viterbi(emissions, mask).tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 2)])
def test_nothing_has_no_labels(shape: tuple[int, int, int]) -> None:
    assert viterbi(np.zeros(shape), np.ones(shape[:2], dtype=bool)).shape == shape[:2]


def test_it_needs_numpy_alone() -> None:
    program = "import mtl.export.viterbi, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"
