"""Layers over rows of a table, against the layers of torch and the formula of the QRNN."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mtl.layers.sequence import reverse_padded
from mtl.ops.pool import LIBRARY
from mtl.ops.rows import gru_rows, lstm_rows, pack_cells, pool_rows
from mtl.ops.rows_reference import cell_rows_reference, pool_rows_reference
from tests.ops.formula import GATES

compiled = pytest.mark.skipif(bool(LIBRARY.missing), reason=f"compiled: {LIBRARY.missing}")
COUNTS = {"f": 2, "fo": 3, "ifo": 4}
WORDS = 7


def batch(sentences: int, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of tokens, lengths (the first sentence has all steps, others may be empty), mask."""
    lengths = torch.randint(0, steps + 1, (sentences,))
    lengths[0] = steps
    mask = torch.arange(steps) < lengths.unsqueeze(1)
    return torch.randint(0, WORDS, (sentences, steps)) * mask, lengths, mask


@pytest.mark.parametrize("pooling", GATES)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.sampled_from([1, 3, 16, 21, 70])),
    seed=st.integers(0, 999),
    window=st.integers(1, 4),
    reverse=st.booleans(),
    start=st.booleans(),
)
def test_pooling_adds_the_parts_of_a_window_and_follows_the_formula(
    pooling: str,
    shape: tuple[int, int, int],
    seed: int,
    window: int,
    reverse: bool,
    start: bool,
) -> None:
    torch.manual_seed(seed)
    sentences, steps, width = shape
    count = COUNTS[pooling]
    ids, lengths, _ = batch(sentences, steps)
    table = torch.randn(WORDS, window, count, width)
    first = torch.randn(width) if start else None
    found = pool_rows(
        table.flatten(1), ids, lengths, first, window=window, pooling=pooling, reverse=reverse
    )
    expected = torch.zeros(sentences, steps, width, dtype=torch.float64)
    for b, length in enumerate(lengths.tolist()):
        order = range(length)[::-1] if reverse else range(length)
        c = torch.zeros(width).double() if first is None else first.double()
        for n, t in enumerate(order):
            tokens = [ids[b, order[n - back]] for back in range(min(window, n + 1))]
            gates = sum(table[token, back].double() for back, token in enumerate(tokens))
            z, f, *others = gates[0].tanh(), *gates[1:].sigmoid()
            share = others[1] if count == 4 else 1 - f
            c = f * c + share * z
            expected[b, t] = others[0] * c if others else c
    assert torch.allclose(found.double(), expected, atol=2e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@compiled
def test_the_compiled_pooling_equals_the_reference_in_two_directions(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    for window, count, width in ((1, 3, 200), (2, 3, 37), (3, 4, 2100), (2, 2, 8)):
        ids, lengths, _ = batch(5, 9)
        table = torch.randn(WORDS, window * count * 2 * width).to(dtype)
        arguments = ids, lengths, torch.randn(1, 2 * width), window, count, False, 2
        found = torch.ops.mtl.pool_rows(table, *arguments)
        assert torch.allclose(found, pool_rows_reference(table, *arguments), atol=2e-6)


def padded(layer: nn.Module, back: nn.Module, x: Tensor, mask: Tensor, starts: list) -> Tensor:
    """The outputs of two of torch's layers, the second one backwards, zero on padding."""
    ahead, _ = layer(x, starts[0])
    behind, _ = back(reverse_padded(x, mask), starts[1])
    return torch.cat([ahead, reverse_padded(behind, mask)], dim=2) * mask.unsqueeze(2)


@torch.no_grad()
@pytest.mark.parametrize("width", [1, 5, 16, 37])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_cells_equal_the_layers_of_torch(kind: str, width: int) -> None:
    torch.manual_seed(width)
    make = nn.LSTM if kind == "lstm" else nn.GRU
    layers = [make(3, width, batch_first=True) for _ in range(2)]
    ids, lengths, mask = batch(29, 8)
    vectors = torch.randn(WORDS, 3)
    h = torch.randn(2, 2, width)
    outer, inner = [], []
    for layer in layers:
        bias = layer.bias_hh_l0.clone()
        inner.append(bias[2 * width :].clone() if kind == "gru" else bias[:0])
        if kind == "gru":
            bias[2 * width :] = 0
        outer.append(vectors @ layer.weight_ih_l0.T + layer.bias_ih_l0 + bias)
    table, weights = torch.cat(outer, 1), pack_cells([layer.weight_hh_l0 for layer in layers])
    spread = h.unsqueeze(2).expand(-1, -1, 29, -1).contiguous()  # [directions, parts, B, H]
    if kind == "lstm":
        starts = [tuple(part.unsqueeze(0) for part in side) for side in spread]
        start = h.transpose(0, 1).flatten(1)
        found = lstm_rows(table, ids, lengths, weights, start, bidirectional=True)
    else:
        starts = [side[:1] for side in spread]
        start = h[:, 0].flatten().unsqueeze(0)
        bias = torch.stack(inner)
        found = gru_rows(table, ids, lengths, weights, bias, start, bidirectional=True)
    expected = padded(*layers, vectors[ids], mask, starts)
    assert torch.allclose(found, expected, atol=2e-6)
    matrices = torch.stack([layer.weight_hh_l0.flatten() for layer in layers])
    own = torch.stack(inner) if kind == "gru" else None
    kind_of = 4 if kind == "lstm" else 3, False, 2
    reference = cell_rows_reference(table, ids, lengths, start, matrices, own, *kind_of)
    assert torch.allclose(reference, expected, atol=2e-6)


@compiled
@pytest.mark.slow
def test_every_instruction_set_passes_these_tests() -> None:
    if os.environ.get("MTL_ISA"):
        pytest.skip("runs within itself")
    for isa in ("base", "avx2"):
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__]
        done = subprocess.run(
            command, env={**os.environ, "MTL_ISA": isa}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


@compiled
def test_rows_outside_of_the_table_are_an_error() -> None:
    ids, lengths, _ = batch(2, 3)
    ids[0, 1] = WORDS
    with pytest.raises(RuntimeError, match="outside of the table"):
        pool_rows(torch.zeros(WORDS, 6), ids, lengths)


@compiled
def test_threads_change_nothing() -> None:
    torch.manual_seed(0)
    ids, lengths, _ = batch(60, 11)
    pooled, cells = torch.randn(WORDS, 3 * 40), torch.randn(WORDS, 4 * 40)
    weights = pack_cells([torch.randn(160, 40)])
    before, found = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        both = pool_rows(pooled, ids, lengths), lstm_rows(cells, ids, lengths, weights)
        found.append(torch.stack(both))
    torch.set_num_threads(before)
    assert torch.equal(*found)
